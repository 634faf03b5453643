"""What sheets of small pictures share: a frame in inches without axes, cells in rows, pictures with words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.thumbnails import Thumbnails, pixels_of

T = TypeVar("T")

# Of a picture's square, in inches.
THUMB = 1.0
WRONG = "#D55E00"
_DPI = 150
_LONGEST_LABEL = 17


class Cells(NamedTuple):
    """Cells in rows: how many stand beside each other, and the size of each in inches."""

    across: int
    width: float
    height: float
    margin: float = 0.1


def write_sheet(size: tuple[float, float], draw: Callable[[Axes], None], path_stem: Path, title: str) -> Written:
    """Draw what has its places in inches, counted from the lower left corner, and write it as PNG and SVG.

    Parameters
    ----------
    size
        Width and height, in inches.
    path_stem
        Path of the files without their suffix.
    title
        Of the files.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    with own_settings():
        figure = new_figure(*size)
        figure.set_dpi(_DPI)
        axes = figure.add_subplot()
        axes.set_axis_off()
        draw(axes)
        axes.set(xlim=(0, size[0]), ylim=(0, size[1]), aspect="equal")
        return save(figure, path_stem, title)


def write_cells(
    rows: Sequence[T], cells: Cells, draw: Callable[[Axes, T, float, float], None], path_stem: Path, title: str
) -> Written:
    """Draw each row into a cell of its own, as `write_sheet` does.

    Parameters
    ----------
    draw
        Given the row, and where its cell begins: left and top.
    """
    height = -(-len(rows) // cells.across) * cells.height

    def draw_all(axes: Axes) -> None:
        for number, row in enumerate(rows):
            down, across = divmod(number, cells.across)
            draw(axes, row, across * cells.width + cells.margin, height - down * cells.height)

    return write_sheet((cells.across * cells.width, height), draw_all, path_stem, title)


def with_pictures(table: pa.Table, thumbnails: Thumbnails) -> list[dict[str, Any]]:
    """Return the rows of a table of images, each with its ``picture`` by ``image_digest``; None where there is none."""
    return [{**row, "picture": thumbnails.get(row["image_digest"])} for row in table.to_pylist()]


def any_picture(rows: Iterable[dict[str, Any]]) -> bool:
    """Return whether some row has a picture: without one there is nothing to see."""
    return any(row["picture"] for row in rows)


# A cell of an image alone, between its label and what is said of it; in the order of `Cells`.
CAPTIONED = Cells(6, 1.65, 1.72)


def draw_captioned(axes: Axes, row: dict[str, Any], said: str, place: tuple[float, float], color: str) -> None:
    """Draw an image of a row: its ``label`` above, and what is said of it below in a colour."""
    left, top = place
    axes.text(left, top - 0.17, short_label(str(row["label"])), fontsize=7.5, parse_math=False)
    bottom = top - 0.24 - THUMB
    draw_thumbnail(axes, row["picture"], left, bottom)
    axes.text(left, bottom - 0.16, said, fontsize=7.5, fontweight="bold", color=color, parse_math=False)


def draw_thumbnail(axes: Axes, picture: bytes | None, left: float, bottom: float, side: float = THUMB) -> None:
    """Draw a picture in the middle of its square, whose side is in inches; an empty box where there is none."""
    pixels = pixels_of(picture)
    style: dict[str, Any] = {"edgecolor": "#B0B0B0", "linewidth": 0.6, "zorder": 3}
    if pixels is None:
        axes.add_patch(Rectangle((left, bottom), side, side, facecolor="#F0F0F0", hatch="///", **style))
        return
    height, width = pixels.shape[:2]
    across, up = side * width / max(height, width), side * height / max(height, width)
    x, y = left + (side - across) / 2, bottom + (side - up) / 2
    axes.imshow(pixels, extent=(x, x + across, y, y + up), interpolation="antialiased", zorder=2)
    axes.add_patch(Rectangle((left, bottom), side, side, facecolor="none", **style))


def short_label(label: str, longest: int = _LONGEST_LABEL) -> str:
    """Return a label that fits below its picture."""
    shown = short_name(label)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
