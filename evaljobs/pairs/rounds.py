"""Verification as a computation in rounds.

Small sets are scored whole. Others are probed, scanned once, and decided from what the scan kept. Where the guess of
the probe was wrong, the right windows are scanned again; where they hold more pairs than can be kept, refining passes
narrow them until every point is found.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import auroc, curve, histogram
from evaljobs.pairs.auroc import Auroc
from evaljobs.pairs.bins import Bins
from evaljobs.pairs.closer import Closer, Wanted, flags_between, look_closer
from evaljobs.pairs.collect import Collect
from evaljobs.pairs.count import Counts
from evaljobs.pairs.curve import Curve
from evaljobs.pairs.decide import Pending, find_in_pool, find_refined
from evaljobs.pairs.histogram import Histogram
from evaljobs.pairs.points import Found, Point, allowed_at, find_sorted, to_point
from evaljobs.pairs.pool import Pool
from evaljobs.pairs.probe import Probe, guess, guess_tails
from evaljobs.pairs.refine import Refine
from evaljobs.pairs.replicates import Replicates, replicate
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Flags, Scan, Scanned
from evaljobs.pairs.tiles import Tiles
from evaljobs.pairs.work import Rounds, total_of

_TILE = 1024
_LEAST_TILE = 32
_PACKED = 2**24  # numbers that each thread holds packed, 64 MB: beyond 16,384 dimensions tiles are smaller
_COLLECT_TILE = 256  # its scores, in float64, fit the cache
_NORMALISED = 2**21  # numbers of either side of a tile that a refining pass holds in float64, 16 MB
_LEAST_REFINE_TILE = 256  # whatever the dimensions
_PROBE_SHARE = 256  # one pair in so many is probed; fewer of very large sets
_PROBE_SIZE = 2048
_FILLED = 0.75  # part of what can be kept that a guess may fill, by the sample, which may be off
_NOTHING = Wanted()


@dataclasses.dataclass(frozen=True)
class Limits:
    """What bounds the memory; no result depends on it, but whether the AUROC is exact.

    Attributes
    ----------
    tile
        Positions a tile is wide and high; None for what is fastest.
    collected
        Most pairs whose scores are all held, 8 bytes each; sets with more are scanned.
    kept
        Most pairs that a scan keeps, 12 bytes each, and most scores that a refining pass holds, 8 bytes each.
    """

    tile: int | None = None
    collected: int = 10_000_000
    kept: int = 2**22

    def tile_of(self, samples: Samples) -> int:
        """Return the tile for some samples."""
        if self.tile is not None:
            return self.tile
        return max(_LEAST_TILE, min(_TILE, _PACKED // int(samples.rows.shape[1])))

    def refine_tile_of(self, samples: Samples) -> int:
        """Return the tile of refining passes, all of whose rows may have to be normalised."""
        return min(self.tile_of(samples), max(_LEAST_REFINE_TILE, _NORMALISED // int(samples.rows.shape[1])))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the rounds end with.

    Attributes
    ----------
    curve_error
        How far the scores behind the curve and the histogram can be from those of the definition.
    replicates
        None where the samples are not in groups.
    closer
        None where nothing of it was wanted.
    """

    points: tuple[Point, ...]
    auroc: Auroc | None
    curve: Curve
    histogram: Histogram
    curve_error: float = 0.0
    replicates: Replicates | None = None
    closer: Closer | None = None


def rounds(  # noqa: PLR0913, PLR0917 - what is computed, within what, and with which filters
    samples: Samples,
    targets: tuple[float, ...],
    limits: Limits,
    wanted: Wanted = _NOTHING,
    bins: Bins | None = None,
    fine: Bins | None = None,
) -> Rounds[Outcome]:
    """Verify in rounds: yield work, be sent the sum of its evidence, return the outcome.

    Parameters
    ----------
    wanted
        What is found beside the points.
    bins
        Those of the filter that the work will be carried out with; of the float32 product where absent.
    fine
        Those for refining passes, whose cost is the pairs that the filter leaves undecided; `bins` where absent.
    """
    bins = bins or Bins(samples.rows.shape[1])
    if samples.n_pairs <= limits.collected:
        return (yield from _collected(samples, targets, limits, wanted, bins))
    return (yield from _scanned(samples, targets, limits, wanted, bins, fine or bins))


def _points(samples: Samples, targets: tuple[float, ...], found: dict[int, Found]) -> tuple[Point, ...]:
    n_genuine, n_impostor = samples.n_genuine, samples.n_impostor
    allowed = [allowed_at(target, n_impostor) for target in targets]
    return tuple(to_point(t, a, found[a], n_genuine, n_impostor) for t, a in zip(targets, allowed, strict=True))


def _collected(
    samples: Samples, targets: tuple[float, ...], limits: Limits, wanted: Wanted, bins: Bins
) -> Rounds[Outcome]:
    tiles = samples.tiles(min(limits.tile_of(samples), _COLLECT_TILE))
    impostor, genuine = (yield from total_of(Collect(tiles))).sorted()
    allowed = {allowed_at(target, len(impostor)) for target in targets}
    points = _points(samples, targets, {a: find_sorted(impostor, genuine, a) for a in allowed})
    drawn = curve.from_sorted(impostor, genuine, points), histogram.from_sorted(impostor, genuine)
    outcome = Outcome(points, auroc.from_sorted(impostor, genuine), *drawn)
    if not wanted and not samples.n_groups:
        return outcome
    tails = wanted.tails(len(impostor), len(genuine), (p.false_positives or 0 for p in points))
    flags = flags_between(
        bins,
        float(impostor[-tails[0]]) if tails[0] else None,
        float(genuine[tails[1] - 1]) if tails[1] else None,
        margin=bins.reach + 2,  # the scan knows scores by their bins
    )
    scan = Scan(samples.tiles(limits.tile_of(samples)), bins, flags, limits.kept, samples.n_groups)
    scanned = yield from total_of(scan)
    return (yield from _completed(samples, scan, scanned, scanned.pool(samples, bins), outcome, wanted))


def _scanned(  # noqa: PLR0913, PLR0917 - as `rounds`
    samples: Samples, targets: tuple[float, ...], limits: Limits, wanted: Wanted, bins: Bins, fine: Bins
) -> Rounds[Outcome]:
    n_impostor = samples.n_impostor
    allowed = tuple(sorted({allowed_at(target, n_impostor) for target in targets}))
    sampled = yield from total_of(_probe(samples, bins))
    flags = _guess(samples, bins, sampled, allowed, limits, wanted)
    scan = Scan(samples.tiles(limits.tile_of(samples)), bins, flags, limits.kept, samples.n_groups)
    scanned = yield from total_of(scan)
    pool = scanned.pool(samples, bins)
    scanned = dataclasses.replace(scanned, kept=None)  # the pool has them in order
    found, pending = _decide(bins, scanned.counts, pool, allowed)
    flags = _flags(bins, pending)
    if pending and int(scanned.counts.all[flags == 1].sum()) <= limits.kept:
        more, pending = yield from _scanned_again(samples, scan, flags, tuple(p.allowed for p in pending))
        found |= more
    found |= yield from _refined(samples.tiles(limits.refine_tile_of(samples)), fine, pending, limits.kept)
    points = _points(samples, targets, found)
    drawn = curve.from_counts(scanned.counts, bins, points), histogram.from_counts(scanned.counts, bins)
    outcome = Outcome(points, auroc.from_counts(scanned.counts, bins.reach), *drawn, curve_error=bins.error)
    return (yield from _completed(samples, scan, scanned, pool, outcome, wanted))


def _scanned_again(
    samples: Samples, scan: Scan, flags: NDArray[np.uint8], allowed: tuple[int, ...]
) -> Rounds[tuple[dict[int, Found], tuple[Pending, ...]]]:
    """Decide points by other pairs, which are held no longer than this takes."""
    scanned = yield from total_of(dataclasses.replace(scan, flags=np.stack((flags, flags)), n_groups=0))
    return _decide(scan.bins, scanned.counts, scanned.pool(samples, scan.bins), allowed)


def _probe(samples: Samples, bins: Bins) -> Probe:
    smaller = min(samples.gallery, samples.n - samples.gallery) if samples.gallery else samples.n
    size = max(1, min(smaller // _PROBE_SHARE, _PROBE_SIZE))
    return Probe(samples.n, size, bins, samples.gallery)


def _guess(  # noqa: PLR0913, PLR0917 - what was sampled, and what is to be found
    samples: Samples, bins: Bins, sampled: Counts, allowed: tuple[int, ...], limits: Limits, wanted: Wanted
) -> Flags:
    """Guess the bins whose pairs decide the points, and those of what is wanted beside."""
    most = limits.kept * _FILLED * float(sampled.all.sum()) / samples.n_pairs
    tails = wanted.tails(samples.n_impostor, samples.n_genuine, allowed)
    flags = guess_tails(bins, sampled, tails, (samples.n_impostor, samples.n_genuine), most / 2)
    held = float(sampled.impostor[flags[0] == 1].sum() + sampled.genuine[flags[1] == 1].sum())
    both: Flags = guess(bins, sampled, allowed, samples.n_impostor, most - held)
    return flags | both


def _completed(  # noqa: PLR0913, PLR0917 - all that was found so far
    samples: Samples,
    scan: Scan,
    scanned: Scanned,
    pool: Pool,
    outcome: Outcome,
    wanted: Wanted,
) -> Rounds[Outcome]:
    """Add to the outcome what the same scan tells beside the points."""
    if scanned.groups is not None:
        found = replicate(scanned.counts, scanned.groups, outcome.points, scan.bins.fold)
        outcome = dataclasses.replace(outcome, replicates=found)
    if wanted:
        closer = yield from look_closer(samples, scan, scanned.counts, pool, outcome.points, wanted)
        outcome = dataclasses.replace(outcome, closer=closer)
    return outcome


def _decide(
    bins: Bins, counts: Counts, pool: Pool, allowed: tuple[int, ...]
) -> tuple[dict[int, Found], tuple[Pending, ...]]:
    decided = {a: find_in_pool(bins, counts, pool, a) for a in allowed}
    found = {a: f for a, f in decided.items() if isinstance(f, Found)}
    return found, tuple(f for f in decided.values() if isinstance(f, Pending))


def _flags(bins: Bins, pending: tuple[Pending, ...]) -> NDArray[np.uint8]:
    """Flag the windows that were missing, wider: products of another pass may differ in their last bits."""
    flags = np.zeros(bins.count, np.uint8)
    for first, last in (window for p in pending for window in p.windows):
        flags[max(0, first - 2) : last + bins.reach + 3] = 1
    return flags


def _refined(tiles: Tiles, bins: Bins, pending: tuple[Pending, ...], budget: int) -> Rounds[dict[int, Found]]:
    found: dict[int, Found] = {}
    while pending:
        inside = {(p.low, p.high): p.inside for p in pending}
        intervals = sorted(inside)
        low, high = np.array(intervals, np.int64).T
        fits = 0 < max(inside.values()) <= budget  # else scores would be collected, and sent, to be thrown away
        work = Refine(tiles, bins, np.ascontiguousarray(low), np.ascontiguousarray(high), budget if fits else 0)
        evidence = yield from total_of(work)
        decided = [find_refined(work, evidence, intervals.index((p.low, p.high)), p) for p in pending]
        found |= {p.allowed: f for p, f in zip(pending, decided, strict=True) if isinstance(f, Found)}
        pending = tuple(f for f in decided if isinstance(f, Pending))
    return found
