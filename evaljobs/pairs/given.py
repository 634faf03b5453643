"""What people hand to public functions: numbers, lists and arrays, or an error that says what it is instead."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from evaljobs.errors import InputError

MAX_GROUPS = 200


def integer(given: Any, name: str, least: int, most: int | None = None, *, zero: str = "") -> int:
    """Return an integer.

    Parameters
    ----------
    given
        An integer of Python, numpy or torch; what is true or false, and 2.0, is none.
    name
        Of the argument.
    least, most
        The smallest and the largest that are allowed; None for no largest.
    zero
        What 0 stands for, where it is allowed beside these.

    Raises
    ------
    InputError
        If it is none, or is not allowed.
    """
    allowed = f"{least:,} to {most:,}" if most is not None else f"at least {least:,}"
    allowed += f", or 0 for {zero}" if zero else ""
    if isinstance(given, bool | np.bool_) or not hasattr(type(given), "__index__"):
        raise InputError(f"found {name}={reprlib.repr(given)}; expected an integer, {allowed}")
    try:
        found = operator.index(given)
    except (TypeError, ValueError):  # an array of several, or of one that is no integer
        raise InputError(f"found {name}={reprlib.repr(given)}; expected an integer, {allowed}") from None
    if not (zero and found == 0) and not (least <= found and (most is None or found <= most)):
        raise InputError(f"found {name}={found}; expected {allowed}")
    return found


def checked_groups(groups: int) -> int:
    """Return of how many groups one is left out at a time for intervals, 0 for none; refuse what is not usable."""
    return integer(groups, "groups", 2, MAX_GROUPS, zero="no intervals")


def real(given: Any, name: str, expected: str) -> float:
    """Return a finite number of Python or numpy; what is true or false is none.

    Raises
    ------
    InputError
        If it is none.
    """
    number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)
    try:
        found = float(given) if number else math.nan
    except OverflowError:  # an integer that no float holds
        found = math.inf
    if not math.isfinite(found):
        raise InputError(f"found {name}={reprlib.repr(given)}; expected {expected}")
    return found


def array(given: object, what: str, expected: str) -> npt.NDArray[Any]:
    """Return what is given as an array of numpy.

    Parameters
    ----------
    given
        An array of numpy, a tensor of torch, a Series or a DataFrame of pandas, a list.
    what, expected
        For the message: ``embeddings``, ``a matrix [n, d]``.

    Raises
    ------
    InputError
        If it is none, its rows have several lengths, or values are masked.
    """
    if isinstance(given, np.ma.MaskedArray) and (masked := int(np.ma.getmaskarray(given).sum())):
        raise InputError(f"found {masked:,} masked values among {what}; expected {expected}: leave such rows out")
    try:
        found = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        # Rows of several lengths; a tensor that lies on a GPU, or that a gradient is taken of.
        raise InputError(f"{what} are not {expected}: {' '.join(str(error).split())[:200]}") from None
    if found.dtype == object and found.ndim == 0:
        raise InputError(f"found {what} of type {type(given).__name__}; expected {expected}")
    return found


def boolean(given: Any, name: str) -> bool:
    """Return what is true or false, of Python or numpy.

    Raises
    ------
    InputError
        If it is neither.
    """
    if not isinstance(given, bool | np.bool_):
        raise InputError(f"found {name}={reprlib.repr(given)}; expected True or False")
    return bool(given)


def values(given: object, what: str, expected: str = "a list, one for each row") -> Sequence[Any]:
    """Return a list whose order means something: a list, a tuple, an array of one dimension, a Series.

    What other libraries hold is taken out of their arrays: Arrow's 1 and torch's are not equal to Python's.

    Raises
    ------
    InputError
        If it is none: a set has no order, a generator no length, a table more than one column.
    """
    unordered = isinstance(given, str | bytes | Mapping | Set)
    if unordered or not hasattr(given, "__len__") or getattr(given, "ndim", 1) != 1:
        raise InputError(f"found {what} of type {type(given).__name__}; expected {expected}")
    if isinstance(given, list | tuple):
        return given
    if hasattr(given, "__array__"):
        return list(array(given, what, expected))
    found: list[Any] = list(given)  # type: ignore[call-overload]  # it has a length
    return found
