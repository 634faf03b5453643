"""Labels as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError


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
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise InputError(f"found labels of type {type(labels).__name__}; expected a list of text or integers")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind == "O":
        return _factorise_values(list(labels))  # type: ignore[call-overload]  # what has a length can be iterated
    if labels.ndim != 1 or labels.dtype.kind not in "biuU":
        raise InputError(
            f"found labels of {labels.dtype} with shape {labels.shape}; expected a list of text, or one of integers"
        )
    names, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), [name if isinstance(name, str) else int(name) for name in names.tolist()]


def _factorise_values(values: list[Any]) -> tuple[NDArray[np.int64], list[str | int]]:
    if kinds := sorted({type(v).__name__ for v in values if not isinstance(v, str | int | np.integer)}):
        raise InputError(f"found labels of type {', '.join(kinds)}; expected text or integers, none missing")
    if len({isinstance(v, str) for v in values}) > 1:
        raise InputError("found text and integers among the labels; expected one of them")
    names = [name if isinstance(name, str) else int(name) for name in sorted(set(values))]
    number = {name: code for code, name in enumerate(names)}
    return np.fromiter((number[v] for v in values), np.int64, len(values)), names
