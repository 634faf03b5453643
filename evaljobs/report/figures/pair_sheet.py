"""Pairs of images side by side, whatever brings them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import Written
from evaljobs.report.figures.sheet import Cells, draw_thumbnail, short_label, write_cells

# In inches.
_CELLS = Cells(4, 1.95, 1.3, 0.08)
_SIDE, _GAP = 0.8, 0.05
_LONGEST = 14


class Beside(NamedTuple):
    """Two images: what is said above them, their pictures if there are any, and what is said below each."""

    above: str
    pictures: tuple[bytes | None, bytes | None]
    below: tuple[str, str]


def pair_sheet(pairs: Sequence[Beside], path_stem: Path, title: str) -> Written:
    """Draw pairs and write them as PNG and SVG.

    Parameters
    ----------
    pairs
        At least one.
    path_stem
        Path of the files without their suffix.
    title
        Of the files.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    return write_cells(pairs, _CELLS, _draw, path_stem, title)


def _draw(axes: Axes, pair: Beside, left: float, top: float) -> None:
    axes.text(left, top - 0.16, short_label(pair.above, 2 * _LONGEST), fontsize=7, parse_math=False)
    bottom = top - 0.24 - _SIDE
    for number, (picture, below) in enumerate(zip(pair.pictures, pair.below, strict=True)):
        x = left + number * (_SIDE + _GAP)
        draw_thumbnail(axes, picture, x, bottom, _SIDE)
        axes.text(x, bottom - 0.13, short_label(below, _LONGEST), fontsize=6.5, parse_math=False)
