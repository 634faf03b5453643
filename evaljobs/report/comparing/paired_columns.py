"""The columns of a paired difference in a row of another table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text
from evaljobs.report.tables.columns import Column, Kind, Row


def paired_columns(key: str, title: str, reason: Callable[[Row], str]) -> list[Column]:
    """Return a difference with its interval, and what that says.

    Parameters
    ----------
    key
        Where a row has the difference (a row of `comparing.differences`, or None); the name of the column.
    title
        For people.
    reason
        Why a row has none.
    """
    ends = [
        Column(f"{key}_{end}", f"{title}, {end} end", partial(_end, key, index), Kind.NUMBER)
        for index, end in enumerate(("lower", "upper"))
    ]
    return [
        Column(
            key,
            f"{title} [95% interval]",
            f"{key}.difference",
            Kind.NUMBER,
            "",
            partial(_text, key),
            reason,
            tuple(ends),
        ),
        Column("verdict", "difference is", f"{key}.verdict", Kind.TEXT),
    ]


def _text(key: str, row: Row) -> str:
    return difference_text(row[key])


def _end(key: str, index: int, row: Row) -> Any:
    ends = (row[key] or {}).get("ci")
    return None if ends is None else float(ends[index])
