"""A first look at a small, even sample of the pairs, to guess where the operating points lie.

A guess costs nothing but time where it is wrong: what was kept is checked against the counts of the whole scan.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.count import Counts
from evaljobs.pairs.samples import Samples

_MARGIN = 4.0  # standard deviations of a rank in the sample
_CORE = 2.5  # likewise, kept of a window that is larger than an equal share, as a few bins of a high FPR are
_EQUAL = 2 / 3  # part of what may be held that is shared equally
_LARGEST = 4096  # samples of a block, at most about so many
_GAP_SHARE = 16  # part of a share that is spent above a window: the threshold may lie across a gap
_BOTTOM = 8  # at FPR 1 the threshold is the lowest score: keep from the eighth lowest of the sample down


@dataclasses.dataclass(frozen=True)
class Probe:
    """Count the pairs of blocks of positions that are far apart, two by two: every sample equally often.

    Attributes
    ----------
    n
        Number of samples.
    size
        Samples a block.
    gallery
        Where the gallery begins; blocks are then of the smaller of both, and of as many parts of the other. 0 for the
        pairs of all samples.
    """

    n: int
    size: int
    bins: Bins
    gallery: int = 0

    @property
    def blocks(self) -> int:
        """Number of blocks of the pairs of all samples."""
        return max(1, self.n // self.size)

    @property
    def couples(self) -> int:
        """Number of couples of blocks."""
        if not self.gallery:
            return max(1, self.blocks // 2)
        return max(1, min(self.gallery, self.n - self.gallery) // self.size)

    def parts(self, at_least: int) -> list[range]:
        """Cut the couples into parts."""
        step = max(1, -(-self.couples // at_least))
        return [range(first, min(first + step, self.couples)) for first in range(0, self.couples, step)]

    def pairs(self, _part: range, /) -> int:
        """Return 0: these pairs are looked at again, and progress counts them then."""
        return 0

    def run(self, samples: Samples, part: range, onto: Counts | None = None) -> Counts:
        """Count the pairs of some couples of blocks."""
        found = onto or Counts(*np.zeros((2, self.bins.count), np.int64))
        for couple in part:
            i, j = self.couple(couple)
            product = samples.unit[i] @ samples.unit[j].T
            places = i.start, i.step, j.start, j.step
            _count_sampled(product, *places, samples.labels, *self.bins.affine, found.impostor, found.genuine)
        return found

    def couple(self, number: int) -> tuple[slice, slice]:
        """Return the positions of two blocks that are compared: evenly spread over all labels and groups."""
        if not self.gallery:  # not neighbours, which are often of one label
            return self.positions(number), self.positions((number + self.couples) % self.blocks)
        return self._share(0, self.gallery, number), self._share(self.gallery, self.n, number)

    def _share(self, first: int, last: int, number: int) -> slice:
        step = max(self.couples, (last - first) // _LARGEST)
        return slice(first + number, last, step)

    def positions(self, block: int) -> slice:
        """Return the positions of a block of all samples."""
        return slice(block, self.n, self.blocks)


@compiled
def _count_sampled(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    product: NDArray[np.float32],
    i0: int,
    i_step: int,
    j0: int,
    j_step: int,
    labels: NDArray[np.int64],
    scale: np.float32,
    zero: np.float32,
    impostor: NDArray[np.int64],
    genuine: NDArray[np.int64],
) -> None:
    for r in range(product.shape[0]):
        for c in range(product.shape[1]):
            b = np.int32(product[r, c] * scale + zero)
            i, j = i0 + r * i_step, j0 + c * j_step
            if labels[i] != labels[j]:
                impostor[b] += 1
            elif i != j:
                genuine[b] += 1


def guess(bins: Bins, sampled: Counts, allowed: tuple[int, ...], n_impostor: int, most: float) -> NDArray[np.uint8]:
    """Guess which bins hold the scores that decide the operating points.

    Parameters
    ----------
    sampled
        Counts of the sample.
    allowed
        False positives allowed at each point.
    n_impostor
        Impostor pairs in all.
    most
        How many pairs of the sample may lie in flagged bins.

    Returns
    -------
    ``[bins]`` uint8, 1 where pairs are to be kept.
    """
    flags = np.zeros(bins.count, np.uint8)
    below = np.concatenate(([0], np.cumsum(sampled.all)))
    ranks = [(bins, sampled, count, n_impostor) for count in allowed]
    windows = {_window(*rank, _MARGIN): _window(*rank, _CORE) for rank in ranks}
    closed = {window: core for window, core in windows.items() if window[1] < bins.count - 1}
    left = most
    for window, core in sorted(closed.items(), key=lambda found: _held(below, *found[0])):
        share = max(_EQUAL * most / len(windows), _held(below, *core))
        first, last = _fitted(below, *window, min(share, left))
        flags[first : last + 1] = 1
        left -= _held(below, first, last)
    if len(closed) < len(windows):  # what is left is for the windows at the top, which are one
        first = min(first for first, last in windows if last == bins.count - 1)
        left = most - float(sampled.all[flags == 1].sum())
        flags[first : _filled(below, first, left) + 1] = 1
    return flags


def guess_tails(
    bins: Bins, sampled: Counts, wanted: tuple[int, int], of: tuple[int, int], most: float
) -> NDArray[np.uint8]:
    """Guess which bins hold the highest impostor and the lowest genuine scores.

    Parameters
    ----------
    wanted
        How many impostor, and how many genuine pairs.
    of
        How many of either there are in all.
    most
        How many pairs of the sample may lie in flagged bins.

    Returns
    -------
    ``[2, bins]`` uint8, 1 where impostor, and where genuine pairs are to be kept.
    """
    flags = np.zeros((2, bins.count), np.uint8)
    for kind, counts in enumerate((sampled.impostor[::-1], sampled.genuine)):
        if not wanted[kind]:
            continue
        inward = np.cumsum(counts)
        rank = wanted[kind] / of[kind] * float(inward[-1])
        last = int(np.searchsorted(inward, rank + _MARGIN * (1 + math.sqrt(rank)))) + 2 * bins.reach
        last = min(last, int(np.searchsorted(inward, most / 2)) - 1)
        flags[kind, : max(0, last + 1)] = 1
    flags[0] = flags[0, ::-1].copy()
    return flags


def _window(bins: Bins, sampled: Counts, allowed: int, n_impostor: int, margin: float) -> tuple[int, int]:
    """Return the first and last bin in which the sample puts the score with `allowed` impostors above it."""
    top = bins.count - 1
    if allowed >= n_impostor:
        return 0, min(top, int(np.searchsorted(np.cumsum(sampled.all), _BOTTOM)) + bins.reach)
    above = np.cumsum(sampled.impostor[::-1])  # in the top bin, in the two top bins, ...
    share = (allowed + 1) / n_impostor
    rank = share * float(above[-1])
    spread = margin * (1 + math.sqrt(rank * (1 - share)))
    first = top - int(np.searchsorted(above, rank + spread)) - 2 * bins.reach
    last = top - int(np.searchsorted(above, rank - spread)) + 2 * bins.reach if rank > spread else top
    return max(0, first), min(top, last)


def _fitted(below: NDArray[np.int64], first: int, last: int, most: float) -> tuple[int, int]:
    """Shrink a window from both sides to what it may hold; or extend it a little, across a gap if there is one."""
    held = _held(below, first, last)
    if held > most:
        first = int(np.searchsorted(below, below[first] + (held - most) / 2, side="right")) - 1
    return first, _filled(below, first, min(most, held + most / _GAP_SHARE))


def _held(below: NDArray[np.int64], first: int, last: int) -> float:
    """Return how many pairs of the sample a window holds."""
    return float(below[last + 1] - below[first])


def _filled(below: NDArray[np.int64], first: int, most: float) -> int:
    """Return the last bin of the widest window from `first` that holds no more than `most` pairs of the sample."""
    last = int(np.searchsorted(below, below[first] + most, side="right")) - 2
    return max(first, min(len(below) - 2, last))
