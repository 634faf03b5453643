"""The least certain images of each set as pictures: what a model does not know, or what is wrong with the images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow.compute as pc
from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER
from evaljobs.report.figures.sheet import (
    CAPTIONED,
    WRONG,
    any_picture,
    draw_captioned,
    short_label,
    with_pictures,
    write_cells,
)
from evaljobs.report.figures.thumbnails import UNCERTAIN, Thumbnails, least_certain
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

# Measures of one pass.
_SINGLE = frozenset({"entropy", "doubt"})


def uncertain_sheets(found: Found, model: str, measure: str, names: dict[str, str]) -> Iterator[Picture]:
    """Draw the least certain images of each set, where there is a picture of one.

    Parameters
    ----------
    names
        Of the sets, by role.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    table = found.tables.get(model, {}).get("images")
    if table is None or "image_digest" not in table.column_names:
        return
    thumbnails = Thumbnails.load(found.folder)
    for role in pc.unique(table["role"]).to_pylist():
        rows = with_pictures(least_certain(table, role, measure, UNCERTAIN), thumbnails)
        if any_picture(rows):
            yield _sheet(found, rows, model, measure, names.get(role, role))


def _sheet(found: Found, rows: list[dict[str, Any]], model: str, measure: str, name: str) -> Picture:
    stem = found.folder / FOLDER / f"{found.prefix}unsure-{file_name(name)}-{file_name(model)}"
    files = write_cells(rows, CAPTIONED, partial(_draw, measure), stem, f"Least certain images of {name}")
    return Picture(
        name=f"unsure-{file_name(name)}-{file_name(model)}",
        title=f"Least certain images of {name}: {model}",
        alt=f"{len(rows)} images of {name} that {model} is least certain of, with their labels, what it says, and its "
        "uncertainty",
        files=files,
        caption="Above each image its label, below it what the model says, orange where that is wrong, and its "
        "uncertainty.",
    )


def _draw(measure: str, axes: Axes, row: dict[str, Any], left: float, top: float) -> None:
    # What the passes say together, where they are what is measured.
    of = "" if measure in _SINGLE or "predicted_passes" not in row else "_passes"
    color = WRONG if row[f"right{of}"] is False else "black"
    said = f"{short_label(str(row[f'predicted{of}']))} {row[measure]:.3f}"
    draw_captioned(axes, row, said, (left, top), color)
