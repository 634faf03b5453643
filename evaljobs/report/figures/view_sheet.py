"""Images of a view as they are in their files, and as models get them: what a corruption does is seen, not read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER
from evaljobs.report.figures.sheet import THUMB, Cells, draw_thumbnail, short_label, write_cells
from evaljobs.report.figures.thumbnails import Thumbnails
from evaljobs.report.section import Picture
from evaljobs.report.tables.naming import file_name
from evaljobs.report.tables.views import view_text

# In inches: of one image above the other, with its id below.
_CELLS, _GAP = Cells(6, 1.3, 2.4), 0.06


class _Shown(NamedTuple):
    """An image by its id, and its pictures: of its file, and in the view."""

    sample: str
    before: bytes | None
    after: bytes | None


def view_sheet(image_set: Mapping[str, Any], folder: Path, prefix: str) -> Picture | None:
    """Draw images of a view, each below what its file shows; None for other sets, and where there is no picture.

    Parameters
    ----------
    image_set
        An entry of `sets` of a results document.
    folder
        Of the run: its thumbnails are taken, and the picture goes into its figures.
    prefix
        Of the name of the file.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    thumbnails = Thumbnails.load(folder)
    rows = [
        _Shown(example["sample_id"], *(thumbnails.get(bytes.fromhex(example[side])) for side in ("file", "image")))
        for example in (image_set.get("view") or {}).get("examples") or ()
    ]
    if not any(row.after for row in rows):
        return None
    name = str(image_set["name"])
    stem = folder / FOLDER / f"{prefix}view-{file_name(name)}"
    files = write_cells(rows, _CELLS, _draw, stem, f"The view {name}")
    return Picture(
        name=f"view-{file_name(name)}",
        title=f"Images of {name}",
        alt=f"{len(rows)} images as they are in their files, and below each what models get of it in the set {name}",
        files=files,
        caption=f"{view_text(image_set)}. Above what the file shows, below what models get. What acts at the input of "
        "a model is drawn at the size of these pictures.",
    )


def _draw(axes: Axes, row: _Shown, left: float, top: float) -> None:
    draw_thumbnail(axes, row.before, left, top - THUMB - _GAP)
    draw_thumbnail(axes, row.after, left, top - 2 * (THUMB + _GAP))
    axes.text(left, top - 2 * (THUMB + _GAP) - 0.16, short_label(row.sample), fontsize=7, parse_math=False)
