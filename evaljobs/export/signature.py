"""What an exported file says of itself, in its metadata."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import onnx

import evaljobs
from evaljobs import config
from evaljobs.export.architecture import Built
from evaljobs.export.checkpoint import Checkpoint
from evaljobs.export.packages import versions
from evaljobs.export.recipe import Recipe
from evaljobs.export.weights import Fitted
from evaljobs.models.classes import CLASSES_KEY
from evaljobs.models.preprocessing import METADATA_KEY

SIGNATURE_KEY = "evaljobs.export"
VERSION = 1


class Origin(NamedTuple):
    """Where a model comes from, and the number of values in its embedding."""

    recipe: Recipe
    built: Built
    checkpoint: Checkpoint
    fitted: Fitted
    dim: int


def sign(proto: onnx.ModelProto, origin: Origin) -> None:
    """Write preprocessing, classes and origin into a model, in place.

    It holds no date and no path: equal input, equal bytes.
    """
    classes = origin.recipe.classes
    onnx.helper.set_model_props(
        proto,
        {
            METADATA_KEY: _json(_preprocessing(origin.built.preprocessing)),
            **({} if classes is None else {CLASSES_KEY: _json(list(classes))}),
            SIGNATURE_KEY: _json(_signature(proto, origin)),
        },
    )


def _preprocessing(preprocessing: config.Preprocessing) -> dict[str, Any]:
    return preprocessing.model_dump(mode="json", exclude_none=True)


def _signature(proto: onnx.ModelProto, origin: Origin) -> dict[str, Any]:
    recipe, built, checkpoint, fitted, dim = origin
    head = recipe.head
    graph_input, graph_output = proto.graph.input[0].name, proto.graph.output[0].name
    return {
        "version": VERSION,
        "arch": recipe.arch,
        "arguments": dict(recipe.arguments),
        "checkpoint": {"sha256": checkpoint.sha256, "weights": fitted.source, "prefix": recipe.prefix},
        "input": {"name": graph_input, "dtype": "float32", "shape": ["batch", *built.shape]},
        "output": {
            "name": graph_output,
            "shape": ["batch", dim],
            "module": head.output,
            "pooling": head.pooling,
            "l2_normalised": head.l2_normalise,
        },
        "dropout": recipe.keep_dropout,
        "exporter": {"name": recipe.exporter, "opset": recipe.opset},
        "packages": {"evaljobs": evaljobs.__version__, **versions("onnx", "torch"), **_timm(recipe)},
    }


def _timm(recipe: Recipe) -> dict[str, str]:
    return versions("timm") if recipe.arch.startswith("timm:") else {}


def _json(data: Any) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False)
