"""A table in each format, from its columns and rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.table import Table
from rich.text import Text

from evaljobs.report.tables.columns import Column, Kind, Row, with_beside
from evaljobs.report.tables.escape import csv_text, encodable, html_text, latex_text, markdown_text, visible

_NAME_WIDTH = 24
# A hyphen before a number, not inside one as in 1e-5.
_MINUS = re.compile(r"(?<!\w)-(?=[\d.])")
# A float cannot be broken over pages.
_PAGE_ROWS = 40
_ARROW = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64(), Kind.BOOLEAN: pa.bool_()}


def to_csv(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Return UTF-8 CSV: every digit of every number, null as an empty cell, line feeds."""
    columns = list(with_beside(columns))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_text(column.name) for column in columns])
    writer.writerows([_csv_cell(column, column.value(row)) for column in columns] for row in rows)
    return stream.getvalue().encode()


def _csv_cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    match column.kind:
        case Kind.TEXT:
            return csv_text(str(value))
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.INTEGER:
            return str(int(value))
        case Kind.NUMBER:
            return repr(float(value))


def to_arrow(columns: Sequence[Column], rows: Sequence[Row]) -> pa.Table:
    """Return an Arrow table: text, int64, float64 and booleans; titles and units as metadata of the fields."""
    columns = list(with_beside(columns))
    fields = [
        pa.field(encodable(c.name), _ARROW[c.kind], metadata={"title": encodable(c.title), "unit": c.unit})
        for c in columns
    ]
    arrays = [pa.array([_arrow_cell(c, c.value(row)) for row in rows], _ARROW[c.kind]) for c in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _arrow_cell(column: Column, value: Any) -> Any:
    return encodable(str(value)) if column.kind is Kind.TEXT and value is not None else value


def to_parquet(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Return the Arrow table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(to_arrow(columns, rows), sink, compression="zstd")
    return sink.getvalue()


def to_markdown(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return a GitHub-flavoured Markdown table, rounded for people, with a final line feed."""
    lines = [[markdown_text(column.heading) for column in columns]]
    lines.append(["---:" if column.is_numeric else "---" for column in columns])
    lines += [[_markdown_cell(column, row) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _markdown_cell(column: Column, row: Row) -> str:
    text = markdown_text(column.text(row)).strip()
    return f"**{text}**" if text and column.strong(row) else text


def to_latex(columns: Sequence[Column], rows: Sequence[Row], caption: str = "", notes: Sequence[str] = ()) -> str:
    """Return a table for LaTeX with the package booktabs, rounded for people; a long one runs over several pages.

    Letters of every script stay as they are, so names that have such need XeLaTeX or LuaLaTeX and a font.

    Parameters
    ----------
    columns, rows
        The table.
    caption, notes
        Text above and below it, not escaped; may be empty.
    """
    long = len(rows) > _PAGE_ROWS
    title = [rf"\caption{{{latex_text(caption)}}}"] if caption else []
    ruled = [
        r"\toprule",
        _latex_line([latex_text(column.heading) for column in columns]),
        r"\midrule",
        *([r"\endhead"] if long else []),
        *(_latex_line([_latex_cell(column, row) for column in columns]) for row in rows),
        r"\bottomrule",
    ]
    kinds = "".join("r" if column.is_numeric else "l" for column in columns)
    foot = [rf"\par{{\footnotesize {latex_text(note)}\par}}" for note in notes]
    if long:
        lines = [*_latex_environment("longtable", kinds, [*(rf"{line} \\" for line in title), *ruled]), *foot]
    else:
        inner = _latex_environment("tabular", kinds, ruled)
        lines = _latex_environment("table", "", [r"\centering", *title, *inner, *foot])
    packages = "booktabs,longtable" if long else "booktabs"
    return "".join(f"{line}\n" for line in [rf"% \usepackage{{{packages}}}", *lines])


def _latex_environment(name: str, kinds: str, lines: Sequence[str]) -> list[str]:
    return [rf"\begin{{{name}}}{f'{{{kinds}}}' if kinds else ''}", *lines, rf"\end{{{name}}}"]


def _latex_line(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_cell(column: Column, row: Row) -> str:
    text = latex_text(column.text(row))
    if column.is_numeric:
        text = _MINUS.sub("$-$", text)
    return rf"\textbf{{{text}}}" if text and column.strong(row) else text


def to_html(columns: Sequence[Column], rows: Sequence[Row], caption: str = "") -> str:
    """Return a plain ``<table>`` for people: caption, headings with their scope, class ``number`` where flush right.

    The heading of a row is its model where there is a column ``model``, else its first cell.
    """
    names = [column.name for column in columns]
    heading = names.index("model") if "model" in names else 0
    head = "".join(f'<th{_html_class(column)} scope="col">{html_text(column.heading)}</th>' for column in columns)
    lines = ["".join(_html_cell(c, row, i == heading) for i, c in enumerate(columns)) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    title = f"<caption>{html_text(caption)}</caption>\n" if caption else ""
    return f"<table>\n{title}<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def _html_class(column: Column) -> str:
    return ' class="number"' if column.is_numeric else ""


def _html_cell(column: Column, row: Row, heads_row: bool) -> str:
    text = html_text(column.text(row))
    text = f"<strong>{text}</strong>" if text and column.strong(row) else text
    return f'<th{_html_class(column)} scope="row">{text}</th>' if heads_row else f"<td{_html_class(column)}>{text}</td>"


def _longest(column: Column, rows: Sequence[Row]) -> int:
    return max((len(visible(column.text(row))) for row in rows), default=1)


def to_terminal(columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    """Return a table for a terminal, rounded for people. Text columns fold where the terminal is narrow."""
    table = Table(padding=(0, 1, 0, 0), pad_edge=False, box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            Text(visible(column.heading)),
            justify="right" if column.is_numeric else "left",
            no_wrap=column.is_numeric,
            overflow="fold",
            # Where the terminal is narrow, numbers are cut before names are.
            min_width=None if column.is_numeric else min(_NAME_WIDTH, _longest(column, rows)),
        )
    for row in rows:
        table.add_row(*(Text(visible(column.text(row))) for column in columns))
    return table
