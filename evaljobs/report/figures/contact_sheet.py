"""The hardest pairs as pictures side by side: what people look at before they believe a rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from evaljobs.report.figures.canvas import FOLDER
from evaljobs.report.figures.sheet import WRONG, draw_thumbnail, short_label, write_sheet
from evaljobs.report.figures.thumbnails import LISTED, ON_A_SHEET, Thumbnails
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

_TITLES = {
    "impostor": "Impostor pairs with the highest scores (cosine): two labels, and the model sees one",
    "genuine": "Genuine pairs with the lowest scores (cosine): one label, and the model sees two",
}
_SAME_IMAGE = "same image"
# In inches; two pictures beside each other are about as large as their pixels.
_SMALL, _GAP, _ACROSS, _CELL_WIDTH, _CELL_HEIGHT, _TITLE = 0.74, 0.05, 4, 1.86, 1.16, 0.4
_LONGEST_BESIDE = 13


class _Side(NamedTuple):
    """One of the two images of a pair: its picture, if there is one, and its label."""

    picture: bytes | None
    label: str


def hardest_rows(
    found: Found, model: str, most: int = LISTED, thumbnails: Thumbnails | None = None
) -> list[dict[str, Any]]:
    """Return the hardest pairs of a model: impostors with the highest, then genuine pairs with the lowest scores.

    Parameters
    ----------
    most
        Of each kind.
    thumbnails
        Those of the run in the folder of `found` where left out.

    Returns
    -------
    list of dict
        ``id_a``, ``id_b``, ``label_a``, ``label_b``, ``score``, ``genuine``, ``rank`` (from 1), ``same_image`` (whether
        both are one image, byte for byte), ``thumb_a``, ``thumb_b`` (PNG or JPEG, or None). Empty where there is none.
    """
    table = found.tables.get(model, {}).get("hardest")
    if table is None:
        return []
    pictures = Thumbnails.load(found.folder) if thumbnails is None else thumbnails
    return [_row(row, pictures) for row in table.to_pylist() if row["rank"] <= most]


def _row(row: dict[str, Any], pictures: Thumbnails) -> dict[str, Any]:
    a, b = row.get("image_digest_a"), row.get("image_digest_b")
    return {
        **{name: row.get(name) for name in ("id_a", "id_b", "label_a", "label_b", "score", "rank")},
        "genuine": row["kind"] == "genuine",
        "same_image": a is not None and a == b,
        "thumb_a": pictures.get(a),
        "thumb_b": pictures.get(b),
    }


def hardest_sheet(found: Found, model: str, thumbnails: Thumbnails | None = None) -> Picture | None:
    """Draw the hardest pairs of a model, 12 of each kind; None where it has none, or not one picture of them.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    rows = hardest_rows(found, model, ON_A_SHEET, thumbnails)
    if not any(row["thumb_a"] or row["thumb_b"] for row in rows):
        return None
    bands = [[row for row in rows if row["genuine"] == genuine] for genuine in (False, True)]
    stem = found.folder / FOLDER / f"{found.prefix}hardest-{file_name(model)}"
    height = sum(map(_band_height, bands))

    def draw(axes: Axes) -> None:
        top = height
        for title, band in zip(_TITLES.values(), bands, strict=True):
            _draw_band(axes, title, band, top)
            top -= _band_height(band)

    files = write_sheet((_ACROSS * _CELL_WIDTH, height), draw, stem, "Hardest pairs")
    same = sum(row["same_image"] for row in rows)
    return Picture(
        name=f"hardest-{file_name(model)}",
        title="Hardest pairs",
        alt=f"{len(bands[0])} impostor pairs with the highest and {len(bands[1])} genuine pairs with the lowest "
        "scores, as pictures side by side with their scores and labels.",
        files=files,
        caption=f"{same} of these pairs: one image under two ids, byte for byte." if same else "",
    )


def _band_height(band: Sequence[dict[str, Any]]) -> float:
    return _TITLE + _CELL_HEIGHT * -(-len(band) // _ACROSS) if band else 0.0


def _draw_band(axes: Axes, title: str, band: Sequence[dict[str, Any]], top: float) -> None:
    if not band:
        return
    axes.text(0.08, top - 0.26, title, fontsize=8.5, fontweight="bold")
    for number, row in enumerate(band):
        down, across = divmod(number, _ACROSS)
        _draw_pair(axes, row, across * _CELL_WIDTH + 0.08, top - _TITLE - down * _CELL_HEIGHT)


def _draw_pair(axes: Axes, row: dict[str, Any], left: float, top: float) -> None:
    same = f"   {_SAME_IMAGE}" if row["same_image"] else ""
    axes.text(left, top - 0.1, f"{row['score']:.4f}{same}", fontsize=7, color=WRONG if same else "black")
    bottom = top - 0.15 - _SMALL
    for number, side in enumerate(_sides(row)):
        x = left + number * (_SMALL + _GAP)
        draw_thumbnail(axes, side.picture, x, bottom, _SMALL)
        axes.text(x, bottom - 0.12, side.label, fontsize=6.2, parse_math=False)


def _sides(row: dict[str, Any]) -> Iterator[_Side]:
    """Yield both sides; one label stands below both where they have the same."""
    one = row["label_a"] == row["label_b"]
    yield _Side(row["thumb_a"], short_label(str(row["label_a"]), (2 if one else 1) * _LONGEST_BESIDE))
    yield _Side(row["thumb_b"], "" if one else short_label(str(row["label_b"]), _LONGEST_BESIDE))
