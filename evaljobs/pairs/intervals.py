"""95% intervals from replicates, each with one group left out, and the groups that are left out.

Pairs that share an identity move together, so the independent units are identities, not pairs: the delete-a-group
jackknife (Kott, *The delete-a-group jackknife*, Journal of Official Statistics 17(4), 2001), with fewer degrees of
freedom where few groups decide. What the intervals cover is measured in benchmarks/intervals.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Ends = Callable[[float, float], tuple[float, float]]  # of an interval in logits: of its centre and a half-width

CONFIDENCE = 0.95
_MOST_LOGITS = 1.0  # how far a group may move a share: without a bound, one that makes most errors says "anything"
_POWER = 5 / 3  # of the rate of clustered errors, that their variance follows


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of two numbers of two models on the same samples.

    Attributes
    ----------
    value
        The first number less the second.
    low, high
        The ends of its 95% interval; None where no replicate of the difference varies, and nothing can be said.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def zero_inside(self) -> bool | None:
        """Whether the interval holds 0, ends included; None without one."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def even_ends(centre: float, half: float) -> tuple[float, float]:
    """Return ``centre -+ half``."""
    return centre - half, centre + half


def auroc_ends(centre: float, half: float) -> tuple[float, float]:
    """Return the ends of the interval of an AUROC, in logits: further where the errors are more.

    A few hard identities make nearly all errors. A set that happens to lack some of them shows too few errors, and
    groups that agree on it. So rates e of errors are tested one by one, each with the variance that errors would have
    if it were the true one (Wilson, *Probable inference, the law of succession, and statistical inference*, Journal of
    the American Statistical Association 22, 1927): the ends solve ``|e - e0| = h sqrt(V(e) / V(e0))``, where e0 is the
    rate that was found and h the half-width there. Errors in clusters, as many as Poisson has it and each of a size
    that is gamma distributed, have ``V(e) = e^p`` with p from 1 to 2 (Jorgensen, *Exponential dispersion models*,
    Journal of the Royal Statistical Society B 49, 1987): 5/3 for a shape of 1/2, that of squares of normal numbers.
    Here V is ``(e (1 - e))^p``, so that errors and what is right are treated alike.

    Parameters
    ----------
    centre
        The logit of the AUROC.
    half
        Half the width of an interval around it, more than 0.
    """
    error = logistic(-centre)
    return centre - _reach(error, half, 1), centre + _reach(error, half, -1)


def _reach(error: float, half: float, side: int) -> float:
    """Return how far the end of more errors (side 1), or of fewer (-1), is from their rate, in logits.

    With ``g = exp(x) - 1`` the rate x logits on is ``e + e (1 - e) g / (1 + e g)``. In logits h is ``h / (e (1 - e))``.
    """

    def compatible(x: float) -> bool:
        grown = math.expm1(side * x)
        return abs(grown) * math.pow(1 + error * grown, _POWER - 1) <= half * math.exp(side * x * _POWER / 2)

    low, high = 0.0, 1.0
    while compatible(high):
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if compatible(middle) else (low, middle)
    return low


def interval(
    estimate: float | None, replicates: Sequence[float | None], ends: Ends = even_ends
) -> tuple[float, float] | None:
    """Return the 95% interval of a share, such as a TPR or an AUROC.

    It is symmetric on the logit scale, ``logit(p) +- half_width(logit(r))``, but for that of an AUROC. A replicate's
    logit is taken as at most 1 away from that of p, hence its odds as at most e times higher or lower. Where p is 0 or
    1, where that scale ends, it is ``p +- half_width(r)``, cut off at 0 and 1.

    Parameters
    ----------
    estimate
        The share among all samples, in [0, 1].
    replicates
        The same without each of G groups.
    ends
        `auroc_ends` for an AUROC.

    Returns
    -------
    Both ends, with the estimate between them; None where the estimate or a replicate is undefined, where there are
    fewer than two replicates, or where they do not vary.
    """
    shares = _defined(replicates)
    if estimate is None or shares is None:
        return None
    if not 0 < estimate < 1:
        half = half_width(shares)
        return None if half is None else (max(0.0, estimate - half), min(1.0, estimate + half))
    centre = logit(estimate)
    half = half_width(moved(logits(shares), centre))
    if half is None:
        return None
    low, high = ends(centre, half)
    return logistic(low), logistic(high)


def difference(
    a: float | None,
    b: float | None,
    replicates_a: Sequence[float | None],
    replicates_b: Sequence[float | None],
    ends: Ends = even_ends,
) -> Difference | None:
    """Return ``a - b`` for two shares of two models on the same samples, with its 95% interval.

    Two shares have a level, the mean l of their logits, and a distance e of their logits; the difference follows from
    both: ``D(l, e) = p(l + e / 2) - p(l - e / 2)``. What makes a sample easy or hard for both models cancels out in e.
    And a set that happens to have too few of the hard ones understates the errors of both in proportion, so the
    difference too; but not e. Each of l and e has an interval as a share has, and that of D is put together from these
    (Zou and Donner, *Construction of confidence limits about effect measures*, Statistics in Medicine 27, 2008): its
    arms are ``sqrt(x^2 + y^2 + 2 r x y)``, where x and y are how far D moves to the ends of l and of e, and r is the
    correlation of l and e over the replicates, negated where one of them rises and the other falls on the way.

    Where a or b is 0 or 1, where logits end, it is ``a - b +- half_width(r_a - r_b)``, cut off at -1 and 1.

    Parameters
    ----------
    a, b
        The shares among all samples.
    replicates_a, replicates_b
        The same without each group: the same groups, in the same order.
    ends
        `auroc_ends` for AUROCs. Of the level, no end is nearer than that of `even_ends`.

    Returns
    -------
    None where a number is undefined, where the replicates are not equally many, or are fewer than two. Where the
    differences of the replicates do not vary, as for a model and itself, there is a value, but no interval.
    """
    of_a, of_b = _defined(replicates_a), _defined(replicates_b)
    if a is None or b is None or of_a is None or of_b is None or len(of_a) != len(of_b):
        return None
    if 0 < a < 1 and 0 < b < 1:
        arms = _arms(logit(a), logit(b), moved(logits(of_a), logit(a)), moved(logits(of_b), logit(b)), ends)
    else:
        half = half_width(of_a - of_b)
        arms = None if half is None else (half, half)
    if arms is None:
        return Difference(a - b, None, None)
    return Difference(a - b, max(-1.0, a - b - arms[0]), min(1.0, a - b + arms[1]))


def _arms(a: float, b: float, moves_a: Float64, moves_b: Float64, ends: Ends) -> tuple[float, float] | None:
    """Return how far the interval of a difference reaches down and up, from logits and how replicates move them."""
    level, apart, value = (a + b) / 2, a - b, logistic(a) - logistic(b)
    moves_level, moves_apart = (moves_a + moves_b) / 2, moves_a - moves_b
    half_level, half_apart = half_width(moves_level), half_width(moves_apart)
    if half_apart is None:
        return None
    levels = (level, level) if half_level is None else _further(level, half_level, ends)

    def moved_to(level: float, apart: float) -> float:
        return logistic(level + apart / 2) - logistic(level - apart / 2) - value

    together = correlation(moves_level, moves_apart)
    by_level = [(moved_to(end, apart), side) for end, side in zip(levels, (-1, 1), strict=True)]
    (down, side_down), (up, side_up) = min(by_level), max(by_level)
    return (
        _joined(max(0.0, -down), -moved_to(level, apart - half_apart), -side_down * together),
        _joined(max(0.0, up), moved_to(level, apart + half_apart), side_up * together),
    )


def _further(level: float, half: float, ends: Ends) -> tuple[float, float]:
    """Return the ends of a level, each at least `half` away: nearer ones would call too many differences real."""
    low, high = ends(level, half)
    return min(low, level - half), max(high, level + half)


def _joined(x: float, y: float, together: float) -> float:
    return math.sqrt(max(0.0, x * x + y * y + 2 * together * x * y))


def correlation(a: Float64, b: Float64) -> float:
    """Return the correlation of two rows ``[G]``; 0 where one does not vary."""
    a, b = a - a.mean(), b - b.mean()
    both = math.sqrt(float(a @ a) * float(b @ b))
    return 0.0 if both == 0 else float(a @ b) / both


def half_width(replicates: Float64) -> float | None:
    """Return half the width of a 95% interval, ``t s``, of a number that is estimated without each of G groups.

    ``s^2 = (G - 1) / G sum d_g^2`` with ``d_g = r_g - mean r``, and ``t`` is a quantile of Student's distribution. Its
    degrees of freedom are Satterthwaite's (1946), ``2 s^4 / Var(s^2)``, with the fourth moment of d for the variance
    of the variance: ``(G - 1) 2 / (k - 1)`` for a kurtosis k of more than 3, else G - 1.

    Parameters
    ----------
    replicates
        ``[G]`` float64, G at least 2.

    Returns
    -------
    None where the replicates do not vary.
    """
    if replicates.min() == replicates.max():
        return None
    groups = len(replicates)
    deviations = replicates - replicates.mean()
    largest = float(abs(deviations).max())
    squares = (deviations / largest) ** 2  # so that no power underflows
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    error = largest * math.sqrt((groups - 1) * float(squares.mean()))
    return student((groups - 1) * 2 / max(2.0, kurtosis - 1)) * error


def student(freedom: float) -> float:
    """Return how many standard errors a 95% interval reaches to either side: a quantile of Student's distribution."""
    # Here, for it takes longer to load than everything else of this module. scipy has no annotations.
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def logit(share: float) -> float:
    """Return ``log(p / (1 - p))`` of a share in (0, 1)."""
    return math.log(share) - math.log1p(-share)


def logits(shares: Float64) -> Float64:
    """Return the same of many shares in [0, 1]: infinite at the ends."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(shares) - np.log1p(-shares))


def logistic(x: float) -> float:
    """Return ``1 / (1 + exp(-x))``, the share of a logit, without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def moved(replicates: Float64, centre: Float64 | float) -> Float64:
    """Return how far logits of replicates are from those of all samples: at most 1, and 0 where both are infinite."""
    with np.errstate(invalid="ignore"):
        moves = np.clip(replicates - centre, -_MOST_LOGITS, _MOST_LOGITS)
    return np.where(np.isnan(moves), 0.0, moves)


def group_of_labels(labels: Sequence[str | int], groups: int) -> Int64:
    """Deal labels to groups in turn, in the order of their hashes: so groups have equally many, or one more.

    Which label is of which group depends on the set of labels alone, not on their order.

    Parameters
    ----------
    labels
        Different labels, texts or integers: the integer 1 and the text "1" are not the same.
    groups
        How many, at most as many as labels.

    Returns
    -------
    The group of each label, ``[len(labels)]`` int64.
    """
    group = np.empty(len(labels), np.int64)
    group[_by_hash(labels)] = np.arange(len(labels)) % groups
    return group


def group_of_samples(codes: Int64, labels: Sequence[str | int], groups: int) -> Int64:
    """Deal samples to groups: label after label, in the order of their hashes, and each label's in the order given.

    So each group has its share of every label. Which sample is of which group depends on the labels and on the place of
    a sample among those of its label: the same samples in another order make other groups, as good as these.

    Parameters
    ----------
    codes
        ``[n]`` int64: the label of each sample, as a place in `labels`.
    labels
        Different labels, texts or integers.
    groups
        How many, at most n.

    Returns
    -------
    The group of each sample, ``[n]`` int64.
    """
    rank = np.empty(len(labels), np.int64)
    rank[_by_hash(labels)] = np.arange(len(labels))
    group = np.empty(len(codes), np.int64)
    group[np.argsort(rank[codes], kind="stable")] = np.arange(len(codes)) % groups
    return group


def _by_hash(labels: Sequence[str | int]) -> Int64:
    """Return the places of labels in the order of the sha256 of their texts, each after the letter of its type."""
    texts = [f"s{label}" if isinstance(label, str) else f"i{int(label)}" for label in labels]
    # Half a surrogate pair stands for a byte of a file name that is not UTF-8.
    digests = b"".join([hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts])
    first, second = np.frombuffer(digests, ">u8").reshape(-1, 4).astype(np.uint64).T[:2]
    order = np.argsort(first)
    if len(first) > 1 and bool((np.diff(first[order]) == 0).any()):
        order = np.lexsort((second, first))  # no two texts are known to share 128 bits
    return order


def _defined(replicates: Sequence[float | None]) -> Float64 | None:
    """Return replicates as numbers; None where one is undefined, or where there are fewer than two."""
    defined = np.array([r for r in replicates if r is not None], np.float64)
    return None if len(defined) < max(2, len(replicates)) else defined
