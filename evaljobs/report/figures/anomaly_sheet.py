"""The images that a model gets most wrong and most right: false alarms, what is missed, the plainest of both kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.sheet import (
    THUMB,
    WRONG,
    any_picture,
    draw_thumbnail,
    short_label,
    with_pictures,
    write_sheet,
)
from evaljobs.report.figures.thumbnails import BANDS, IN_A_BAND, Band, Thumbnails, extreme
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

# In inches.
_WIDTH, _HEIGHT, _TITLE = 1.3, 1.62, 0.36


def anomaly_sheet(found: Found, model: str, threshold: float | None) -> Picture | None:
    """Draw the best and the worst images of a model; None where there is not one picture of them.

    Parameters
    ----------
    threshold
        From which score on an image is flagged, at the chosen target.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    table = found.tables.get(model, {}).get("images")
    if table is None or "image_digest" not in table.column_names:
        return None
    thumbnails = Thumbnails.load(found.folder)
    bands = {band: with_pictures(extreme(table, band), thumbnails) for band in BANDS}
    if not any(map(any_picture, bands.values())):
        return None
    name = f"images-{file_name(model)}"
    width, height = IN_A_BAND * _WIDTH, len(bands) * (_TITLE + _HEIGHT)

    def draw(axes: Axes) -> None:
        for number, (band, rows) in enumerate(bands.items()):
            _draw_band(axes, band, rows, threshold, height - number * (_TITLE + _HEIGHT))

    files = write_sheet((width, height), draw, picture_stem(found, name), "Best and worst images")
    return Picture(
        name=name,
        title=f"Best and worst images: {model}",
        alt=f"Normal and anomalous images that {model} gives the highest and the lowest scores, with labels and scores",
        files=files,
        caption="Above each image its label, below it its score, orange where the image is on the wrong side of the "
        "threshold.",
    )


def _draw_band(axes: Axes, band: Band, rows: Sequence[dict[str, Any]], threshold: float | None, top: float) -> None:
    axes.text(0.08, top - 0.24, band.title, fontsize=8.5, fontweight="bold")
    for number, row in enumerate(rows):
        left, above = number * _WIDTH + 0.1, top - _TITLE
        axes.text(left, above - 0.13, short_label(str(row["label"])), fontsize=7, parse_math=False)
        bottom = above - 0.2 - THUMB
        draw_thumbnail(axes, row["picture"], left, bottom)
        flagged = threshold is not None and row["score"] >= threshold
        color = WRONG if flagged != band.anomalous else "black"
        axes.text(left, bottom - 0.16, f"{row['score']:.4g}", fontsize=7.5, fontweight="bold", color=color)
