"""ONNX models: what they are, and how to run them."""
