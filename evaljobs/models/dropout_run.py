"""Many passes with dropout over one batch: their masks, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Scale
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.dropout_graph import Drop
from evaljobs.models.dropout_masks import Masks
from evaljobs.models.model import SCORES, Model
from evaljobs.models.pooling import rows_of
from evaljobs.uncertainty.passes import Spread

Feed = Mapping[str, NDArray[Any]]
# Runs a graph: the tensors that are wanted, the inputs.
Run = Callable[[Sequence[str], Feed], Sequence[NDArray[Any]]]

# The mask that drops nothing: a product with it changes no bit.
NOTHING = np.ones((), np.float32)


class Place(NamedTuple):
    """What a Dropout drops from: its shape for one image, and the axis along which images stand."""

    shape: tuple[int, ...]
    axis: int


def sizes_to_try(model: Model) -> tuple[int, ...]:
    """Return the batches that show where images stand: two where the graph takes any, else its own."""
    if model.input.batch is not None or model.batch_size == 1:
        return (model.batch_size,)
    return (2, 3) if model.batch_size > 2 else (1, 2)


def place_of(drop: Drop, shapes: Sequence[tuple[int, ...]], sizes: Sequence[int]) -> Place:
    """Return where a Dropout drops.

    Parameters
    ----------
    shapes, sizes
        Of its input, and of the batch: of the one or two batches that were tried.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if no axis is that of the images: then no mask belongs to one of them.
    """
    fit = [axis for axis in range(len(shapes[0])) if all(s[axis] == n for s, n in zip(shapes, sizes, strict=True))]
    if len(sizes) == 1:  # which of several axes of that length it is, is not to be seen: by custom the first
        fit = fit[:1] if sizes[0] == 1 else [axis for axis in fit if axis == 0]
    if len(fit) != 1 or len({len(s) for s in shapes}) > 1:
        raise ModelError(
            ModelErrorKind.UNSUPPORTED_OUTPUT,
            f"the Dropout of {drop.tensor!r} has the shape {list(shapes[-1])} for {sizes[-1]} images: no axis is that "
            "of the images, so that no mask belongs to one of them; drop before images are mixed, and export again",
        )
    axis = fit[0]
    return Place(shapes[0][:axis] + shapes[0][axis + 1 :], axis)


class Dropping:
    """The passes of one model."""

    def __init__(self, model: Model, drops: Sequence[Drop], places: Sequence[Place]) -> None:
        if model.passes is None or model.scores is None:
            raise ValueError("expected a model that is run with dropout")
        self._output = model.output(SCORES)
        self._passes = model.passes
        self._scale = Scale(model.scores.are)
        self._drops = list(zip(drops, places, strict=True))

    def rows(self, run: Run, feed: Feed, digests: Sequence[bytes]) -> NDArray[np.float32]:
        """Return what all passes say together of a batch, see `Spread.rows`.

        Parameters
        ----------
        run
            The graph with masks as inputs.
        feed
            Its other inputs.
        digests
            Of the images of the batch.
        """
        masks, spread = Masks(digests, self._passes.seed), Spread(self._scale)
        for number in range(self._passes.count):
            drawn = {
                drop.mask: masks.draw(place.shape, drop.ratio, number, node, place.axis)
                for node, (drop, place) in enumerate(self._drops)
            }
            (values,) = run([self._output.tensor], {**feed, **drawn})
            spread.add(rows_of(values, self._output, len(digests)))
        return spread.rows()
