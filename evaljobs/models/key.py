"""The model key: all that determines the bytes of an embedding table, and nothing else."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING

from evaljobs.images.geometry import Geometry
from evaljobs.models.dropout_masks import MASKS_VERSION
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.schemas import STORE_VERSION
from evaljobs.uncertainty.passes import KEPT_VERSION

if TYPE_CHECKING:
    from typing import Any

# Counts changes of how this package feeds, pads or pools: rows made before one are not mixed with rows made after it.
EMBEDDING_VERSION = 1


def key(model: Model, runtime: Runtime) -> dict[str, Any]:
    """Return the model key as a JSON object.

    It holds no path, no name, no tag and no number of workers.

    Parameters
    ----------
    model
        The model.
    runtime
        What its session runs on, and how.
    """
    normalisation = model.pixels.normalisation
    return {
        "schema": STORE_VERSION,
        "embedding": EMBEDDING_VERSION,
        "model": model.digest,
        "outputs": [
            {
                "role": o.role,
                "tensor": o.tensor,
                "pooling": o.pooling,
                "channels_last": o.channels_last and bool(o.pooling),
            }
            for o in model.outputs
        ],
        "input": {"name": model.input.name, "layout": model.input.layout, "dtype": model.input.dtype},
        "geometry": _pixels_of(model.pixels.geometry),
        "normalisation": normalisation.key() if normalisation else None,
        "provider": runtime.provider,
        "provider_options": runtime.provider_options(),
        "session_options": runtime.session_options(),
        "onnxruntime": onnxruntime_version(),
        "batch_size": model.batch_size,
        **_passes_of(model),
    }


def _passes_of(model: Model) -> dict[str, Any]:
    """Return what determines the rows of passes with dropout; nothing for a model that runs as it is."""
    if model.passes is None or model.scores is None:
        return {}
    versions = {"masks": MASKS_VERSION, "kept": KEPT_VERSION}
    return {
        "passes": {"count": model.passes.count, "seed": model.passes.seed, "scores_are": model.scores.are, **versions}
    }


def _pixels_of(geometry: Geometry) -> dict[str, Any]:
    """Return what determines the pixels of an image; which images are refused as too large changes no row."""
    return {name: value for name, value in geometry.key().items() if name != "max_pixels"}


@functools.cache
def onnxruntime_version() -> str:
    """Return the version of the installed onnxruntime without importing it.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If neither of its two distributions is installed.
    """
    try:
        return importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("onnxruntime")
