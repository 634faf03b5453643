"""What a map shows: where the images of a set lie for a model, and what images that lie near each other share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.kinds.map_pictures import pictures_of
from evaljobs.report.kinds.neighbours import BESIDE, Neighbours, neighbours
from evaljobs.report.results import OK, group_rows
from evaljobs.report.section import Finding, Found, Headline, Level, Part, Section, Table
from evaljobs.report.tables.columns import Column, Kind, Row, number_column
from evaljobs.report.text.map_words import sentence

# Models whose maps are drawn, and those whose maps stand in the section itself: a picture takes a second.
_DRAWN, _IN_FULL = 10, 3
# By how much more often than labels explain nearest images share a format before that is said, and of how many images.
_EXCESS, _LEAST_SHOWN = 0.1, 100


def map_section(found: Found) -> Section:
    """Return the section of maps of one set.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    rows = [r for r in group_rows(found.results, found.group) if r["model"]["name"] in found.group.evaluations]
    rows.sort(key=lambda row: (row["status"] != OK, -((row["result"] or {}).get("nearest_same_label") or 0.0)))
    fine = [row for row in rows if row["status"] == OK]
    near = {row["model"]["name"]: _neighbours_of(found, row) for row in fine}
    pictures = {row["model"]["name"]: list(pictures_of(found, row)) for row in fine[:_DRAWN]}
    shared = [{"model": row["model"], **one._asdict()} for row in fine for one in near[row["model"]["name"]]]
    left_out = [f"Maps are drawn of the first {_DRAWN} models; `tables/` has the places of all."]
    notes = [_METHOD_NOTE, *(left_out if len(fine) > _DRAWN else [])]
    tables = [Table("maps", "Maps", _COLUMNS, rows, notes)]
    if shared:
        tables.append(Table("neighbours", "What nearest images share", _NEAR_COLUMNS, shared, [_NEAR_NOTE]))
    in_full = list(pictures)[:_IN_FULL]
    return Section(
        job=found.group.job,
        kind="map",
        set=found.group.set,
        headline=Headline(None, _headline(fine), Verdict.UNKNOWN),
        choice="",
        boards={},
        chosen="",
        whole=Part(tables=tables, pictures=[picture for name in in_full for picture in pictures[name]]),
        models={name: Part(pictures=() if name in in_full else several) for name, several in pictures.items()},
        findings=[finding for row in fine for finding in _findings(row, near[row["model"]["name"]])],
    )


def _headline(fine: Sequence[Row]) -> str:
    """Say what is shown of how many, and how often the nearest image is of the same label."""
    if not fine:
        return "No model could be mapped."
    more = f"; {len(fine) - 1:,} more model{'s' if len(fine) > 2 else ''} below" if len(fine) > 1 else ""
    return f"{sentence(fine[0])}{more}."


_METHOD_NOTE = (
    "Of embeddings at length 1. KL divergence: how far the neighbourhoods of the t-SNE map are from those of the "
    "embeddings, 0 if they were the same; it compares maps of the same images and perplexity alone."
)
_NEAR_NOTE = (
    "The image with the largest cosine, among those that are shown. By chance: the share of all pairs. By labels: what "
    "would be if the nearest image were drawn anew among the images of its label: above it, images that lie together "
    "share more than their label. A model that sees the column is one reason; near-duplicates or pictures of one "
    "session that were saved alike are another."
)


def _neighbours_of(found: Found, row: Row) -> list[Neighbours]:
    table = found.tables.get(row["model"]["name"], {}).get("map")
    return [] if table is None else neighbours(table)


def _findings(row: Row, near: Sequence[Neighbours]) -> Iterator[Finding]:
    name, result = row["model"]["name"], row["result"]
    for note in result.get("notes") or ():
        yield Finding(Level.NOTE, f"{name}: {note}")
    for one in near:
        if one.column in BESIDE and result["n_shown"] >= _LEAST_SHOWN and one.same - one.by_labels >= _EXCESS:
            yield Finding(
                Level.WARNING,
                f"{name}: the nearest image has the same {one.column} for {one.same:.1%} of the images, where labels "
                f"alone would make it {one.by_labels:.1%}: images that lie together were saved alike. Either the "
                f"model sees the {one.column}, or near-duplicates or sessions share it",
                f"look at neighbours in the map coloured by {one.column}: if they do not show the same thing, save all "
                "images the same way and evaluate again",
            )


def _variance(number: int) -> Any:
    def value(row: Row) -> float | None:
        shares = ((row["result"] or {}).get("pca") or {}).get("explained_variance")
        return None if shares is None else float(shares[number])

    return value


_COLUMNS = (
    Column("model", "model", "model.name", Kind.TEXT),
    Column("status", "status", lambda row: None if row["status"] == OK else row["status"], Kind.TEXT),
    Column("n_shown", "shown", "result.n_shown", Kind.INTEGER, format=","),
    Column("n_samples", "of images", "result.n_samples", Kind.INTEGER, format=","),
    Column("n_labels_shown", "labels shown", "result.n_labels_shown", Kind.INTEGER, format=","),
    Column("sampling", "sampling", "result.sampling", Kind.TEXT),
    number_column("nearest_same_label", "nearest has same label", "result.nearest_same_label", ".4f"),
    number_column("by_chance", "by chance", "result.nearest_same_label_by_chance", ".4f"),
    number_column("variance_1", "variance on PC 1", _variance(0), ".4f"),
    number_column("variance_2", "on PC 2", _variance(1), ".4f"),
    number_column("perplexity", "perplexity", "result.tsne.perplexity", ".4g"),
    number_column("kl_divergence", "KL divergence", "result.tsne.kl_divergence", ".4f"),
)
_NEAR_COLUMNS = (
    Column("model", "model", "model.name", Kind.TEXT),
    Column("column", "nearest has the same", "column", Kind.TEXT),
    number_column("same", "share", "same", ".4f"),
    number_column("by_chance", "by chance", "by_chance", ".4f"),
    number_column("by_labels", "by labels", "by_labels", ".4f"),
)
