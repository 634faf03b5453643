"""A table as cells: what is shown, what it is sorted by, and what is copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evaljobs.report.section import Table
from evaljobs.report.tables.columns import Column, Row, used_columns

# Of these columns people take the number into their code: all its digits.
COPIED = frozenset({"threshold", "threshold_half"})
# The column that names the model of a row.
NAMING = "model"


class Head(NamedTuple):
    """The head of a column: its name in files, its title, and whether it is set flush right."""

    name: str
    title: str
    numeric: bool


class Cell(NamedTuple):
    """A cell.

    Attributes
    ----------
    text
        For people.
    value
        The number that it is sorted by; None in columns of text, and where there is none.
    exact
        What is copied; empty where nothing is.
    strong
        Whether it is set in bold.
    """

    text: str
    value: float | None = None
    exact: str = ""
    strong: bool = False


class Line(NamedTuple):
    """A row: its cells, and the number of the model that it is about, if it is about one."""

    cells: Sequence[Cell]
    model: int | None


class Shared:
    """Values that stand in many places of the page's data, each held once.

    Attributes
    ----------
    values
        In order of their numbers.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value that is text or a list of texts and integers."""
        found = self._numbers.setdefault(repr(value), len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


class Grid(NamedTuple):
    """A table.

    Attributes
    ----------
    name, title, notes
        As of the table; how many rows are left out is a note, too.
    heads, lines
        Columns that say nothing are left out.
    left_out
        How many rows are not among the lines.
    """

    name: str
    title: str
    notes: Sequence[str]
    heads: Sequence[Head]
    lines: Sequence[Line]
    left_out: int

    def as_json(self, shared: Shared) -> dict[str, Any]:
        """Return it for the script: a cell is its text, or its text and what else there is of it.

        Hundreds of models have tables with the same heads and notes: those are numbers of what is `shared`.
        """
        return {
            "name": self.name,
            "title": self.title,
            "notes": [shared.number(note) for note in self.notes],
            "heads": [shared.number([head.name, head.title, int(head.numeric)]) for head in self.heads],
            "lines": [[line.model, *map(_cell_json, line.cells)] for line in self.lines],
        }


def _cell_json(cell: Cell) -> str | list[Any]:
    value = int(cell.value) if cell.value is not None and cell.value.is_integer() else cell.value
    if cell.exact or cell.strong:
        return [cell.text, None if cell.exact else value, cell.exact, int(cell.strong)]
    return cell.text if value is None else [cell.text, value]


def grid_of(table: Table, models: Mapping[str, int], most: int | None = None, file: str | None = None) -> Grid:
    """Return a table as cells.

    Parameters
    ----------
    models
        The numbers of the models by name.
    most
        How many rows are shown at most, but for those on a front, which are shown all; no limit by default.
    file
        Of the run's folder, in which all rows are written, if they are.
    """
    rows = table.rows if most is None else _kept(table.rows, most)
    left_out = len(table.rows) - len(rows)
    where = f"{file} has all rows" if file else "no file has them"
    notes = [*table.notes, *([f"{left_out:,} more rows are not shown: {where}"] if left_out else [])]
    columns = used_columns(table.columns, rows)
    heads = [Head(column.name, column.heading, column.is_numeric) for column in columns]
    lines = [Line([_cell(column, row) for column in columns], models.get(_model(row) or "")) for row in rows]
    return Grid(table.name, table.title, notes, heads, lines, left_out)


def _kept(rows: Sequence[Row], most: int) -> list[Row]:
    """Return the rows on the front, and so many of the first others that there are `most`; in their order."""
    by_worth = sorted(range(len(rows)), key=lambda number: (not rows[number].get("on_front"), number))
    n_front = sum(bool(row.get("on_front")) for row in rows)
    return [rows[number] for number in sorted(by_worth[: max(most, n_front)])]


def _cell(column: Column, row: Row) -> Cell:
    value = column.value(row) if column.is_numeric else None
    exact = repr(float(value)) if value is not None and column.name in COPIED else ""
    return Cell(column.text(row), None if value is None else float(value), exact, column.strong(row))


def _model(row: Row) -> str | None:
    """Return the name of the model that a row is about: its entry of the results, or its name."""
    model = row.get("model")
    name = model.get("name") if isinstance(model, Mapping) else model
    return name if isinstance(name, str) else None
