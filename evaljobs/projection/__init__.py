"""Embeddings in the plane: which images are shown, and where. The one place beside checks that knows scikit-learn."""
