"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs.given import array, values

_EXPECTED: Final = "a list of text, or one of integers"


def factorise(labels: object) -> tuple[NDArray[np.int64], list[str | int]]:
    """Give each label a number from 0.

    Returns
    -------
    The number of each label, ``[n]`` int64, and the labels by number.

    Raises
    ------
    InputError
        If they are not a list of texts, or one of integers.
    """
    if not hasattr(labels, "__array__"):
        return _factorise_values(values(labels, "labels", _EXPECTED))
    # Also a tensor of torch, a Series of pandas, an array of Arrow.
    given = array(labels, "labels", _EXPECTED)
    if given.ndim != 1 or given.dtype.kind not in "biuUO":
        raise InputError(f"found labels of {given.dtype} with shape {given.shape}; expected {_EXPECTED}")
    if given.dtype.kind == "O":
        return _factorise_values(given.tolist())
    names, codes = np.unique(given, return_inverse=True)
    return codes.astype(np.int64), [name if isinstance(name, str) else int(name) for name in names.tolist()]


def _factorise_values(labels: Sequence[Any]) -> tuple[NDArray[np.int64], list[str | int]]:
    kinds = set(map(type, labels))
    if others := sorted({kind.__name__ for kind in kinds if not issubclass(kind, str | int | np.integer)}):
        raise InputError(f"found labels of type {', '.join(others)}; expected text or integers, none missing")
    if len({issubclass(kind, str) for kind in kinds}) > 1:
        raise InputError("found text and integers among the labels; expected one of them")
    names = [name if isinstance(name, str) else int(name) for name in sorted(set(labels))]
    number = {name: code for code, name in enumerate(names)}
    return np.fromiter(map(number.__getitem__, labels), np.int64, len(labels)), names
