"""How uncertain a model is of an image, and how much that tells: of errors, of noise, of what it was not made for."""
