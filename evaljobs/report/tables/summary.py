"""The folder ``summary/``: each table in five formats, from its one declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.section import Table
from evaljobs.report.tables.escape import html_text, markdown_text
from evaljobs.report.tables.formats import to_csv, to_html, to_latex, to_markdown, to_parquet

FOLDER = "summary"

# For a file of its own, opened from anywhere: nothing is loaded, and nothing in it can run.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 1rem; }}
table {{ border-collapse: collapse; }}
caption {{ font-weight: bold; text-align: left; padding-bottom: 0.5rem; }}
th, td {{ padding: 0.2rem 0.6rem; text-align: left; font-weight: normal; }}
thead th {{ border-bottom: 1px solid; font-weight: bold; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
</style>
</head>
<body>
{table}{notes}</body>
</html>
"""


def write_summary(tables: Sequence[Table], folder: Path, prefix: str = "") -> list[Path]:
    """Write each table as ``summary/<prefix><name>.csv``, ``.parquet``, ``.md``, ``.tex`` and ``.html``.

    CSV and Parquet have every column, digit and interval end, and no notes; the others are rounded for people, without
    the columns that say nothing.

    Parameters
    ----------
    tables
        Their names are all different.
    folder
        The run's folder.
    prefix
        Of the file names.

    Returns
    -------
    What was written, in order.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise ValueError(f"found two tables of one name among {names}; expected one file for each")
    into = folder / FOLDER
    try:
        into.mkdir(exist_ok=True)
    except OSError as error:
        raise RunFailedError(f"cannot write {into}: {error.strerror or error}; name another --out") from None
    return [
        write_atomic(into / f"{prefix}{table.name}.{suffix}", write(table))
        for table in tables
        for suffix, write in _FORMATS.items()
    ]


def _csv(table: Table) -> bytes:
    return to_csv(table.columns, table.rows)


def _parquet(table: Table) -> bytes:
    return to_parquet(table.columns, table.rows)


def _markdown(table: Table) -> bytes:
    notes = "".join(f"- {markdown_text(note)}\n" for note in table.notes)
    parts = [f"# {markdown_text(table.title)}\n", to_markdown(table.shown, table.rows), notes]
    return "\n".join(part for part in parts if part).encode()


def _latex(table: Table) -> bytes:
    return to_latex(table.shown, table.rows, table.title, table.notes).encode()


def _html(table: Table) -> bytes:
    notes = "".join(f"<li>{html_text(note)}</li>\n" for note in table.notes)
    page = _PAGE.format(
        title=html_text(table.title),
        table=to_html(table.shown, table.rows, table.title),
        notes=f"<ul>\n{notes}</ul>\n" if notes else "",
    )
    return page.encode()


_FORMATS: dict[str, Callable[[Table], bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
    "md": _markdown,
    "tex": _latex,
    "html": _html,
}
