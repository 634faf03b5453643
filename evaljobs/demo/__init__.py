"""A complete benchmark made of what ships with scikit-learn."""
