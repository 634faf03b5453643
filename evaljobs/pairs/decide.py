"""Find operating points in what a scan kept, or in what a refining pass counted; or say what is still needed.

Reasoning (docs/exact-verification.md): with bin ``b`` holding the impostor of filter rank ``allowed + 1``, the impostor
of that rank by score, the *blocker*, lies in ``[low(b), high(b)]``. Pairs more than `reach` bins above are accepted,
those as far below rejected, and the pairs between are decided by their scores.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counts, Int64
from evaljobs.pairs.keys import from_key, to_key
from evaljobs.pairs.points import Found, find_sorted, least
from evaljobs.pairs.pool import Pool
from evaljobs.pairs.refine import NONE_LOW, Ladder, Refine, Refined, Scores


@dataclasses.dataclass(frozen=True)
class Pending:
    """A point that is not found yet.

    Attributes
    ----------
    low, high
        Keys between which the missing score lies, both inclusive.
    windows
        First and last bins of the pairs whose scores would decide it.
    found
        None while the blocker is missing; all but the threshold where that is missing.
    inside
        At least so many pairs have scores between them; 0 where their scores are not needed.
    """

    allowed: int
    low: int
    high: int
    windows: tuple[tuple[int, int], ...]
    found: Found | None = None
    inside: int = 0


def _first(counts: Int64, start: int) -> int | None:
    """Return the first bin from `start` that is not empty."""
    occupied = np.flatnonzero(counts[start:])
    return start + int(occupied[0]) if len(occupied) else None


def find_in_pool(bins: Bins, counts: Counts, pool: Pool, allowed: int) -> Found | Pending:
    """Find the operating point from counts and kept pairs."""
    n_impostor = int(counts.impostor.sum())
    if allowed >= n_impostor:
        everything = Found(None, None, n_impostor, int(counts.genuine.sum()))
        return _threshold_in_pool(bins, _first(counts.all, 0), pool, everything, Pending(allowed, 0, 0, ()))
    from_top = np.cumsum(counts.impostor[::-1])
    b = bins.count - 1 - int(np.searchsorted(from_top, allowed + 1))
    first, last = max(0, b - bins.reach), min(bins.count - 1, b + bins.reach)
    pending = Pending(allowed, to_key(bins.low(b)), to_key(bins.high(b)), ((first, last),), inside=int(counts.all[b]))
    impostor_above, genuine_above = int(counts.impostor[last + 1 :].sum()), int(counts.genuine[last + 1 :].sum())
    divided = pool.divide(first, last, allowed + 1 - impostor_above)
    if divided is None:
        return pending
    found = divided._replace(
        false_positives=impostor_above + divided.false_positives, true_positives=genuine_above + divided.true_positives
    )
    return _threshold_in_pool(bins, _first(counts.all, last + 1), pool, found, pending)


def _threshold_in_pool(bins: Bins, b: int | None, pool: Pool, found: Found, pending: Pending) -> Found | Pending:
    """Lower the threshold found so far to the smallest score from bin `b` up, where that is smaller."""
    if b is None or (found.threshold is not None and found.threshold <= bins.low(b)):
        return found
    last = min(bins.count - 1, b + bins.reach)
    scores = pool.scores(b, last)
    if scores is None:
        return _pending_threshold(bins, found, b, dataclasses.replace(pending, windows=(*pending.windows, (b, last))))
    thresholds = [t for t in (found.threshold, least(*scores)) if t is not None]
    return found._replace(threshold=min(thresholds))


def _pending_threshold(bins: Bins, found: Found, b: int, pending: Pending) -> Pending:
    """Give the interval of the threshold: above the blocker, and no higher than what bin `b` surely holds."""
    low = to_key(bins.low(b)) if found.blocker is None else to_key(found.blocker) + 1
    high = to_key(bins.high(b))
    if found.threshold is not None:
        high = min(high, to_key(found.threshold))
    return dataclasses.replace(pending, low=low, high=high, found=found, inside=0)


def find_refined(work: Refine, evidence: Refined, q: int, pending: Pending) -> Found | Pending:
    """Find the operating point, or a narrower interval, from a refining pass whose interval `q` was the pending one."""
    ladder, counts = evidence.ladder, evidence.counts
    occupied = np.flatnonzero(ladder.impostor[q] + ladder.genuine[q])
    if pending.found is not None:
        return pending.found._replace(threshold=from_key(int(ladder.least[q, occupied[0]])))
    # Above the interval for certain: pairs of higher bins that were not scored, and scored pairs.
    above_window = work.flags() == 0
    above_window[: work.window(q)[1] + 1] = False
    impostor_above = int(counts.impostor[above_window].sum() + ladder.impostor_above[q])
    genuine_above = int(counts.genuine[above_window].sum() + ladder.genuine_above[q])
    rank = pending.allowed + 1 - impostor_above
    if evidence.held is None:
        divided = _divide_steps(ladder, q, rank, pending)
    else:
        divided = _divide_held(evidence.held, rank, pending)
    if isinstance(divided, Pending):
        return divided
    thresholds = [divided.threshold] if divided.threshold is not None else []
    if ladder.least_above[q] != NONE_LOW:
        thresholds.append(from_key(int(ladder.least_above[q])))
    threshold = min(thresholds, default=None)
    found = Found(
        divided.blocker, threshold, impostor_above + divided.false_positives, genuine_above + divided.true_positives
    )
    b = _first(np.where(above_window, counts.all, 0), 0)
    if b is None or (threshold is not None and threshold <= work.bins.low(b)):
        return found
    return _pending_threshold(work.bins, found, b, pending)


def _divide_held(held: tuple[Scores, ...], rank: int, pending: Pending) -> Found | Pending:
    """Divide the scores of an interval by the impostor with a rank from their top."""
    low, high = from_key(pending.low), from_key(pending.high)
    several = (np.concatenate(kind) for kind in zip(*held, strict=True))
    impostor, genuine = (np.sort(kind[(kind >= low) & (kind <= high)]) for kind in several)
    return find_sorted(impostor, genuine, rank - 1)


def _divide_steps(ladder: Ladder, q: int, rank: int, pending: Pending) -> Found | Pending:
    """Divide the steps of an interval likewise; or give the narrower one in which the impostor's score lies."""
    from_top = np.cumsum(ladder.impostor[q][::-1])
    step = len(from_top) - 1 - int(np.searchsorted(from_top, rank))
    low, high = int(ladder.least[q, step]), int(ladder.greatest[q, step])
    if low != high:
        inside = int(ladder.impostor[q, step] + ladder.genuine[q, step])
        return dataclasses.replace(pending, low=low, high=high, inside=inside)
    least_above = int(ladder.least[q, step + 1 :].min(initial=NONE_LOW))
    return Found(
        from_key(low),
        None if least_above == NONE_LOW else from_key(least_above),
        int(ladder.impostor[q, step + 1 :].sum()),
        int(ladder.genuine[q, step + 1 :].sum()),
    )
