"""A differential self-check: the fast path against scikit-learn, on a part of the samples.

The scores that scikit-learn is given come from plain numpy, written from the definition on its own: none of the code
that scores, filters, counts or decides in a verification takes part.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.points import FEW_ERRORS, Flag, Point
from evaljobs.pairs.rounds import Limits, Outcome, rounds
from evaljobs.pairs.samples import Samples, as_rows, expect_lengths, prepare
from evaljobs.pairs.threads import run_rounds

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
CarryOut = Callable[[Samples, tuple[float, ...], Limits], Outcome]

_LABELS = 20  # a label gives at most the size divided by this, so that a few large ones are not all there is
_BLOCK = 64
# What inconsistent counts end in: a finding of the check, not its end. Trouble with memory or a device is not caught.
_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError)
_TRAPEZOIDS = 1e-9  # scikit-learn adds the AUROC up in floats, some 1e-16 a term


class _Way(NamedTuple):
    """One way through the code, and its name."""

    name: str
    limits: Limits
    n_groups: int


# The filter decides in all of them: alone, counting by groups as intervals need it, and with refining passes.
_WAYS = (
    _Way("tile 512", Limits(tile=512, collected=0), 0),
    _Way("tile 193, 20 groups", Limits(tile=193, collected=0), 20),
    _Way("tile 512, nothing kept", Limits(tile=512, collected=0, kept=0), 0),
)


@dataclasses.dataclass(frozen=True)
class SelfCheck:
    """How a part of the samples came out.

    Attributes
    ----------
    n_samples, n_genuine, n_impostor
        Samples that were drawn, and their pairs.
    differences
        What the fast path found and scikit-learn did not, a text each; or where it failed.
    """

    n_samples: int
    n_genuine: int
    n_impostor: int
    differences: tuple[str, ...]

    @property
    def n_pairs(self) -> int:
        """Number of pairs that were compared."""
        return self.n_genuine + self.n_impostor

    @property
    def agreed(self) -> bool:
        """Whether nothing differed."""
        return not self.differences


def self_check(  # noqa: PLR0913 - what is checked, how much of it, and how
    embeddings: object,
    labels: object,
    fpr: tuple[float, ...],
    size: int = 2000,
    seed: int = 0,
    *,
    carry_out: CarryOut | None = None,
) -> SelfCheck:
    """Verify a part of the samples by the fast path and by scikit-learn, and compare.

    The part is small enough to be scored whole by the definition, but the fast path is made to filter, count, keep
    and refine as for a large set, in several ways. Compared, for each of them and each target, with
    ``sklearn.metrics.roc_curve(..., drop_intermediate=False)`` at its last point with no more than `allowed` false
    positives:

    - the numbers of genuine and impostor pairs, `allowed`, false and true positives: equal as integers;
    - threshold, next impostor score, FPR and TPR: equal to the last bit;
    - the flags;
    - AUROC: scikit-learn's lies within the certified bounds, up to the rounding of its sum, 1e-9.

    It takes some seconds, and about 100 bytes a pair: 200 MB for 2,000 samples.

    Parameters
    ----------
    embeddings, labels
        As `verify` takes them: ``[n, d]`` and ``n``.
    fpr
        Targets, floats whose repr is the decimal that was written.
    size
        Most samples that are drawn, at least 2; all where there are no more.
    seed
        Which samples are drawn: whole labels at random, half of them with more than one sample where there are such;
        of large labels a part.
    carry_out
        Carries a verification out, from samples, targets and limits; a thread of this process where absent.

    Raises
    ------
    InputError
        If embeddings, labels or the size are not what is expected.
    NonFiniteError
        If a drawn embedding is not finite, or all zero.
    """
    if size < 2:
        raise InputError(f"found a self-check of {size} sample(s); expected at least 2, to make a pair")
    codes, _ = factorise(labels)
    rows, _ = as_rows(embeddings)
    expect_lengths(len(rows), labels=len(codes))
    drawn = draw(codes, size, seed)
    rows, codes = rows[drawn], codes[drawn]
    prepared = [prepare(rows, codes, n_groups=way.n_groups) for way in _WAYS]
    reference = _Reference(rows, codes)
    texts: list[str] = []
    for way, samples in zip(_WAYS, prepared, strict=True):
        try:
            outcome = (carry_out or _in_a_thread)(samples, fpr, way.limits)
        except _FAULTS as error:
            texts.append(f"{way.name}: failed with {type(error).__name__}: {error}")
            continue
        texts += [f"{way.name}: {text}" for text in _differences(samples, outcome, reference, fpr)]
    return SelfCheck(len(drawn), reference.n_genuine, reference.n_impostor, tuple(texts))


def _in_a_thread(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
    return run_rounds(rounds(samples, targets, limits), samples, 1)


def draw(codes: Int64, size: int, seed: int) -> Int64:
    """Draw samples, whole labels where they are small.

    Parameters
    ----------
    codes
        ``[n]`` int64: the label of each sample, numbered from 0.

    Returns
    -------
    ``[at most size]`` int64: rows, ascending.
    """
    if len(codes) <= size:
        return np.arange(len(codes))
    rng = np.random.default_rng(seed)
    members = np.bincount(codes)
    rows = rng.permutation(len(codes))
    turn = rng.permutation(len(members))
    rows = rows[np.argsort(turn[codes[rows]], kind="stable")]  # labels in random order, their samples likewise
    turns = turn[codes[rows]]
    most = max(2, size // min(_LABELS, len(members)))
    rows = rows[np.arange(len(rows)) - np.searchsorted(turns, turns) < most]
    paired = members[codes[rows]] > 1
    first = np.flatnonzero(paired)[: size // 2]
    rest = np.setdiff1d(np.arange(len(rows)), first)[: size - len(first)]  # labels are in random order still
    return np.sort(rows[np.concatenate((first, rest))])


def score_all(rows: NDArray[Any]) -> Float64:
    """Score every pair i < j by the definition, with plain numpy.

    Parameters
    ----------
    rows
        ``[n, d]``, rounded to float32 as `verify` does.

    Returns
    -------
    ``[n (n - 1) / 2]`` float64, row by row. Products and sums are operations of their own, so none is fused, and
    sums run in index order from zero.
    """
    columns = np.ascontiguousarray(np.asarray(rows, np.float32).T, dtype=np.float64)
    d, n = columns.shape
    squares = np.zeros(n)
    for k in range(d):
        squares += columns[k] * columns[k]
    columns /= np.sqrt(squares)
    found = []
    for i in range(0, n, _BLOCK):  # a block's sums stay in the cache
        total = np.zeros((min(_BLOCK, n - i), n - i))
        product = np.empty_like(total)
        for k in range(d):
            np.multiply.outer(columns[k, i : i + _BLOCK], columns[k, i:], out=product)
            total += product
        found += [total[r, r + 1 :] for r in range(len(total))]
    return np.concatenate(found)


class _Reference:
    """What scikit-learn makes of all pairs, `codes` being the label of each row."""

    def __init__(self, rows: NDArray[Any], codes: Int64) -> None:
        from sklearn.exceptions import UndefinedMetricWarning
        from sklearn.metrics import auc, roc_curve

        scores = score_all(rows)
        same = np.concatenate([codes[i + 1 :] == codes[i] for i in range(len(codes))])
        self.n_genuine = int(same.sum())
        self.n_impostor = len(same) - self.n_genuine
        with warnings.catch_warnings():  # of pairs of one kind alone: their counts are not used
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            fpr, tpr, self._thresholds = roc_curve(same.astype(np.int64), scores, drop_intermediate=False)
        self._false = _counted(fpr, self.n_impostor)
        self._true = _counted(tpr, self.n_genuine)
        self.auroc = float(auc(fpr, tpr)) if self.n_genuine and self.n_impostor else None

    def point(self, target: float) -> Point:
        """Return the last point of the curve with an FPR of at most the target."""
        allowed = math.floor(Fraction(repr(target)) * self.n_impostor)
        if not self.n_impostor:
            return Point(target, 0, None, None, None, None, None, None, (Flag.NO_IMPOSTORS,))
        last = int(np.flatnonzero(self._false <= allowed)[-1])
        false, true = int(self._false[last]), int(self._true[last])
        holds = (allowed == 0, allowed < FEW_ERRORS, false < allowed, last == 0, not self.n_genuine)
        flags = (Flag.UNRESOLVED, Flag.FEW_ERRORS, Flag.TIED, Flag.NOTHING_ACCEPTED, Flag.NO_GENUINE)
        return Point(
            target=target,
            allowed=allowed,
            fpr=false / self.n_impostor,
            tpr=true / self.n_genuine if self.n_genuine else None,
            threshold=float(self._thresholds[last]) if last else None,  # the first accepts nothing: infinite
            next_impostor_score=float(self._thresholds[last + 1]) if last + 1 < len(self._thresholds) else None,
            false_positives=false,
            true_positives=true,
            flags=tuple(flag for flag, here in zip(flags, holds, strict=True) if here),
        )


def _counted(rate: Float64, pairs: int) -> Int64:
    """Turn rates back into the numbers of pairs that they were divided from; zeros where there are none."""
    return np.rint(rate * pairs).astype(np.int64) if pairs else np.zeros(len(rate), np.int64)


def _differences(
    samples: Samples, outcome: Outcome, reference: _Reference, targets: tuple[float, ...]
) -> Iterator[str]:
    for kind in ("genuine", "impostor"):
        pairs, expected_pairs = getattr(samples, f"n_{kind}"), getattr(reference, f"n_{kind}")
        if pairs != expected_pairs:
            yield f"found {pairs} {kind} pairs; the labels make {expected_pairs}"
    found = [point.target for point in outcome.points]
    if found != list(targets):
        yield f"found points at FPR {found}; expected {list(targets)}"
        return
    for point in outcome.points:
        expected = reference.point(point.target)
        for field in _COMPARED:
            ours, theirs = getattr(point, field), getattr(expected, field)
            if ours != theirs:
                yield f"at FPR {point.target!r} found {field} {_text(ours)}; scikit-learn has {_text(theirs)}"
    bounds = None if outcome.auroc is None else outcome.auroc.bounds
    if not _encloses(bounds, reference.auroc):
        yield f"found an AUROC within {bounds}; scikit-learn has {reference.auroc!r}"


_COMPARED = (
    "allowed", "false_positives", "true_positives", "fpr", "tpr", "threshold", "next_impostor_score", "flags",
)  # fmt: skip


def _text(value: object) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else repr(value)


def _encloses(bounds: tuple[float, float] | None, value: float | None) -> bool:
    if bounds is None or value is None:
        return bounds is None and value is None
    return bounds[0] - _TRAPEZOIDS <= value <= bounds[1] + _TRAPEZOIDS
