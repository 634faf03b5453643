"""The most confident mistakes as pictures: where it is seen whether the model is wrong, or the label."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER, new_figure, own_settings, save
from evaljobs.report.figures.contact_sheet import THUMB, draw_thumbnail, short_label
from evaljobs.report.figures.thumbnails import MISTAKES, Thumbnails
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

# In inches.
_ACROSS, _WIDTH, _HEIGHT = 6, 1.65, 1.72
_DPI = 150


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
    thumbnails = Thumbnails.load(found.folder)
    rows = [{**row, "picture": thumbnails.get(row["image_digest"])} for row in table.slice(0, MISTAKES).to_pylist()]
    if not any(row["picture"] for row in rows):
        return None
    with own_settings():
        width, height = _ACROSS * _WIDTH, -(-len(rows) // _ACROSS) * _HEIGHT
        figure = new_figure(width, height)
        figure.set_dpi(_DPI)
        axes = figure.add_subplot()
        axes.set_axis_off()
        for number, row in enumerate(rows):
            down, across = divmod(number, _ACROSS)
            _draw(axes, row, across * _WIDTH + 0.1, height - down * _HEIGHT)
        axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        files = save(figure, found.folder / FOLDER / f"{found.prefix}mistakes-{file_name(model)}", "Mistakes")
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
    axes.text(left, top - 0.17, short_label(str(row["label"])), fontsize=7.5, parse_math=False)
    bottom = top - 0.24 - THUMB
    draw_thumbnail(axes, row["picture"], left, bottom)
    said = f"{short_label(str(row['predicted']))} {row['confidence']:.3f}"
    axes.text(left, bottom - 0.16, said, fontsize=7.5, fontweight="bold", parse_math=False)
