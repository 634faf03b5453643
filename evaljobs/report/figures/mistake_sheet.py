"""The most confident mistakes as pictures: where it is seen whether the model is wrong, or the label."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER
from evaljobs.report.figures.sheet import (
    CAPTIONED,
    any_picture,
    draw_captioned,
    short_label,
    with_pictures,
    write_cells,
)
from evaljobs.report.figures.thumbnails import MISTAKES, Thumbnails
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name


def mistake_sheet(found: Found, model: str) -> Picture | None:
    """Draw the mistakes that a model is most confident of; None where it has none, or not one picture of them.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    table = found.tables.get(model, {}).get("mistakes")
    if table is None or "image_digest" not in table.column_names:
        return None
    rows = with_pictures(table.slice(0, MISTAKES), Thumbnails.load(found.folder))
    if not any_picture(rows):
        return None
    stem = found.folder / FOLDER / f"{found.prefix}mistakes-{file_name(model)}"
    files = write_cells(rows, CAPTIONED, _draw, stem, "Mistakes")
    return Picture(
        name="mistakes",
        title=f"Most confident mistakes: {model}",
        alt=f"{len(rows)} images that {model} is wrong about and surest of, with their labels, what it says, and how "
        "sure it is",
        files=files,
        caption="Above each image the label, below it what the model says, and its confidence. Wrong labels are found "
        "here first.",
    )


def _draw(axes: Axes, row: dict[str, Any], left: float, top: float) -> None:
    said = f"{short_label(str(row['predicted']))} {row['confidence']:.3f}"
    draw_captioned(axes, row, said, (left, top), "black")
