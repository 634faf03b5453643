"""A comparison of two runs for people and for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group as Renderables
from rich.console import RenderableType
from rich.text import Text

from evaljobs.errors import UsageError
from evaljobs.remote import is_remote, locate
from evaljobs.report.atomic import write_atomic
from evaljobs.report.comparing.comparison import Comparison
from evaljobs.report.comparing.difference_tables import DIFFERENCE_COLUMNS, SHOWN_COLUMNS, bullets, legend
from evaljobs.report.comparing.gate_table import GATE_COLUMNS, gate_legend, gate_lines
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import markdown_text, visible
from evaljobs.report.tables.formats import to_csv, to_markdown, to_parquet, to_terminal

# Of the JSON document.
VERSION = 1


def _tables(rows: Sequence[Row], title: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Return rows by the title of their table."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        tables.setdefault(title(row), []).append(row)
    return tables


def _group(row: Row) -> str:
    return f"{row['job']} on {row['set']}"


def _pair(row: Row) -> str:
    names = row["model"] if row["model"] == row["reference"] else f"{row['reference']} (A), {row['model']} (B)"
    return f"{_group(row)}: {names}"


def _remarks(found: Comparison) -> list[str]:
    return [*legend(found.rows), *gate_legend(found.gates), *(f"note: {note}" for note in found.notes)]


def render_comparison(found: Comparison) -> RenderableType:
    """Return a comparison for a terminal: tables of pairs of models, what verdicts mean, what was left out, gates.

    Names stand above the tables, so that no number of them is cut at 80 columns.
    """
    parts: list[RenderableType] = []
    for title, rows in _tables(found.rows, _pair).items():
        parts += [Text(visible(title), style="bold"), to_terminal(used_columns(SHOWN_COLUMNS, rows), rows)]
    parts += [Text(visible(line)) for line in _remarks(found)]
    if found.gates:
        parts += [Text("Gates", style="bold"), *(Text(visible(line)) for line in gate_lines(found.gates))]
    return Renderables(*parts)


def to_document(found: Comparison) -> dict[str, Any]:
    """Return a comparison as a JSON document: its rows by the names of their columns, gates, and what was left out."""
    rows = [{column.name: column.value(row) for column in DIFFERENCE_COLUMNS} for row in found.rows]
    return {"version": VERSION, "differences": rows, "gates": found.gates, "notes": found.notes}


def to_page(found: Comparison) -> str:
    """Return a comparison as a Markdown page."""
    parts = ["# Comparison\n"]
    for title, rows in _tables(found.rows, _group).items():
        columns = used_columns([*_name_columns(rows), *SHOWN_COLUMNS], rows)
        parts += [f"## {markdown_text(title)}\n", to_markdown(columns, rows)]
    if found.gates:
        columns = used_columns([*_name_columns(found.gates), *GATE_COLUMNS], found.gates)
        parts += ["## Gates\n", to_markdown(columns, found.gates)]
    return "\n".join([*parts, bullets(_remarks(found))])


def _name_columns(rows: Sequence[Row]) -> list[Column]:
    """Return one column where equal names are compared, two where they differ."""
    if all(row["reference"] == row["model"] for row in rows):
        return [Column("model", "model", "model", Kind.TEXT)]
    return [Column("reference", "model A", "reference", Kind.TEXT), Column("model", "model B", "model", Kind.TEXT)]


_FORMATS: dict[str, Callable[[Comparison], bytes]] = {
    ".csv": lambda found: to_csv(DIFFERENCE_COLUMNS, found.rows),
    ".parquet": lambda found: to_parquet(DIFFERENCE_COLUMNS, found.rows),
    ".md": lambda found: to_page(found).encode(),
}


def write_comparison(place: str | Path, found: Comparison) -> None:
    """Write a comparison in the format of the file's ending.

    Parameters
    ----------
    place
        A local file, or ``s3://bucket/key``.

    Raises
    ------
    UsageError
        If no format is known by that ending, or there is no such folder.
    RunFailedError, RemoteError
        If the file cannot be written.
    """
    path = Path(place)
    encode = _FORMATS.get(path.suffix)
    if encode is None:
        raise UsageError(f"{place}: no format is known by the ending {path.suffix!r}; expected {', '.join(_FORMATS)}")
    if is_remote(place):
        # It loads the S3 library.
        from evaljobs.remote import objects

        objects.replace(locate(str(place), Path()), encode(found))
        return
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} to; make it, or name another --out")
    write_atomic(path, encode(found))
