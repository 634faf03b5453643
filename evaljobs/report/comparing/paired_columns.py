"""The columns of a paired difference in a row of another table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from evaljobs.report.comparing.difference_tables import difference_text
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns


def paired_columns(key: str, title: str, reason: Callable[[Row], str], verdict: str = "verdict") -> list[Column]:
    """Return a difference with its interval, and what that says.

    Parameters
    ----------
    key
        Where a row has the difference (a row of `comparing.differences`, or None); the name of the column.
    title
        For people.
    reason
        Why a row has none.
    verdict
        The name of the column of what it says.
    """
    return [
        Column(
            key,
            f"{title} [95% interval]",
            f"{key}.difference",
            Kind.NUMBER,
            "",
            partial(_text, key),
            reason,
            end_columns(key, f"{key}.ci", f"{title},"),
        ),
        Column(verdict, "difference is", f"{key}.verdict", Kind.TEXT),
    ]


def _text(key: str, row: Row) -> str:
    return difference_text(row[key])
