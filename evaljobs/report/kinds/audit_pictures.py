"""The pictures of audits: which field tells labels, what re-encoding moves, and pairs of images that want a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaljobs.report.audits import DUPLICATES, SUSPECTS, duplicate_rows, falls, of_models, rows_of, suspect_rows
from evaljobs.report.figures.bars import bars_figure
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.moved import MOST, Moving, moved_figure
from evaljobs.report.figures.pair_sheet import Beside, pair_sheet
from evaljobs.report.figures.thumbnails import Thumbnails
from evaljobs.report.section import Found, Picture

_SERIES = {"label told best": "label_auroc", "labels, on average": "auroc", "genuine pairs": "pair_auroc"}


def pictures(found: Found) -> Iterator[Picture]:
    """Draw what can be drawn, and yield it.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    made = (_fields(found), _moved(found), _duplicates(found), _suspects(found))
    yield from (picture for picture in made if picture is not None)


def _fields(found: Found) -> Picture | None:
    rows = rows_of(found.tables, None, "fields")
    if not rows:
        return None
    series = {name: [row[key] for row in rows] for name, key in _SERIES.items()}
    return Picture(
        name="fields",
        title="What files tell of labels",
        alt=f"AUROC of each of {len(rows)} fields of the files, by itself, for labels and for genuine pairs",
        files=bars_figure(
            [row["field"] for row in rows], series, picture_stem(found, "fields"), "AUROC of the field alone"
        ),
        caption="0.5 is chance; 1 means that a file's field says the label, and nobody need look at the picture.",
    )


def _moved(found: Found) -> Picture | None:
    models = [
        Moving(name, result["auroc"], {title: row["b"] for title, row in falls(result)})
        for name, result in of_models(found.group).items()
    ]
    models = [model for model in models if model.after]
    if not models:
        return None
    more = f" The first {MOST} models are drawn." if len(models) > MOST else ""
    return Picture(
        name="counterfactual",
        title="AUROC when all images are encoded alike",
        alt=f"AUROC of {len(models[:MOST])} models on the images as they are, and after all were encoded in one way",
        files=moved_figure(models, picture_stem(found, "counterfactual"), "AUROC"),
        caption=f"What goes away came from the files, or is what the change costs; the findings say which.{more}",
    )


def _duplicates(found: Found) -> Picture | None:
    rows = [row for row in duplicate_rows(found.tables) if row["where"] == "set"][:DUPLICATES]
    pairs = [_beside(found, row, _distance(row)) for row in rows]
    if not any(picture for pair in pairs for picture in pair.pictures):
        return None
    return Picture(
        name="duplicates",
        title="Images that are there twice",
        alt=f"{len(pairs)} pairs of images that are the same or nearly so, with their labels",
        files=pair_sheet(pairs, picture_stem(found, "duplicates"), "Duplicates"),
        caption="Those with different labels first. Below each image its label.",
    )


def _distance(row: Mapping[str, Any]) -> str:
    return "equal bytes" if row["distance"] is None else f"{row['distance']} of 64 bits differ"


def _suspects(found: Found) -> Picture | None:
    rows = suspect_rows(found.tables, of_models(found.group))[:SUSPECTS]
    pairs = [_beside(found, row, f"{row['label']} or {row['suggested']}?") for row in rows]
    if not any(picture for pair in pairs for picture in pair.pictures):
        return None
    return Picture(
        name="label-errors",
        title="Labels that are likely wrong",
        alt=f"{len(pairs)} images whose label is likely wrong, each beside the image of another label that it is most "
        "like",
        files=pair_sheet(pairs, picture_stem(found, "label-errors"), "Labels that are likely wrong"),
        caption="Left the image, with its label below; right the most similar one of the label that models give it.",
    )


def _beside(found: Found, row: Mapping[str, Any], above: str) -> Beside:
    thumbnails = Thumbnails.load(found.folder)
    return Beside(
        above,
        (thumbnails.get(row.get("image_digest_a")), thumbnails.get(row.get("image_digest_b"))),
        (str(row["label_a"]), str(row["label_b"])),
    )
