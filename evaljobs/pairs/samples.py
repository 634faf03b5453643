"""Samples made ready for comparing: checked, normalised for the filter, sorted by label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.pairs import score

MAX_DIMENSIONS = 2**20  # the filter's bound holds beyond, but no longer separates anything
_ROWS_AT_A_TIME = 2048
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Samples:
    """The samples of one verification.

    Position means place after sorting by label, so that the genuine pairs of a sample are a run of positions.

    Attributes
    ----------
    rows
        ``[n, d]`` float32, the embeddings as given.
    order
        ``[n]`` int64: the row of each position.
    norms
        ``[n]`` float64 by position.
    unit
        ``[n, d]`` float32 by position: the normalised rows of the definition, rounded. For the filter alone.
    ends
        ``[n]`` int64: one past the last position with the same label.
    n_labels
        Number of different labels.
    notes
        What was changed about the input.
    """

    rows: NDArray[np.float32]
    order: NDArray[np.int64]
    norms: NDArray[np.float64]
    unit: NDArray[np.float32]
    ends: NDArray[np.int64]
    n_labels: int
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.rows)

    @property
    def n_pairs(self) -> int:
        """Number of pairs i < j."""
        return self.n * (self.n - 1) // 2

    @property
    def n_genuine(self) -> int:
        """Number of pairs with the same label."""
        return int((self.ends - np.arange(self.n) - 1).sum())

    @property
    def n_impostor(self) -> int:
        """Number of pairs with different labels."""
        return self.n_pairs - self.n_genuine

    def normalised(self, positions: slice) -> NDArray[np.float64]:
        """Return the rows of the definition at some positions, ``[m, d]`` float64."""
        return score.normalise(self.rows[self.order[positions]], self.norms[positions])

    def score_pairs(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score pairs of positions, each ``[p]`` int64, by the definition."""
        return score.score_pairs(self.rows, self.order, self.norms, i, j)


def prepare(
    embeddings: object, labels: object, ids: Sequence[object] | None = None, *, for_filter: bool = True
) -> Samples:
    """Check embeddings and labels and make them ready.

    Parameters
    ----------
    embeddings
        ``[n, d]``, n at least 2, real numbers. What float32 cannot hold is rounded to it, and noted.
    labels
        ``n`` texts or integers.
    ids
        ``n`` sample ids for messages; row numbers where absent.
    for_filter
        Whether `unit` is filled. A GPU has its own.

    Raises
    ------
    InputError
        If they are not what is expected.
    NonFiniteError
        If a row is not finite, or all zero.
    """
    rows, notes = _as_rows(embeddings)
    codes, n_labels = factorise(labels)
    for what, length in (("labels", len(codes)), ("ids", len(rows) if ids is None else len(ids))):
        if length != len(rows):
            raise InputError(f"found {length} {what} for {len(rows)} embeddings; expected one for each row")
    norms = score.norms(rows)
    _refuse_unusable(norms, ids)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_labels))[codes[order]]
    samples = Samples(rows, order, norms[order], np.empty_like(rows), ends, n_labels, notes)
    for first in range(0, len(rows) if for_filter else 0, _ROWS_AT_A_TIME):
        part = slice(first, first + _ROWS_AT_A_TIME)
        samples.unit[part] = samples.normalised(part)
    return samples


def _as_rows(embeddings: object) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    try:
        given = np.asarray(embeddings)
    except ValueError as error:
        raise InputError(f"embeddings are not a matrix: {error}; expected [n, d], all rows of one length") from None
    real = given.dtype.kind in "biuf" or given.dtype.name == "bfloat16"
    if not real or given.ndim != 2:
        raise InputError(f"found embeddings of {given.dtype} with shape {given.shape}; expected real numbers [n, d]")
    n, d = given.shape
    if n < 2:
        raise InputError(f"found {n} sample(s); at least 2 are needed to make a pair")
    if not 1 <= d <= MAX_DIMENSIONS:
        raise InputError(f"found embeddings of {d} dimensions; expected 1 to {MAX_DIMENSIONS}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        rows = np.ascontiguousarray(given, dtype=np.float32)
    return rows, _rounding(given, rows)


def _rounding(given: NDArray[np.generic], rows: NDArray[np.float32]) -> tuple[str, ...]:
    if given.dtype.kind in "iu" and bool((rows.astype(np.float64) == given).all()):
        return ()
    if given.dtype.name == "bfloat16" or np.can_cast(given.dtype, np.float32):
        return ()
    return (f"embeddings were {given.dtype} and were rounded to float32",)


def _refuse_unusable(norms: NDArray[np.float64], ids: Sequence[object] | None) -> None:
    zero = norms == 0
    bad = np.flatnonzero(zero | ~np.isfinite(norms))
    if not len(bad):
        return
    n_zero = int(zero.sum())
    named = ", ".join(str(r if ids is None else ids[r]) for r in bad[:_NAMED].tolist())
    more = ", ..." if len(bad) > _NAMED else ""
    message = (
        f"{len(bad)} of {len(norms)} embeddings cannot be compared: {len(bad) - n_zero} not finite as float32, {n_zero}"
        f" all zero; {'row' if ids is None else 'id'} {named}{more}. Exclude these samples or mend the model"
    )
    raise NonFiniteError(message, count=len(bad), rows=tuple(bad[:_NAMED].tolist()))


def factorise(labels: object) -> tuple[NDArray[np.int64], int]:
    """Give each label a number from 0.

    Returns
    -------
    The number of each label, ``[n]`` int64, and how many there are.

    Raises
    ------
    InputError
        If they are not a list of texts, or one of integers.
    """
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise InputError(f"found labels of type {type(labels).__name__}; expected a list of text or integers")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind == "O":
        return _factorise_values(list(labels))  # type: ignore[call-overload]  # what has a length can be iterated
    if labels.ndim != 1 or labels.dtype.kind not in "biuU":
        raise InputError(
            f"found labels of {labels.dtype} with shape {labels.shape}; expected a list of text, or one of integers"
        )
    names, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), len(names)


def _factorise_values(values: list[Any]) -> tuple[NDArray[np.int64], int]:
    if kinds := sorted({type(v).__name__ for v in values if not isinstance(v, str | int | np.integer)}):
        raise InputError(f"found labels of type {', '.join(kinds)}; expected text or integers, none missing")
    if len({isinstance(v, str) for v in values}) > 1:
        raise InputError("found text and integers among the labels; expected one of them")
    number = {name: code for code, name in enumerate(sorted(set(values)))}
    return np.fromiter((number[v] for v in values), np.int64, len(values)), len(number)
