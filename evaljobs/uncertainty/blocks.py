"""Values of two kinds of images in blocks of equal values: what every exact curve and count is made from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs.given import array

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Blocks(NamedTuple):
    """Blocks of equal values, highest first: ``[b]`` each, the value and how many images of both kinds have it."""

    value: Float64
    positive: Int64
    negative: Int64


class Order(NamedTuple):
    """Where each image stands: ``[n]`` int64, the number of its block, highest value first; and the blocks' values."""

    block: Int64
    value: Float64


def order(values: Float64) -> Order:
    """Return the blocks of values ``[n]``."""
    found, place = np.unique(values, return_inverse=True)
    return Order((len(found) - 1 - place).astype(np.int64), found[::-1])


def tally(ordered: Order, positive: NDArray[np.bool_], kept: NDArray[np.bool_] | None = None) -> Blocks:
    """Count the images of both kinds in each block.

    Parameters
    ----------
    ordered
        The blocks of all images.
    positive
        ``[n]``: of which kind each is.
    kept
        ``[n]``: which images count; all where left out.
    """
    counted = np.ones(len(positive), bool) if kept is None else kept
    sides = (
        np.bincount(ordered.block[counted & side], minlength=len(ordered.value)).astype(np.int64)
        for side in (positive, ~positive)
    )
    return Blocks(ordered.value, *sides)


def checked(values: object, what: str) -> Float64:
    """Return values as float64 ``[n]``.

    Raises
    ------
    InputError
        If they are not numbers of that shape, at least one, and finite.
    """
    given = array(values, what, "a list of real numbers")
    if given.ndim != 1 or given.dtype.kind not in "biuf" or not len(given):
        raise InputError(f"found {what} of {given.dtype} with shape {given.shape}; expected at least one real number")
    exact = given.astype(np.float64)
    if wrong := int((~np.isfinite(exact)).sum()):
        raise InputError(f"{wrong:,} of {len(exact):,} {what} are NaN or infinite; expected finite numbers")
    return exact
