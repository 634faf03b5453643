"""Carry out rounds on a device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from evaljobs.errors import InputError
from evaljobs.pairs.bins import HALF_SCALE, Bins
from evaljobs.pairs.by_label import ByLabel
from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.count import Counts
from evaljobs.pairs.gpu.by_label import Leveller
from evaljobs.pairs.gpu.passes import probe, refine, scan
from evaljobs.pairs.gpu.rows import ALIGNED, load
from evaljobs.pairs.gpu.sheet import Done, Sheet
from evaljobs.pairs.probe import Probe
from evaljobs.pairs.refine import Refine
from evaljobs.pairs.rounds import Limits, Outcome, rounds
from evaljobs.pairs.samples import Samples, with_filter
from evaljobs.pairs.scan import Scan
from evaljobs.pairs.threads import Progress, run_rounds
from evaljobs.pairs.work import Evidence, Rounds, Work

if TYPE_CHECKING:
    import torch

R = TypeVar("R")

_TILE = 8192
_LARGE_TILE = 2**14  # faster, where what it wastes beside the diagonal is little
_LARGE = 2**18  # samples
_TILE_WITHOUT_GPU = 1024
_MAX_TILE = 2**14
_FINE_SCALE = 2**14  # of float32 products: as fine as fits the shared memory
_KEPT = 2**28  # 12 bytes each, of a GPU's memory; fewer where less of it is free
_KEPT_WITHOUT_GPU = 2**22
_BYTES_A_KEPT_PAIR = 64  # while they are scored and sorted
_NOTHING = Wanted()


def verify_on(  # noqa: PLR0913, PLR0917 - as the door takes them
    device: torch.device,
    samples: Samples,
    targets: tuple[float, ...],
    tile: int | None,
    threads: int,
    progress: Progress | None = None,
    limits: Limits | None = None,
    wanted: Wanted = _NOTHING,
) -> Outcome:
    """Verify on a device; sets that are scored whole are left to threads."""
    tile = default_tile(device, samples.n) if tile is None else tile
    if not 1 <= tile <= _MAX_TILE:
        raise InputError(f"found a tile of {tile}; expected 1 to {_MAX_TILE}")
    if samples.n_pairs <= (limits or Limits()).collected:
        samples = with_filter(samples)
        return run_rounds(rounds(samples, targets, limits or Limits(), wanted), samples, threads, progress)
    with settled(device):
        return verify_loaded(load_tiles(device, samples, tile), samples, targets, progress, limits, wanted)


def default_tile(device: torch.device, n: int) -> int:
    """Return how many samples a tile is wide and high."""
    if device.type != "cuda":
        return _TILE_WITHOUT_GPU
    return _LARGE_TILE if n >= _LARGE else _TILE


def load_tiles(device: torch.device, samples: Samples, tile: int) -> Sheet:
    """Put samples on a device, for tiles of a size."""
    return Sheet(load(samples, device), -(-min(tile, samples.n) // ALIGNED) * ALIGNED)


def verify_loaded(  # noqa: PLR0913, PLR0917 - likewise
    sheet: Sheet,
    samples: Samples,
    targets: tuple[float, ...],
    progress: Progress | None = None,
    limits: Limits | None = None,
    wanted: Wanted = _NOTHING,
) -> Outcome:
    """Verify samples that are on a device."""
    limits = limits or Limits(kept=_room(sheet.rows.unit.device))
    d = samples.rows.shape[1]
    half, full = Bins(d, HALF_SCALE, half=True), Bins(d, _FINE_SCALE)
    steps = rounds(samples, targets, limits, wanted, bins=half, fine=full)
    return _Run(sheet, samples, limits.kept, progress).all(steps)


def _room(device: torch.device) -> int:
    """Return how many pairs may be kept."""
    import torch

    if device.type != "cuda":
        return _KEPT_WITHOUT_GPU
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_KEPT, int(free) // _BYTES_A_KEPT_PAIR)


@contextlib.contextmanager
def settled(device: torch.device) -> Iterator[None]:
    """Hold torch to this device, and to products and sums as the filters' bounds assume."""
    import torch

    if device.type != "cuda":
        yield
        return
    settings = torch.backends.cuda.matmul
    names = ("allow_fp16_reduced_precision_reduction", "allow_fp16_accumulation", "allow_tf32")
    before = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    try:
        for name in before:
            setattr(settings, name, False)
        with torch.cuda.device(device):
            yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


class _Run:
    """The passes of one verification."""

    def __init__(self, sheet: Sheet, samples: Samples, capacity: int, progress: Progress | None) -> None:
        self._sheet = sheet
        self._samples, self._capacity, self._progress = samples, capacity, progress
        self._hint: Counts | None = None
        self._pairs_done = self._pairs_known = 0

    def all(self, steps: Rounds[R]) -> R:
        """Do pass after pass, and return the result."""
        try:
            work = next(steps)
            while True:
                work = steps.send(self._do(work))
        except StopIteration as stop:
            result: R = stop.value
            return result

    def _do(self, work: Work[Any]) -> Evidence:
        if isinstance(work, Probe):
            self._hint = probe(self._sheet, work)
            return cast("Evidence", self._hint)
        done: Done = self._done
        if isinstance(work, ByLabel):
            leveller = Leveller(work, self._sheet.rows, self._samples)
            self._pairs_known += leveller.pairs()
            return leveller.accepted(done)
        self._pairs_known += self._samples.n_pairs
        if isinstance(work, Scan):
            return scan(self._sheet, work, self._samples, self._hint, done)
        if isinstance(work, Refine):
            return refine(self._sheet, work, self._samples, self._capacity, self._hint, done)
        raise TypeError(f"no way to do {type(work).__name__} on a device")

    def _done(self, pairs: int) -> None:
        self._pairs_done += pairs
        if self._progress is not None:
            self._progress(self._pairs_done, self._pairs_known)
