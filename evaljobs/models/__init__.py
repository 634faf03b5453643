"""ONNX models: what they are, what is done with them, and how they run.

Importing the package imports neither onnx nor onnxruntime.
"""
