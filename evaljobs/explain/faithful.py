"""Whether a map tells what a model depends on: deletion and insertion curves, against maps without knowledge.

Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", section 4.1: pixels
are taken away (or put into an empty image) in the order of the map, and the area under the model's score is measured. A
good map has a small area for deletion and a large one for insertion. An empty image has the mean colour of the image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.explain.halved import Halved, Pixels
from evaljobs.explain.resizing import in_blocks, smoothly
from evaljobs.explain.targets import Target

Float64 = NDArray[np.float64]
# Maps of the same values at other places, whose areas are averaged.
RANDOM_MAPS = 3


class Faithfulness(NamedTuple):
    """Areas under the score (a probability, or a cosine) while pixels go and come, by a map and by random ones.

    Attributes
    ----------
    deletion, insertion
        Of the map.
    random_deletion, random_insertion
        Means over maps whose places are shuffled.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float


class Check(NamedTuple):
    """In how many steps pixels go and come, and the seed of the random maps."""

    steps: int = 16
    seed: int = 0


def faithfulness(halved: Halved, pixels: Pixels, values: Float64, target: Target, check: Check) -> Faithfulness:
    """Measure a map.

    Parameters
    ----------
    pixels
        uint8 [h, w, c] of the image.
    values
        ``[H, W]`` of its map.
    """
    rng = np.random.default_rng(check.seed)
    ties = rng.permutation(values.size).reshape(values.shape)
    maps = [values, *(rng.permutation(values.ravel()).reshape(values.shape) for _ in range(RANDOM_MAPS))]
    size = pixels.shape[0], pixels.shape[1]
    areas = [_areas(halved, pixels, ordered(one, size, check.steps, ties), target) for one in maps]
    random = np.mean(areas[1:], axis=0)
    return Faithfulness(*areas[0], float(random[0]), float(random[1]))


def _areas(halved: Halved, pixels: Pixels, order: NDArray[np.bool_], target: Target) -> tuple[float, float]:
    """Return the areas of deletion and insertion, where pixels go and come in an order as `ordered` gives it."""
    first, steps = order[..., None], len(order) - 1
    empty = np.rint(pixels.reshape(-1, pixels.shape[2]).mean(axis=0)).astype(np.uint8)
    going, coming = np.where(first, empty, pixels), np.where(first, pixels, empty)
    scores = target.shown(halved.rows(np.concatenate([going, coming])))
    areas = np.asarray(np.trapezoid(scores.reshape(2, -1), dx=1 / steps, axis=1))
    return float(areas[0]), float(areas[1])


def ordered(values: Float64, size: tuple[int, int], steps: int, ties: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pixels are among the first, where those come first at which a map is highest.

    Parameters
    ----------
    values
        ``[H, W]``.
    size
        Height and width of the image.
    ties
        ``[H, W]`` numbers: of equal values the pixels of the place with the lowest one come first. A map is the same
        at most of its places, 0, and the order of reading would favour what lies at the top.

    Returns
    -------
    bool [steps + 1, height, width], from none to all.
    """
    height, width = size
    order = np.lexsort((in_blocks(ties, *size).ravel(), -smoothly(values, *size).ravel()))
    found = np.zeros((steps + 1, len(order)), bool)
    for step in range(1, steps + 1):
        found[step, order[: len(order) * step // steps]] = True
    return found.reshape(steps + 1, height, width)


def rank_correlation(a: Float64, b: Float64) -> float | None:
    """Return Spearman's correlation of two maps of one shape; None where one of them is the same everywhere.

    With the map of a network whose weights are shuffled it should be near 0: Adebayo et al. 2018, "Sanity Checks for
    Saliency Maps".
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # it has no annotations

    x, y = (rankdata(one.ravel()) - (one.size + 1) / 2 for one in (a, b))
    lengths = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / lengths if lengths > 0 else None
