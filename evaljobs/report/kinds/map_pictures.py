"""The pictures of a map: each method, coloured by each column in which the images differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written
from evaljobs.report.figures.coloring import Categories, coloring_of, heading
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.maps import Map, map_figure
from evaljobs.report.figures.placing import place, window_of
from evaljobs.report.figures.thumbnails import ACROSS, METHODS, Thumbnails, pixels_of, places
from evaljobs.report.results import Document
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.naming import file_name
from evaljobs.report.text.map_words import shown_text

_NAMES = {"pca": "Principal components", "tsne": "t-SNE"}
_CAPTIONS = {
    "pca": "The two directions in which the embeddings differ most. What lies apart here differs; what lies together "
    "may differ in another direction.",
    "tsne": "Neighbours are kept, distances are not: how far groups lie from each other, and how wide they are, means "
    "nothing.",
}


def pictures_of(found: Found, row: Row) -> Iterator[Picture]:
    """Draw the maps of a model, and yield them: each method, coloured by each column in which the images differ.

    Parameters
    ----------
    row
        The model's entry and its result.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    table = found.tables.get(row["model"]["name"], {}).get("map")
    for method in METHODS if table is not None and table.num_rows else ():
        xy = places(table, method)
        if xy is not None and np.isfinite(xy).all():
            yield from _colored(found, row, table, Projection(method, xy))


class Projection(NamedTuple):
    """Where a method puts the images that are shown: ``[n, 2]`` float64."""

    method: str
    xy: NDArray[np.float64]


def _colored(found: Found, row: Row, table: pa.Table, projection: Projection) -> Iterator[Picture]:
    name, result = row["model"]["name"], row["result"]
    method, xy = projection
    window = window_of(xy, ACROSS)
    spots = place(xy, window, ACROSS)
    thumbnails, digests = Thumbnails.load(found.folder), table["image_digest"].to_pylist()
    pictured = {spot.point: pixels_of(thumbnails.get(digests[spot.point])) for spot in spots}
    known = {point: pixels for point, pixels in pictured.items() if pixels is not None}
    for number, column in enumerate(_colors(result, table)):
        coloring = coloring_of(column, table[column].to_pylist())
        # Thumbnails stand on one of them; the other colours are read from points.
        some = spots if number == 0 else []
        drawn = Map(xy, coloring, window, some, known, _axes(method, result), shown_text(result))
        stem = picture_stem(found, f"{'' if found.prefix else 'map-'}{file_name(name)}-{method}-{file_name(column)}")
        yield _picture(name, method, column, drawn, map_figure(drawn, stem, _NAMES[method]))


def _colors(result: Document, table: pa.Table) -> list[str]:
    """Return the columns by which maps are coloured: the first at any rate, others where the images differ in them."""
    asked = [column for column in result["color"] if column in table.column_names]
    differ = [column for column in asked if coloring_of(column, table[column].to_pylist()) is not None]
    return differ or asked[:1]


def _picture(name: str, method: str, column: str, drawn: Map, files: Written) -> Picture:
    by = f"{_NAMES[method]} by {heading(column)}"
    named = drawn.coloring.names if isinstance(drawn.coloring, Categories) else ()
    among = f": {len(named)} values have a colour and a shape of their own" if named else ""
    return Picture(
        name=f"map-{file_name(name)}-{method}-{file_name(column)}",
        title=f"{by}: {name}",
        alt=f"{drawn.shown} as points in the plane, near each other where {name} gives them similar embeddings, "
        f"coloured by {column}{among}.",
        files=files,
        caption=_CAPTIONS[method],
    )


def _axes(method: str, result: Document) -> tuple[str, str]:
    """Return what the axes are. Both methods have no unit but the length of embeddings, which is 1."""
    if method == "tsne":
        return "t-SNE 1 (no unit)", "t-SNE 2 (no unit)"
    first, second = result["pca"]["explained_variance"] or (None, None)
    return _component(1, first), _component(2, second)


def _component(number: int, share: float | None) -> str:
    variance = "" if share is None else f"; {share:.1%} of the variance"
    return f"principal component {number} (embeddings have length 1{variance})"
