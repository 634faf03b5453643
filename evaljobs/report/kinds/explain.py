"""What an explanation shows: where models look, and whether their maps can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.kinds.explain_pictures import TABLE, pictures_of
from evaljobs.report.results import OK, group_rows
from evaljobs.report.section import Finding, Found, Headline, Level, Part, Section, Table
from evaljobs.report.tables.columns import Column, Kind, Row, number_column
from evaljobs.report.text.explain_words import EXPLAIN, sentence

# Models whose maps are drawn, and of those that are shown at once.
_DRAWN, _IN_FULL = 10, 1
# Of the rank correlation of a map with that of shuffled weights: half of its order would not come from the weights.
_ALIKE = 0.5


def explain_section(found: Found) -> Section:
    """Return the section of explanations of one set.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    rows = [r for r in group_rows(found.results, found.group) if r["model"]["name"] in found.group.evaluations]
    fine = [row for row in rows if row["status"] == OK]
    pictures = {row["model"]["name"]: list(pictures_of(found, row)) for row in fine[:_DRAWN]}
    left_out = [f"Maps are drawn of the first {_DRAWN} models; `tables/` has those of all."]
    table = Table(
        "explained", "Whether the maps can be believed", _COLUMNS, rows, [_NOTE, *(left_out if fine[_DRAWN:] else [])]
    )
    in_full = list(pictures)[:_IN_FULL]
    return Section(
        job=found.group.job,
        kind=EXPLAIN,
        set=found.group.set,
        headline=Headline(None, _headline(fine), Verdict.UNKNOWN),
        choice="",
        boards={},
        chosen="",
        whole=Part(tables=[table], pictures=[picture for name in in_full for picture in pictures[name]]),
        models={
            row["model"]["name"]: Part(
                tables=_maps(found, row["model"]["name"]),
                pictures=() if row["model"]["name"] in in_full else pictures.get(row["model"]["name"], ()),
            )
            for row in fine
        },
        findings=[finding for row in fine for finding in _findings(row)],
        data=[table],
    )


def _headline(fine: Sequence[Row]) -> str:
    if not fine:
        return "No model could be explained."
    more = f"; {len(fine) - 1:,} more model{'s' if len(fine) > 2 else ''} below" if len(fine) > 1 else ""
    return f"{sentence(fine[0])}{more}."


_NOTE = (
    "Deletion: the area under the score (a probability, or a cosine) while pixels are replaced by the image's mean "
    "colour, those first at which the map is highest: the smaller the better. Insertion: the same while they come "
    "back: the larger the better. Random: the mean of maps with the same values at shuffled places. Share: of the "
    "images, those whose map is better than that. Shuffled weights: the rank correlation with the maps of the same "
    "network after each weight tensor was shuffled: near 0 where maps come of what was learned."
)


def _findings(row: Row) -> Iterator[Finding]:
    name, result = row["model"]["name"], row["result"]
    for note in result.get("notes") or ():
        yield Finding(Level.NOTE, f"{name}: {note}")
    if result["n_empty"]:
        yield Finding(
            Level.NOTE,
            f"{name}: {result['n_empty']:,} of {result['n_maps']:,} maps are empty: at the layer "
            f"{result['layer']['tensor']} nothing speaks for what is explained",
        )
    found = result["faithfulness"]
    if found and found["insertion"] <= found["random_insertion"] and found["deletion"] >= found["random_deletion"]:
        yield Finding(
            Level.WARNING,
            f"{name}: its maps tell no more about what it depends on than random ones: insertion "
            f"{found['insertion']:.3f} and {found['random_insertion']:.3f}, deletion {found['deletion']:.3f} and "
            f"{found['random_deletion']:.3f}",
            "do not read anything into them; an earlier `layer` has more places",
        )
    shuffled = result["shuffled_weights"]
    if shuffled and not shuffled["n_maps"]:
        yield Finding(
            Level.WARNING,
            f"{name}: whether its maps show what was learned is not known: each is the same everywhere, or is so with "
            "shuffled weights",
            "name another `layer`",
        )
    elif shuffled and abs(shuffled["rank_correlation"]) >= _ALIKE:
        yield Finding(
            Level.WARNING,
            f"{name}: the same network with shuffled weights gives nearly the same maps (rank correlation "
            f"{shuffled['rank_correlation']:.2f}): they show the images, and not what was learned",
            "do not read anything into them; name a later `layer`",
        )


def _maps(found: Found, name: str) -> list[Table]:
    """Return the maps of a model as a table, without their values."""
    table = found.tables.get(name, {}).get(TABLE)
    if table is None or not table.num_rows:
        return []
    columns = [column for column in table.column_names if column not in {"values", "picture"}]
    return [Table("maps", f"Maps of {name}", _MAP_COLUMNS, table.select(columns).to_pylist())]


_COLUMNS = (
    Column("model", "model", "model.name", Kind.TEXT),
    Column("status", "status", lambda row: None if row["status"] == OK else row["status"], Kind.TEXT),
    Column("target", "target", "result.target", Kind.TEXT),
    Column("layer", "layer", "result.layer.tensor", Kind.TEXT),
    Column("height", "rows", "result.layer.height", Kind.INTEGER),
    Column("width", "columns", "result.layer.width", Kind.INTEGER),
    Column("channels", "channels", "result.layer.channels", Kind.INTEGER, format=","),
    Column("n_maps", "maps", "result.n_maps", Kind.INTEGER, format=","),
    Column("n_empty", "empty", "result.n_empty", Kind.INTEGER, format=","),
    number_column("deletion", "deletion", "result.faithfulness.deletion", ".4f"),
    number_column("random_deletion", "random", "result.faithfulness.random_deletion", ".4f"),
    number_column("deletion_better", "share", "result.faithfulness.deletion_better", ".3f"),
    number_column("insertion", "insertion", "result.faithfulness.insertion", ".4f"),
    number_column("random_insertion", "random", "result.faithfulness.random_insertion", ".4f"),
    number_column("insertion_better", "share", "result.faithfulness.insertion_better", ".3f"),
    number_column("rank_correlation", "shuffled weights", "result.shuffled_weights.rank_correlation", ".3f"),
)
_MAP_COLUMNS = (
    Column("pair", "pair", "pair", Kind.INTEGER),
    Column("id", "image", "id", Kind.TEXT),
    Column("label", "label", "label", Kind.TEXT),
    Column("target", "towards", "target", Kind.TEXT),
    number_column("score", "score", "score", ".4f"),
    number_column("deletion", "deletion", "deletion", ".4f"),
    number_column("random_deletion", "random", "random_deletion", ".4f"),
    number_column("insertion", "insertion", "insertion", ".4f"),
    number_column("random_insertion", "random", "random_insertion", ".4f"),
    number_column("shuffled_weights", "shuffled weights", "shuffled_weights", ".3f"),
)
