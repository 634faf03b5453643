"""From checkpoints of PyTorch to ONNX files that are checked: `evaljobs export`.

exporting                   the whole way of one checkpoint, and of several
architecture, timm_models   from a name to a module, with what is known of its preprocessing
checkpoint, weights         what a file holds, and which of it fits the module
head, dropout, random_graph what the embedding is, and whether dropout stays in it
tracing, signature          the graph, and what is written into it
parity, samples             torch against onnxruntime on real images

torch, timm and safetensors are extras: each is imported where it is used.
"""

from evaljobs.export.exporting import Exported, Failed, export_all
from evaljobs.export.parity import Check, Parity
from evaljobs.export.preprocessing import read_preprocessing
from evaljobs.export.recipe import Exporter, Head, Recipe
from evaljobs.export.samples import built_in, from_folder
from evaljobs.models.classes import read_classes

__all__ = [
    "Check",
    "Exported",
    "Exporter",
    "Failed",
    "Head",
    "Parity",
    "Recipe",
    "built_in",
    "export_all",
    "from_folder",
    "read_classes",
    "read_preprocessing",
]
