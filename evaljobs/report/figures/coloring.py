"""How points are told apart: by colour and shape where a column has names, by a scale where it has numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.report.figures import style
from evaljobs.report.figures.canvas import short_name
from evaljobs.report.tables.levels import natural_texts

# Four more than the models have; each with a shape of its own, since twelve colours are not told apart by all.
COLORS = (*style.COLORS, "#F0E442", "#8C510A", "#B2DF8A", "#1B2A6B")
MARKERS = (*style.MARKERS, "<", ">", "h", "d")
MOST_NAMED = len(COLORS)
GREY, UNKNOWN_GREY = "#B0B0B0", "#707070"
OTHERS, UNKNOWN = -1, -2
# Of numbers with no more different values, each has a colour of its own.
_FEW_NUMBERS = 6
# A scale is logarithmic where the largest number is so many times the smallest.
_WIDE = 20
# No scale shows more, and differences of two such numbers are still numbers.
_LARGEST = 1e300
_UNITS = {"width": "px", "height": "px", "size": "bytes"}


class Categories(NamedTuple):
    """A column with names.

    Attributes
    ----------
    title
        What the colours mean.
    names
        At most 12, in natural order: those with the most images.
    codes
        ``[n]`` int64: the number of the name; OTHERS for further names, UNKNOWN where there is none.
    n_others
        How many further names there are.
    """

    title: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    n_others: int

    def count(self, code: int) -> int:
        """Return how many images have a code."""
        return int((self.codes == code).sum())


class Scale(NamedTuple):
    """A column with numbers: ``[n]`` float64, NaN where there is none; and whether the scale is logarithmic."""

    title: str
    values: NDArray[np.float64]
    logarithmic: bool


def coloring_of(column: str, values: Sequence[Any]) -> Categories | Scale | None:
    """Return how points are coloured by a column; None where all have the same value.

    Parameters
    ----------
    values
        ``n`` texts or numbers; null where unknown, and so is what is no number or too large for a scale.
    """
    values = [None if isinstance(value, float) and not abs(value) <= _LARGEST else value for value in values]
    known = {value for value in values if value is not None}
    if len(known) + (None in values) < 2:
        return None
    if all(isinstance(value, int | float) for value in known) and len(known) > _FEW_NUMBERS:
        numbers = np.array([np.nan if value is None else float(value) for value in values])
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        return Scale(heading(column), numbers, bool(low > 0 and high / low > _WIDE))
    counts = Counter(str(value) for value in values if value is not None)
    most = sorted(natural_texts(counts), key=lambda name: -counts[name])[:MOST_NAMED]
    names = tuple(natural_texts(most))
    numbered = {name: number for number, name in enumerate(names)}
    codes = (UNKNOWN if value is None else numbered.get(str(value), OTHERS) for value in values)
    return Categories(heading(column), names, np.fromiter(codes, np.int64, len(values)), len(counts) - len(names))


def heading(column: str) -> str:
    """Return the name of a column of samples with its unit; own columns of people have names of theirs."""
    return f"{column} [{_UNITS[column]}]" if column in _UNITS else short_name(column)
