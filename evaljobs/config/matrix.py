"""A matrix of models: every combination of some values, filled into a path."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

Matrix = Mapping[str, Sequence[str]]

# As the fields of tag patterns.
_NAME = re.compile(r"\w[\w-]*")
_FIELD = re.compile(r"\{([^{}]*)\}")
_MOST = 10_000


def combinations(matrix: Matrix, exclude: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Yield every combination of values, the last key fastest, but for those that hold all values of an exclusion."""
    for values in itertools.product(*matrix.values()):
        found = dict(zip(matrix, values, strict=True))
        if not any(one.items() <= found.items() for one in exclude):
            yield found


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in place of their names in braces."""
    return _FIELD.sub(lambda field: values.get(field[1], field[0]), text)


def check_matrix(matrix: Matrix, exclude: Sequence[Mapping[str, str]], path: str, texts: Sequence[str]) -> None:
    """Refuse a matrix that is not filled in, or is empty, or says something twice.

    Parameters
    ----------
    matrix, exclude
        As in the file.
    path
        The path; every name in braces must be one of the matrix.
    texts
        All that the matrix is filled into, the path included.

    Raises
    ------
    ValueError
        Naming what is wrong.
    """
    _check_values(matrix)
    if unknown := [name for name in _FIELD.findall(path) if name not in matrix]:
        raise ValueError(f"path: {{{unknown[0]}}} is no key of `matrix`, which has {', '.join(matrix)}")
    used = {name for text in texts for name in _FIELD.findall(text)}
    if unused := [name for name in matrix if name not in used]:
        raise ValueError(
            f"matrix: nothing depends on {unused[0]!r}; write {{{unused[0]}}} into `path`, or into `output` where one "
            "file has several"
        )
    for one in exclude:
        for name, value in one.items():
            if name not in matrix or value not in matrix[name]:
                raise ValueError(f"exclude: {name}: {value} is nothing that `matrix` has; so it would exclude nothing")
    if next(combinations(matrix, exclude), None) is None:
        raise ValueError("exclude: no combination of `matrix` is left")


def _check_values(matrix: Matrix) -> None:
    for name, values in matrix.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"matrix: {name!r} is no name; names are letters, digits, '_' and '-'")
        if not values or "" in values:
            raise ValueError(f"matrix: {name!r} has {'an empty value' if values else 'no value'}")
        if twice := [value for number, value in enumerate(values) if value in values[:number]]:
            raise ValueError(f"matrix: {name!r} has the value {twice[0]!r} twice")
    total = 1
    for values in matrix.values():
        total *= len(values)
    if total > _MOST:
        raise ValueError(f"matrix: {total:,} combinations; expected at most {_MOST:,}")
