"""A model as a run uses it: everything that is decided about it before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from evaljobs.errors import ModelErrorKind
from evaljobs.images.decode import Geometry
from evaljobs.images.normalise import Normalisation

Layout = Literal["nchw", "nhwc"]
InputType = Literal["float32", "float16", "uint8"]
Pooling = Literal["mean", "max", "first", "flatten"]
# What jobs ask of a model: the vector that is compared, and a number for each class.
EMBEDDING, SCORES = "embedding", "scores"
# And of one with dropout in it: what many passes say together (`evaljobs.uncertainty.passes`).
PASSES: Final = "passes"
ScoresAre = Literal["logits", "probabilities"]
# Who says what scores are, where somebody does.
TOLD: Final = ("model config", "metadata")

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
    """A tensor that is kept: ``role`` is the column it is stored under, and the first role that it has.

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


class Classes(NamedTuple):
    """The names of a model's classes, in the order of its scores, and who gave them."""

    names: tuple[str, ...]
    source: str


class Scores(NamedTuple):
    """What is known of class scores: what they are and who says so, and the classes, where somebody names them."""

    are: ScoresAre
    source: str
    classes: Classes | None


class Lack(NamedTuple):
    """Why a model does not have an output that some job asks for."""

    kind: ModelErrorKind
    message: str


class Dropout(NamedTuple):
    """Dropout nodes of a graph, and how many of them are in training mode: those drop when the model runs."""

    nodes: int
    active: int


@dataclass(frozen=True)
class Passes:
    """Passes with the dropout of a graph, whose masks follow from a seed: how many, and the seed."""

    count: int
    seed: int


@dataclass(frozen=True)
class Cost:
    """The work for one image, and the outputs that come of it.

    Attributes
    ----------
    macs
        Multiply-accumulates, see `evaljobs.models.macs.node_macs`; null where they are not known.
    unknown
        Why not; empty where they are.
    shapes
        Of the outputs, by their names, for a batch of one or the graph's fixed batch; without those that are not known.
    """

    macs: float | None
    unknown: str
    shapes: dict[str, tuple[int, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Cost:
        """Return the cost that was written as JSON."""
        shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
        return cls(data["macs"], data["unknown"], shapes)

    @property
    def gmacs(self) -> float | None:
        """Return 10^9 multiply-accumulates."""
        return None if self.macs is None else self.macs / 1e9

    @property
    def gflops(self) -> float | None:
        """Return 10^9 floating-point operations: a multiplication and an addition for each multiply-accumulate."""
        return None if self.macs is None else 2 * self.macs / 1e9


class Series(NamedTuple):
    """Where a model stands in a line of checkpoints: at the value of a tag, such as epoch 7, of the line of a name."""

    tag: str
    value: float
    name: str


class Source(NamedTuple):
    """One version of an object that is a file of a model, and where it lies relative to the ONNX file's folder."""

    location: str
    uri: str
    etag: str
    size: int


@dataclass(frozen=True)
class Model:
    """A model that can be run; picklable, and all that a worker needs beside the file itself.

    Attributes
    ----------
    name
        Unique in the run; told apart by tags where files have equal names.
    path, external_files
        Its files on this machine. Of a model on S3 they are relative to a folder that each machine has for itself, see
        `evaljobs.models.fetching.localised`.
    digest
        Of the file with its external data, see `evaljobs.models.digest`.
    metadata
        The ONNX metadata entries, as they are.
    outputs
        The tensors that are kept, each once.
    roles
        By role: the column of the output that has it. A tensor may have several.
    lacks
        By role that some job of the run asks for: why the model does not have it.
    scores
        Where it has that role.
    graph_outputs
        The outputs that the file declares; `outputs` may name others.
    batch_size
        Rows of every call of the session; shorter batches are padded.
    cost, dropout
        What is told about it in the results.
    notes
        What was decided for lack of a word in the config, in plain sentences.
    sources
        The objects on S3 that its files are copies of, the ONNX file first; none for local files.
    series
        Where it stands in a line of checkpoints, if it is part of one.
    passes
        With dropout: then one of the outputs is what they say together. None: the model runs as it is, once.
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
    cost: Cost
    dropout: Dropout
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    series: Series | None = None
    roles: Mapping[str, str] = field(default_factory=lambda: {EMBEDDING: EMBEDDING})
    lacks: Mapping[str, Lack] = field(default_factory=dict)
    scores: Scores | None = None
    passes: Passes | None = None

    @property
    def load(self) -> str:
        """The name of what is loaded, whose rows are one table: a model as it is, or with passes that a job wants."""
        if self.passes is None:
            return self.name
        return f"{self.name} ({self.passes.count} passes with dropout, seed {self.passes.seed})"

    def output(self, role: str) -> Output:
        """Return the output that has a role."""
        column = self.roles[role]
        return next(output for output in self.outputs if output.role == column)


@dataclass(frozen=True)
class Refused:
    """A model that cannot be used, and why; ``location`` is its path or uri."""

    name: str
    location: str
    tags: dict[str, str]
    kind: ModelErrorKind
    message: str
    series: Series | None = None
