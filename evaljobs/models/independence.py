"""Whether a model's rows are properties of their images alone: found by running it on noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.model import Model

Rows = Mapping[str, NDArray[np.float32]]
Batch = NDArray[np.uint8]

# Relative to the largest value of the rows: beyond it, a difference is no matter of rounding.
_ROUNDING = 1e-4


def rows_are_independent(model: Model, run_batch: Callable[[Batch], Rows]) -> bool:
    """Run a batch of noise, and again with its images at other places; say whether all rows are equal bytes.

    Where they are not, the batch is run once more as it was, to tell chance from company.

    Blocks are cut anew after an interruption, so that a row must not tell in which company it was computed. The last
    bits count: a few kernels round the end of their buffer in another way, which shows where the values of an image
    are no multiple of the vector width. The noise is always the same, so that the answer is a property of the model
    and of what runs it.

    Parameters
    ----------
    model
        What runs.
    run_batch
        Gives for a batch, uint8 of shape (batch_size, h, w, c), a float32 array of shape (batch_size, d) by role.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if the rows are random; or if they depend on the batch by more than rounding, and the graph
        fixes a batch of several images, so that they cannot be run one by one.
    """
    geometry = model.pixels.geometry
    shape = (model.batch_size, geometry.height, geometry.width, geometry.channels)
    batch = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    first = run_batch(batch)
    # Every place has another image, and the last image is a black one: nobody keeps place and company.
    moved, sources = np.zeros_like(batch), range(1, len(batch))
    moved[:-1] = batch[1:]
    among = run_batch(moved) if len(batch) > 1 else None
    if among is not None and _differing(model, among, first, sources, 0) is None:
        return True  # and not random
    if name := _differing(model, first, run_batch(batch), range(len(batch)), _ROUNDING):
        raise _unusable(
            f"the output {name!r} is random: the same images give other rows each time; export the model for "
            "inference, without dropout or random operators"
        )
    if among is None:
        return True
    if model.input.batch is not None and (name := _differing(model, among, first, sources, _ROUNDING)):
        raise _unusable(
            f"the output {name!r} depends on the other images of the batch, and the graph fixes a batch of "
            f"{model.input.batch}; export it with a batch of 1 or an open one"
        )
    return False


def _differing(model: Model, first: Rows, second: Rows, sources: Sequence[int], tolerance: float) -> str | None:
    """Return the tensor of an output whose rows differ: the first of `first` from those at `sources` of `second`."""
    for output in model.outputs:
        a, b = first[output.role][: len(sources)], second[output.role][list(sources)]
        scale = np.abs(b[np.isfinite(b)]).max(initial=0)
        same = a.tobytes() == b.tobytes() or (
            tolerance > 0 and np.allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True)
        )
        if not same:
            return output.tensor
    return None


def _unusable(message: str) -> ModelError:
    return ModelError(ModelErrorKind.UNSUPPORTED_OUTPUT, message)
