"""From a listing to pixels."""
