"""A table in each format, from its columns and rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.table import Table
from rich.text import Text

from evaljobs.report.columns import Column, Kind, Row
from evaljobs.report.escape import csv_text, encodable, markdown_text, visible

_NAME_WIDTH = 24
_ARROW = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64(), Kind.BOOLEAN: pa.bool_()}


def to_csv(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """Return UTF-8 CSV: every digit of every number, null as an empty cell, line feeds."""
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
    lines += [[markdown_text(column.text(row)) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


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
