"""A model as a run uses it: everything that is decided about it before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaljobs.errors import ModelErrorKind
from evaljobs.images.decode import Geometry
from evaljobs.images.normalise import Normalisation

Layout = Literal["nchw", "nhwc"]
InputType = Literal["float32", "float16", "uint8"]
Pooling = Literal["mean", "max", "first", "flatten"]

# Where neither the graph nor the config says: large enough to fill a core, small enough for any memory.
DEFAULT_BATCH_SIZE = 32


@dataclass(frozen=True)
class Input:
    """The image input of a graph; an axis that the graph leaves open is None."""

    name: str
    dtype: InputType
    layout: Layout
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None


@dataclass(frozen=True)
class Output:
    """A tensor that is kept: ``role`` is the column it is stored under.

    ``channels_last`` says where a pooled output of four or more dimensions has its channels: last, or on axis 1.
    """

    role: str
    tensor: str
    pooling: Pooling | None = None
    channels_last: bool = False


@dataclass(frozen=True)
class Pixels:
    """How an image becomes the input.

    ``normalisation`` is None where the model takes raw pixels (uint8). ``sources`` says for each field of the
    preprocessing who gave it: ``model config``, ``run config``, ``metadata``, ``input shape`` or ``default``.
    """

    geometry: Geometry
    normalisation: Normalisation | None
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model that can be run; picklable, and all that a worker needs beside the file itself.

    Attributes
    ----------
    name
        Unique in the run; told apart by tags where files have equal names.
    digest
        Of the file with its external data, see `evaljobs.models.digest`.
    metadata
        The ONNX metadata entries, as they are.
    graph_outputs
        The outputs that the file declares; `outputs` may name others.
    batch_size
        Rows of every call of the session; shorter batches are padded.
    notes
        What was decided for lack of a word in the config, in plain sentences.
    """

    name: str
    path: Path
    digest: str
    external_files: tuple[Path, ...]
    tags: dict[str, str]
    metadata: dict[str, str]
    size_bytes: int
    parameters: int
    opset: int
    input: Input
    outputs: tuple[Output, ...]
    graph_outputs: tuple[str, ...]
    pixels: Pixels
    batch_size: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A model that cannot be used, and why."""

    name: str
    path: Path
    tags: dict[str, str]
    kind: ModelErrorKind
    message: str
