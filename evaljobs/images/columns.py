"""Columns of tables that people bring: found by name, read as text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.errors import UsageError


def check_columns(names: Sequence[str], columns: Sequence[str], where: str, keys: str) -> None:
    """Refuse a table that lacks a column, or has it twice.

    Parameters
    ----------
    names
        The table's columns.
    columns
        Those that are needed.
    where
        What messages begin with.
    keys
        The keys of the configuration that name columns, for messages.

    Raises
    ------
    UsageError
        Naming the nearest column.
    """
    for column in columns:
        if names.count(column) > 1:
            raise UsageError(f"{where} has {names.count(column)} columns named {column!r}; name each column once")
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(repr(name) for name in names[:20])}."
            separated = ""
            if names and re.search("[;\t|]", names[0]):
                separated = " Its columns seem not to be separated by commas."
            raise UsageError(f"{where} has no column {column!r}; {hint}{separated} Set {keys} to columns it has")


def is_text(kind: pa.DataType) -> bool:
    """Say whether a type is text."""
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def as_text(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Return a text or integer column as text.

    Raises
    ------
    UsageError
        If it is of another type, or a value is missing.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not is_text(kind) and not pa.types.is_integer(kind) and not pa.types.is_null(kind):
        raise UsageError(f"{where}: column {name!r} holds {kind}; expected text or integers")
    values = pc.cast(pc.cast(column, kind), pa.string())
    refuse_missing(pc.fill_null(pc.equal(values, ""), fill_value=True), name, where)
    return values


def refuse_missing(missing: pa.ChunkedArray, name: str, where: str) -> None:
    """Refuse rows that lack a value.

    Parameters
    ----------
    missing
        Boolean, without nulls: which rows.
    name, where
        Of the column, and what the message begins with.

    Raises
    ------
    UsageError
        Naming how many, and the first.
    """
    if count := pc.sum(missing).as_py():
        rows = pc.indices_nonzero(missing).slice(0, 3).to_pylist()
        shown = ", ".join(str(row + 1) for row in rows)
        raise UsageError(
            f"{where}: {count:,} row(s) have no value in column {name!r}, the first in row {shown} (counted from 1, "
            "without the column names); fill them in or take these rows out"
        )
