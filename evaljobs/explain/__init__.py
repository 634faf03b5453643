"""Where does a model look? Maps of images, without the code that a model was trained with.

targets                    what a map explains: a class score, or the similarity to another image
halved, ablation           a model cut at its last spatial layer; what each channel's removal costs: Ablation-CAM
faithful                   deletion and insertion curves, and shuffled weights: whether a map can be believed
choosing, looking, found   which images are explained, the work, and what comes of it
sight                      the images of a set as a model sees them
onnx_files, checkpoints    the public functions: any ONNX file; a module of PyTorch (the grad-cam library)
"""

from evaljobs.explain.resizing import in_blocks, smoothly
from evaljobs.explain.targets import ClassScore, Similarity

__all__ = ["ClassScore", "Similarity", "in_blocks", "smoothly"]
