"""The pictures of explanations: sheets of images with their maps, smooth and in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.saliency import Explained, Style, saliency_figure
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.naming import file_name
from evaljobs.report.text.explain_words import target_text

TABLE = "explained"
# Of single images, and of pairs: more are in the table alone.
_SHOWN = {1: 24, 2: 12}
_CAPTIONS: dict[Style, str] = {
    "smooth": "Each image as the model sees it, and in grey with its map: what is yellow speaks most for what is "
    "explained, what is dark blue not at all. Interpolated between the places of the layer, which are coarser.",
    "blocks": "The same maps as they are: one value for each place of the layer. What a place sees reaches beyond it.",
}


def pictures_of(found: Found, row: Row) -> Iterator[Picture]:
    """Draw the maps of a model, and yield the sheets.

    Parameters
    ----------
    row
        The model's entry and its result.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    name = row["model"]["name"]
    table = found.tables.get(name, {}).get(TABLE)
    cells = [] if table is None else _cells(table.to_pylist())
    if not cells:
        return
    images = max(map(len, cells))
    shown = cells[: _SHOWN[images]]
    what = "pairs" if images == 2 else "images"
    for style, caption in _CAPTIONS.items():
        title = f"Where {name} looks: {target_text(row['result'])}"
        stem = picture_stem(found, f"{'' if found.prefix else 'explain-'}{file_name(name)}-{style}")
        yield Picture(
            name=f"explain-{file_name(name)}-{style}",
            title=title if style == "smooth" else f"{title}, in blocks",
            alt=f"{len(shown)} {what}, each image beside itself in grey with a map of where {name} looks for "
            f"{target_text(row['result'])}.",
            files=saliency_figure(shown, stem, title, style),
            caption=caption,
        )


def _cells(rows: list[dict[str, Any]]) -> list[list[Explained]]:
    """Return what is drawn: pairs together, single images by themselves."""
    keyed = ((row["pair"] if row["pair"] is not None else -number, row) for number, row in enumerate(rows, start=1))
    return [[_explained(row) for _, row in several] for _, several in groupby(keyed, key=lambda one: one[0])]


def _explained(row: Mapping[str, Any]) -> Explained:
    values = np.asarray(row["values"], np.float64).reshape(row["map_height"], row["map_width"])
    said = f"cosine {row['score']:.3f}" if row["pair"] is not None else f"{row['target']} {row['score']:.3f}"
    empty = "" if values.any() else ": nothing speaks for it"
    return Explained(row["picture"], values, str(row["label"]), f"{said}{empty}")
