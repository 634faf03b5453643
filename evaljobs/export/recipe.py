"""How checkpoints become ONNX files: one value for all of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evaljobs import config
from evaljobs.models.model import Pooling

Exporter = Literal["torchscript", "dynamo"]

# The newest that both exporters write: LayerNormalization and friends are operators of their own.
DEFAULT_OPSET = 18


@dataclass(frozen=True)
class Head:
    """What the embedding is.

    Attributes
    ----------
    dim
        Of the architecture's own last layer, which is kept then; None for pooled features without a classifier.
    output
        Submodule whose output is taken; None for what the module returns.
    pooling
        How an output of more than two dimensions becomes [N, d].
    l2_normalise
        Whether rows are divided by their length.
    """

    dim: int | None = None
    output: str | None = None
    pooling: Pooling | None = None
    l2_normalise: bool = False


@dataclass(frozen=True)
class Recipe:
    """What is done with every checkpoint of a call.

    Attributes
    ----------
    arch
        ``timm:NAME`` or ``module:factory``.
    arguments
        Keywords of the factory.
    weights
        Key of the checkpoint that holds the weights, dots for levels; None where one alone fits.
    prefix
        The weights under this prefix are taken, without it; the others are left out.
    drop
        Patterns (``fc.*``) of names that may be left out on either side.
    size
        (height, width) of the input; None for the architecture's own.
    preprocessing
        Stands over what the architecture says.
    keep_dropout
        Whether dropout stays random in the graph.
    classes
        Of a classifier: the names of what it gives a number for, in their order.
    """

    arch: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    prefix: str = ""
    drop: tuple[str, ...] = ()
    head: Head = Head()
    size: tuple[int, int] | None = None
    preprocessing: config.Preprocessing | None = None
    keep_dropout: bool = False
    exporter: Exporter = "torchscript"
    opset: int = DEFAULT_OPSET
    classes: tuple[str, ...] | None = None
