"""95% intervals from replicates, each with one group left out, and the groups that are left out.

Pairs that share an identity move together, so the independent units are identities, not pairs: the delete-a-group
jackknife (Kott, *The delete-a-group jackknife*, Journal of Official Statistics 17(4), 2001). Two corrections are for
the case that few identities decide: fewer degrees of freedom, and ends that are not symmetric. What the intervals cover
is measured in benchmarks/intervals.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

CONFIDENCE = 0.95


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


def interval(estimate: float | None, replicates: Sequence[float | None]) -> tuple[float, float] | None:
    """Return the 95% interval of a share, such as a TPR or an AUROC: `jackknife` on the logit scale.

    Where a replicate is exactly 0 or 1, where that scale ends, replicates are put there by the delta method: as
    ``(r - p) / (p (1 - p))`` from the share p among all. Where p itself is 0 or 1, the interval is made on the linear
    scale, and cut off at 0 and 1.

    Parameters
    ----------
    estimate
        The share among all samples, in [0, 1].
    replicates
        The same without each of G groups.

    Returns
    -------
    Both ends, with the estimate between them; None where the estimate or a replicate is undefined, where there are
    fewer than two replicates, or where they do not vary.
    """
    shares = _varying(replicates)
    if estimate is None or shares is None:
        return None
    slope = estimate * (1 - estimate)
    if slope <= 0:
        low, high = jackknife(estimate, shares)
        return max(0.0, low), min(1.0, high)
    inside = bool(shares.min() > 0 and shares.max() < 1)
    on_scale = np.log(shares / (1 - shares)) if inside else (shares - estimate) / slope
    low, high = jackknife(math.log(estimate / (1 - estimate)), on_scale)
    return _logistic(low), _logistic(high)


def difference(
    a: float | None, b: float | None, replicates_a: Sequence[float | None], replicates_b: Sequence[float | None]
) -> Difference | None:
    """Return ``a - b`` for two shares of two models on the same samples, with its 95% interval.

    The interval is that of `jackknife` for the differences of the replicates, cut off at -1 and 1: what makes a sample
    easy or hard for both models cancels out.

    Parameters
    ----------
    a, b
        The shares among all samples.
    replicates_a, replicates_b
        The same without each group: the same groups, in the same order.

    Returns
    -------
    None where a number is undefined, where the replicates are not equally many, or are fewer than two. Where the
    differences of the replicates do not vary, as for a model and itself, there is a value, but no interval.
    """
    if a is None or b is None or len(replicates_a) != len(replicates_b) or len(replicates_a) < 2:
        return None
    pairs = [(x, y) for x, y in zip(replicates_a, replicates_b, strict=True) if x is not None and y is not None]
    if len(pairs) < len(replicates_a):
        return None
    differences = _varying([x - y for x, y in pairs])
    if differences is None:
        return Difference(a - b, None, None)
    low, high = jackknife(a - b, differences)
    return Difference(a - b, max(-1.0, low), min(1.0, high))


def jackknife(estimate: float, replicates: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of a number that is estimated without each of G groups.

    The variance is ``s^2 = (G - 1) / G sum d_g^2`` with ``d_g = mean r - r_g``, what group g adds. The degrees of
    freedom are ``min(1, 2 / (k - 1)) (G - 1)``, with the kurtosis k of d: Satterthwaite's (1946), ``2 s^4 / Var(s^2)``,
    where a few groups make up most of the variance. The ends are those of Student's t, mapped by Hall's cubic (*On the
    removal of skewness by transformation*, Journal of the Royal Statistical Society B 54(1), 1992): not ``T = (estimate
    - truth) / s`` has about that distribution, but ``T + c T^2 / 3 + c^2 T^3 / 27 + c / 6``, with the skewness of the
    estimate, ``c = skewness of d / sqrt(G)``.

    Parameters
    ----------
    replicates
        ``[G]`` float64, not all equal.
    """
    from scipy.special import stdtrit  # here, for it takes longer to load than everything else of this module

    groups = len(replicates)
    added = replicates.mean() - replicates
    unit = float(abs(added).max())  # so that no power underflows
    added = added / unit
    variance, third, fourth = (float((added**power).mean()) for power in (2, 3, 4))
    error = unit * math.sqrt((groups - 1) * variance)
    freedom = (groups - 1) * 2 / max(2.0, fourth / variance**2 - 1)
    skewness = third / variance**1.5 / math.sqrt(groups)
    t = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return estimate - error * _unskewed(t, skewness), estimate - error * _unskewed(-t, skewness)


def group_of_labels(labels: Sequence[str | int], groups: int, sizes: Sequence[int] | Int64 | None = None) -> Int64:
    """Deal labels to groups: those with most samples first, equal ones in the order of their hashes, to and fro.

    So groups have equally many labels, or one more, and about equally many samples. Which label is of which group does
    not depend on the order of the labels.

    Parameters
    ----------
    labels
        Different labels, texts or integers: the integer 1 and the text "1" are not the same.
    groups
        How many, at most as many as labels.
    sizes
        Samples of each label; taken as equal where absent.

    Returns
    -------
    The group of each label, ``[len(labels)]`` int64.
    """
    order = _by_hash(labels)
    if sizes is not None:
        order = order[np.argsort(-np.asarray(sizes, np.int64)[order], kind="stable")]
    turn, place = np.divmod(np.arange(len(labels)), groups)
    group = np.empty(len(labels), np.int64)
    group[order] = np.where(turn % 2 == 0, place, groups - 1 - place)
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


def _varying(replicates: Sequence[float | None]) -> NDArray[np.float64] | None:
    """Return replicates as numbers; None where one is undefined, or where they are too few or do not vary."""
    defined = np.array([r for r in replicates if r is not None], np.float64)
    if len(defined) < max(2, len(replicates)) or defined.min() == defined.max():
        return None
    return defined


def _unskewed(quantile: float, skewness: float) -> float:
    """Return the T at which Hall's cubic, ``((1 + c T / 3)^3 - 1) / c + c / 6``, has a value."""
    if abs(skewness) < 1e-6:
        return quantile
    return 3 / skewness * (math.cbrt(1 + skewness * (quantile - skewness / 6)) - 1)


def _logistic(x: float) -> float:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
