"""The passes of the rounds, each over all tiles, on a device."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.gpu.pool import DevicePool
from evaljobs.pairs.gpu.rows import ALIGNED, Rows
from evaljobs.pairs.gpu.sheet import Done, Sheet
from evaljobs.pairs.gpu.tally import Gap, Tally
from evaljobs.pairs.pool import Pool
from evaljobs.pairs.probe import Probe
from evaljobs.pairs.refine import NONE_HIGH, NONE_LOW, STEPS, Ladder, Refine, Refined
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Scan, Scanned

if TYPE_CHECKING:
    import torch

_LOWEST = -(2**63)
_PROBE_SIZE = 4096
_SAMPLES_A_PROBE_BLOCK = 2**14


def probe(sheet: Sheet, work: Probe) -> Counts:
    """Count a sample of the pairs: fewer and larger blocks than the CPU's, since each costs a few launches."""
    import torch

    rows = sheet.rows
    device = rows.unit.device
    larger = dataclasses.replace(work, size=min(max(work.size, _PROBE_SIZE), work.n // 2))
    tally = Tally(device, work.bins, np.zeros((2, work.bins.count), np.uint8), 0)
    width = -(-larger.size // ALIGNED) * ALIGNED
    product = torch.empty((larger.size, width), dtype=torch.float16, device=device)
    for block in range(min(larger.blocks, max(4, work.n // _SAMPLES_A_PROBE_BLOCK))):
        places = (larger.positions(b % larger.blocks) for b in (block, block + 1))
        i, j = (torch.arange(p.start, p.stop, p.step, device=device)[: larger.size] for p in places)
        wide = torch.cat((j, j[:1].expand(width - larger.size)))
        rows.product(i, wide, product)
        tally.count(product, (0, 0), rows.labels[i], rows.labels[j], triangle=False)
    return tally.counts()


@dataclasses.dataclass(frozen=True)
class DeviceScanned(Scanned):
    """What a scan found, with the kept pairs on the device.

    Attributes
    ----------
    rows
        The samples.
    near
        ``[3, m]`` int32: i, j and bin of all pairs of flagged bins; None where they were more than the budget.
    """

    rows: Rows | None = None
    near: torch.Tensor | None = None

    def pool(self, samples: Samples, bins: Bins) -> Pool:
        """Return the kept pairs, to be scored on the device."""
        if self.rows is None or self.near is None:
            return super().pool(samples, bins)
        return DevicePool(self.rows, self.near, self.counts)


def scan(sheet: Sheet, work: Scan, samples: Samples, hint: Counts | None, done: Done) -> Scanned:
    """Count all pairs, and keep those of flagged bins."""
    device, gaps = sheet.rows.unit.device, _gaps(work.flags, hint)
    tally = Tally(device, work.bins, work.flags, work.budget, gaps, work.n_groups)
    for _ in sheet.tiles(tally, samples, done):
        pass
    counts, groups = tally.counts(), tally.groups()
    if tally.n_kept > work.budget:
        return Scanned(counts, None, work.budget, groups)
    return DeviceScanned(counts, None, work.budget, groups, rows=sheet.rows, near=tally.take())


def _gaps(flags: NDArray[np.uint8], hint: Counts | None) -> tuple[Gap, Gap]:
    """Return for impostor, and for genuine pairs the range of bins without flags in which a sample has the most."""
    if hint is None or len(hint.impostor) != flags.shape[1]:  # of other bins
        return (0, 0), (0, 0)
    return _gap(flags[0], hint.impostor), _gap(flags[1], hint.genuine)


def _gap(flags: NDArray[np.uint8], hint: NDArray[np.int64]) -> Gap:
    flagged = np.concatenate(([-1], np.flatnonzero(flags), [len(flags)]))
    below = np.concatenate(([0], np.cumsum(hint)))
    widest = int(np.argmax(below[flagged[1:]] - below[flagged[:-1] + 1]))
    return int(flagged[widest]) + 1, int(flagged[widest + 1])


def refine(  # noqa: PLR0913, PLR0917 - as a scan, and what may be held
    sheet: Sheet, work: Refine, samples: Samples, capacity: int, hint: Counts | None, done: Done
) -> Refined:
    """Count all pairs, and score those of flagged bins whenever they might not fit any more."""
    flags = np.stack((work.flags(), work.flags()))
    area = sheet.size**2
    capacity = max(area, capacity)
    tally = Tally(sheet.rows.unit.device, work.bins, flags, capacity, _gaps(flags, hint))
    climber = Climber(work, sheet.rows)
    for _ in sheet.tiles(tally, samples, done):
        if tally.n_kept + area > capacity:
            climber.climb(tally.take())
    climber.climb(tally.take())
    return Refined(tally.counts(), climber.ladder())


class Climber:
    """Scores pairs by the definition, and counts them on a ladder, as `refine.climb` does."""

    def __init__(self, work: Refine, rows: Rows) -> None:
        import torch

        self._rows = rows
        self._intervals = tuple(zip(work.low.tolist(), work.high.tolist(), work.shift.tolist(), strict=True))
        shape, device = (len(self._intervals), STEPS), rows.unit.device
        self._counts = torch.zeros((2, *shape), dtype=torch.int64, device=device)
        self._least = torch.full(shape, NONE_LOW, dtype=torch.int64, device=device)
        self._greatest = torch.full(shape, NONE_HIGH, dtype=torch.int64, device=device)
        self._above = torch.zeros((2, shape[0]), dtype=torch.int64, device=device)
        self._least_above = torch.full(shape[:1], NONE_LOW, dtype=torch.int64, device=device)

    def climb(self, near: torch.Tensor, at_a_time: int = 2**24) -> None:
        """Put the pairs ``[3, m]`` of flagged bins on the ladder."""
        import torch

        for part in near.split(at_a_time, dim=1) if near.shape[1] else ():
            bits = self._rows.score(part[0], part[1]).view(torch.int64)
            keys = torch.where(bits >= 0, bits, _LOWEST - bits)
            genuine = self._rows.genuine(part[0], part[1])
            for q in range(len(self._intervals)):
                self._climb(q, keys, genuine)

    def _climb(self, q: int, keys: torch.Tensor, genuine: torch.Tensor) -> None:
        import torch

        low, high, shift = self._intervals[q]
        above = keys > high
        self._least_above[q] = torch.where(above, keys, NONE_LOW).amin().minimum(self._least_above[q])
        inside = (keys >= low) & ~above
        for kind, mask in enumerate((~genuine, genuine)):
            self._above[kind, q] += (above & mask).sum()
            self._counts[kind, q] += torch.bincount((keys[inside & mask] - low) >> shift, minlength=STEPS)
        within = keys[inside]
        step = (within - low) >> shift
        self._least[q].scatter_reduce_(0, step, within, "amin")
        self._greatest[q].scatter_reduce_(0, step, within, "amax")

    def ladder(self) -> Ladder:
        """Return what was counted."""
        impostor, genuine = self._counts.cpu().numpy()
        impostor_above, genuine_above = self._above.cpu().numpy()
        least, greatest, least_above = (t.cpu().numpy() for t in (self._least, self._greatest, self._least_above))
        return Ladder(impostor, genuine, least, greatest, impostor_above, genuine_above, least_above)
