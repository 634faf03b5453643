"""Results as tables, text and pictures; sees results, not engines."""
