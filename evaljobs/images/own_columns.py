"""Columns of people's own: what a manifest knows of an image beyond its file, its label and its id.

They stand beside the samples, as `evaljobs.config.OWN_COLUMN` and their name, and take part in nothing that is
computed: no key of the store depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import OWN_COLUMN
from evaljobs.errors import UsageError
from evaljobs.images.columns import is_text

# Numbers as Python writes them: 007 is a name. Eighteen digits always fit 64 bits; what has more is a name too.
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_AS_TEXT = (pa.types.is_boolean, pa.types.is_temporal, pa.types.is_decimal, pa.types.is_null)


def own_names(table: pa.Table) -> list[str]:
    """Return the columns of people's own in a table of samples, by their names there."""
    return [name for name in table.column_names if name.startswith(OWN_COLUMN)]


def typed(column: pa.ChunkedArray, name: str, where: str, *, written: bool) -> pa.ChunkedArray:
    """Return a column as string, int64 or float64; null where nothing is written.

    Parameters
    ----------
    column
        Of the manifest.
    name, where
        Of the column, and what the message begins with.
    written
        Whether it is text because it stands in a CSV file. Then it becomes numbers where every value is one, and stays
        text where one is none, or begins with a zero that numbers do not have.

    Raises
    ------
    UsageError
        If it holds something else than texts, numbers, times or truth values.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    values = pc.cast(column, kind)
    if is_text(kind):
        texts = pc.cast(values, pa.string())
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        return _numbers(texts) if written else texts
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return pc.cast(values, pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_uint64(kind):
        return pc.cast(values, pa.float64(), safe=False)
    if any(test(kind) for test in _AS_TEXT):
        return pc.cast(values, pa.string())
    raise UsageError(f"{where}: column {name!r} of `columns` holds {kind}; expected text, numbers, times or booleans")


def _numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as numbers, if all are."""
    if texts.null_count == len(texts):
        return texts
    if pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py():
        return pc.cast(texts, pa.int64())
    if pc.all(pc.match_substring_regex(texts, _NUMBER)).as_py():
        numbers = pc.cast(texts, pa.float64())
        return numbers if pc.all(pc.is_finite(numbers)).as_py() else texts
    return texts


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables one below the other; where one lacks a column of people's own it is null.

    A column that is text in one of them and numbers in another is text.

    Parameters
    ----------
    tables
        Equal but for columns of people's own.
    """
    return pa.concat_tables(_alike(tables), promote_options="default")


def _alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for name in own_names(table):
            kinds.setdefault(name, set()).add(table[name].type)
    differ = {name for name, several in kinds.items() if len(several) > 1}
    return [_as_text(table, differ) for table in tables]


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names.intersection(table.column_names):
        table = table.set_column(table.column_names.index(name), name, pc.cast(table[name], pa.string()))
    return table
