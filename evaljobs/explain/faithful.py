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
from evaljobs.explain.resizing import smoothly
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
    rng, steps = np.random.default_rng(check.seed), check.steps
    mixed = [rng.permutation(values.ravel()).reshape(values.shape) for _ in range(RANDOM_MAPS)]
    deletion, insertion = _areas(halved, pixels, values, target, steps)
    random = np.array([_areas(halved, pixels, other, target, steps) for other in mixed]).mean(axis=0)
    return Faithfulness(deletion, insertion, float(random[0]), float(random[1]))


def _areas(halved: Halved, pixels: Pixels, values: Float64, target: Target, steps: int) -> tuple[float, float]:
    """Return the areas of deletion and insertion."""
    first = ordered(values, pixels.shape[0], pixels.shape[1], steps)[..., None]
    empty = np.rint(pixels.reshape(-1, pixels.shape[2]).mean(axis=0)).astype(np.uint8)
    going, coming = np.where(first, empty, pixels), np.where(first, pixels, empty)
    scores = target.shown(halved.rows(np.concatenate([going, coming])))
    areas = np.trapezoid(scores.reshape(2, -1), dx=1 / steps, axis=1)
    return float(areas[0]), float(areas[1])


def ordered(values: Float64, height: int, width: int, steps: int) -> NDArray[np.bool_]:
    """Return which pixels are among the first, where those come first at which a map is highest.

    Returns
    -------
    bool [steps + 1, height, width], from none to all; of equal values the pixel that is read first is taken.
    """
    order = np.argsort(-smoothly(values, height, width).ravel(), kind="stable")
    found = np.zeros((steps + 1, len(order)), bool)
    for step in range(1, steps + 1):
        found[step, order[: len(order) * step // steps]] = True
    return found.reshape(steps + 1, height, width)


def rank_correlation(a: Float64, b: Float64) -> float | None:
    """Return Spearman's correlation of two maps of one shape; None where one of them is the same everywhere.

    With the map of a network whose weights are shuffled it should be near 0: Adebayo et al. 2018, "Sanity Checks for
    Saliency Maps".
    """
    from scipy.stats import rankdata

    x, y = (rankdata(one.ravel()) - (one.size + 1) / 2 for one in (a, b))
    lengths = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / lengths if lengths > 0 else None
