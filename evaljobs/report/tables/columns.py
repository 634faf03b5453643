"""Tables as data: what a column is. Formats follow from it (`evaljobs.report.tables.formats`), declarations use it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

Row = Mapping[str, Any]


class Kind(enum.StrEnum):
    """The type of a column's values. Any of them may be null."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


def _no_reason(_: Row) -> str:
    return ""


def _never(_: Row) -> bool:
    return False


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name
        In CSV and Parquet.
    title
        For people; the unit follows it in brackets.
    source
        A dotted path into the row (null where a part of it is absent), or a function of the row.
    kind
        Of the values.
    unit
        Empty for counts, rates and text.
    format
        For people: a format specification such as ``.4f``, or a function of the row, called where the value is not
        null.
    reason
        Why a value is null, where that is known; else empty.
    beside
        Columns that follow in CSV and Parquet alone: what people read in this one's text, such as the ends of an
        interval.
    strong
        Whether a row's text is set in bold, as that of the best model is.
    """

    name: str
    title: str
    source: str | Callable[[Row], Any]
    kind: Kind
    unit: str = ""
    format: str | Callable[[Row], str] = ""
    reason: Callable[[Row], str] = _no_reason
    beside: tuple[Column, ...] = ()
    strong: Callable[[Row], bool] = _never

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} [{self.unit}]" if self.unit and self.title else self.title or self.unit

    @property
    def is_numeric(self) -> bool:
        """Whether the column is set flush right."""
        return self.kind in {Kind.INTEGER, Kind.NUMBER}

    def value(self, row: Row) -> Any:
        """Return the value with all its digits; None where there is none."""
        return self.source(row) if callable(self.source) else _at(self.source, row)

    def text(self, row: Row) -> str:
        """Return the value for people, not yet escaped; ``-`` and the reason where there is none."""
        value = self.value(row)
        if value is None:
            reason = self.reason(row)
            return f"- ({reason})" if reason else "-"
        if callable(self.format):
            return self.format(row)
        return format(value, self.format)


def number_column(name: str, title: str, source: str | Callable[[Row], Any], form: str = ".4f") -> Column:
    """Return a column of numbers without a unit; a share is one with the format ``.2%``."""
    return Column(name, title, source, Kind.NUMBER, format=form)


def count_column(name: str, title: str, source: str | Callable[[Row], Any] = "") -> Column:
    """Return a column of counts; of what the row has under the column's own name where no source is given."""
    return Column(name, title, source or name, Kind.INTEGER, format=",d")


def end_columns(name: str, source: str, title: str = "") -> tuple[Column, ...]:
    """Return the columns of the two ends of an interval, to stand beside the number that it is of.

    Parameters
    ----------
    name
        What their names begin with.
    source
        A dotted path to both ends in the row; null where there is no interval.
    title
        What their titles begin with.
    """
    return tuple(
        Column(f"{name}_{end}", f"{title} {end} end".strip(), partial(_end, source, place), Kind.NUMBER)
        for place, end in enumerate(("lower", "upper"))
    )


def _end(source: str, place: int, row: Row) -> float | None:
    ends = _at(source, row)
    return None if ends is None else float(ends[place])


def _at(path: str, row: Row) -> Any:
    found: Any = row
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def used_columns(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """Leave out columns that say nothing in any row, not even why a value is missing."""
    return [column for column in columns if any(column.text(row) != "-" for row in rows)]


def with_beside(columns: Sequence[Column]) -> Iterator[Column]:
    """Yield the columns of files for machines: each with those beside it."""
    for column in columns:
        yield column
        yield from column.beside
