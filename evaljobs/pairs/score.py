"""The definition of a score, in float64.

``score(i, j)`` divides each float32 row by the square root of its sum of squares, and sums the products of the two.
Both sums start at zero and run in index order; no step is fused, nothing is clipped. So a score is a property of the
two rows, to the last bit, and the same from either side.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.compiled import compiled, compiled_reordered

Rows32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

# Scoring whole blocks is vectorised across pairs, hence so many times faster a pair than scoring single pairs.
_DENSE_GAIN = 8
_STRIP = 64


@compiled
def norms(rows: Rows32) -> Float64:
    """Return the Euclidean norm of each row.

    Parameters
    ----------
    rows
        ``[n, d]`` float32.

    Returns
    -------
    ``[n]`` float64. The squares are exact in float64 and neither overflow nor underflow; their sum runs in index order.
    """
    n, d = rows.shape
    found = np.empty(n)
    for first in range(0, n, 4):  # four sums side by side, since each waits for its last step
        a, b, c, e = rows[first], rows[min(first + 1, n - 1)], rows[min(first + 2, n - 1)], rows[min(first + 3, n - 1)]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for k in range(d):
            s0 += np.float64(a[k]) * np.float64(a[k])
            s1 += np.float64(b[k]) * np.float64(b[k])
            s2 += np.float64(c[k]) * np.float64(c[k])
            s3 += np.float64(e[k]) * np.float64(e[k])
        sums = (s0, s1, s2, s3)
        for row in range(min(4, n - first)):
            found[first + row] = math.sqrt(sums[row])
    return found


@compiled
def normalise_rounded(rows: Rows32, order: Int64, norm: Float64, out: Rows32) -> None:
    """Divide rows by their norms in float64, and round them to float32.

    Parameters
    ----------
    rows
        ``[n, d]`` float32.
    order, norm
        ``[n]``: the row of each position, and its norm.
    out
        ``[n, d]`` float32 by position, overwritten.
    """
    for p in range(order.shape[0]):
        row, divisor = rows[order[p]], norm[p]
        for k in range(rows.shape[1]):
            out[p, k] = np.float32(np.float64(row[k]) / divisor)


def normalise(rows: Rows32, norm: Float64) -> Float64:
    """Divide rows ``[m, d]`` float32 by their norms ``[m]`` in float64."""
    return rows.astype(np.float64) / norm[:, np.newaxis]


@compiled
def score_block(left: Float64, right_t: Float64, out: Float64) -> None:
    """Score every row of one block against every row of another.

    Parameters
    ----------
    left
        ``[m, d]`` float64, normalised.
    right_t
        ``[d, w]`` float64, C order: the other block, normalised and transposed, so that the pairs of one row are
        vectorised while each sum keeps its order.
    out
        ``[m, w]`` float64, overwritten.
    """
    out[:] = 0.0
    d = left.shape[1]
    whole = d - d % 4
    for r in range(left.shape[0]):
        row = out[r]
        for k in range(0, whole, 4):  # four steps a sweep save memory traffic
            x0, x1, x2, x3 = left[r, k], left[r, k + 1], left[r, k + 2], left[r, k + 3]
            y0, y1, y2, y3 = right_t[k], right_t[k + 1], right_t[k + 2], right_t[k + 3]
            for c in range(row.shape[0]):
                row[c] = (((row[c] + x0 * y0[c]) + x1 * y1[c]) + x2 * y2[c]) + x3 * y3[c]
        for k in range(whole, d):
            x0, y0 = left[r, k], right_t[k]
            for c in range(row.shape[0]):
                row[c] += x0 * y0[c]


@compiled
def _score_listed(left: Float64, right: Float64, r: Int64, c: Int64, out: Float64) -> None:
    for p in range(r.shape[0]):
        total = 0.0
        for k in range(left.shape[1]):
            total += left[r[p], k] * right[c[p], k]
        out[p] = total


def score_some(left: Float64, right: Float64, r: Int64, c: Int64) -> Float64:
    """Score some pairs of two blocks.

    Parameters
    ----------
    left, right
        ``[m, d]`` and ``[w, d]`` float64, normalised.
    r, c
        ``[p]`` int64: rows of `left`, ascending, and of `right`.

    Returns
    -------
    ``[p]`` float64.
    """
    found = np.empty(len(r))
    if len(r) * _DENSE_GAIN < len(left) * len(right):
        _score_listed(left, right, r, c, found)
        return found
    right_t = np.ascontiguousarray(right.T)
    strip = np.empty((_STRIP, len(right)))
    for first in range(0, len(left), _STRIP):
        block = left[first : first + _STRIP]
        begin, end = np.searchsorted(r, (first, first + len(block)))
        if begin < end:
            score_block(block, right_t, strip[: len(block)])
            found[begin:end] = strip[r[begin:end] - first, c[begin:end]]
    return found


@compiled
def score_pairs(rows: Rows32, order: Int64, norm: Float64, i: Int64, j: Int64) -> Float64:
    """Score listed pairs.

    Parameters
    ----------
    rows
        ``[n, d]`` float32.
    order, norm
        ``[n]``: the row of each position, and its norm.
    i, j
        ``[p]`` int64 positions.

    Returns
    -------
    ``[p]`` float64.
    """
    found = np.empty(i.shape[0])
    d = rows.shape[1]
    left, right = np.empty(d), np.empty(d)
    for p in range(i.shape[0]):
        a, b = rows[order[i[p]]], rows[order[j[p]]]
        norm_a, norm_b = norm[i[p]], norm[j[p]]
        for k in range(d):  # a loop of its own, because it is vectorised
            left[k] = np.float64(a[k]) / norm_a
            right[k] = np.float64(b[k]) / norm_b
        total = 0.0
        for k in range(d):
            total += left[k] * right[k]
        found[p] = total
    return found


@compiled_reordered
def estimate_pairs(unit: Rows32, i: Int32, j: Int32, out: Float64) -> None:
    """Estimate the scores of listed pairs: a filter for few pairs, finer than that for all.

    Products of float32 are exact in float64; they are summed in any order. How far the sum can be from the score,
    `bins.fine_error` says.

    Parameters
    ----------
    unit
        ``[n, d]`` float32: the normalised rows, rounded, by position.
    i, j
        ``[p]`` int32 positions.
    out
        ``[p]`` float64, overwritten.
    """
    for p in range(i.shape[0]):
        a, b = unit[i[p]], unit[j[p]]
        total = 0.0
        for k in range(a.shape[0]):
            total += np.float64(a[k]) * np.float64(b[k])
        out[p] = total
