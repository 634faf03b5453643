"""The least certain images of each set as pictures: what a model does not know, or what is wrong with the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER, new_figure, own_settings, save
from evaljobs.report.figures.contact_sheet import THUMB, draw_thumbnail, short_label
from evaljobs.report.figures.thumbnails import UNCERTAIN, Thumbnails, least_certain
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

# In inches.
_ACROSS, _WIDTH, _HEIGHT = 6, 1.65, 1.72
_DPI = 150
_WRONG = "#D55E00"
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
        rows = [
            {**row, "picture": thumbnails.get(row["image_digest"])}
            for row in least_certain(table, role, measure, UNCERTAIN).to_pylist()
        ]
        if any(row["picture"] for row in rows):
            yield _sheet(found, rows, model, measure, names.get(role, role))


def _sheet(found: Found, rows: list[dict[str, Any]], model: str, measure: str, name: str) -> Picture:
    stem = found.folder / FOLDER / f"{found.prefix}unsure-{file_name(name)}-{file_name(model)}"
    with own_settings():
        width, height = _ACROSS * _WIDTH, -(-len(rows) // _ACROSS) * _HEIGHT
        figure = new_figure(width, height)
        figure.set_dpi(_DPI)
        axes = figure.add_subplot()
        axes.set_axis_off()
        for number, row in enumerate(rows):
            down, across = divmod(number, _ACROSS)
            _draw(axes, row, measure, across * _WIDTH + 0.1, height - down * _HEIGHT)
        axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        files = save(figure, stem, f"Least certain images of {name}")
    return Picture(
        name=f"unsure-{file_name(name)}-{file_name(model)}",
        title=f"Least certain images of {name}: {model}",
        alt=f"{len(rows)} images of {name} that {model} is least certain of, with their labels, what it says, and its "
        "uncertainty",
        files=files,
        caption="Above each image its label, below it what the model says, orange where that is wrong, and its "
        "uncertainty.",
    )


def _draw(axes: Axes, row: dict[str, Any], measure: str, left: float, top: float) -> None:
    axes.text(left, top - 0.17, short_label(str(row["label"])), fontsize=7.5, parse_math=False)
    bottom = top - 0.24 - THUMB
    draw_thumbnail(axes, row["picture"], left, bottom)
    # What the passes say together, where they are what is measured.
    of = "" if measure in _SINGLE or "predicted_passes" not in row else "_passes"
    color = _WRONG if row[f"right{of}"] is False else "black"
    said = f"{short_label(str(row[f'predicted{of}']))} {row[measure]:.3f}"
    axes.text(left, bottom - 0.16, said, fontsize=7.5, fontweight="bold", color=color, parse_math=False)
