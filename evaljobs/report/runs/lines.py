"""A line of a chart: the quality of some models, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.quality import Quality


def line_of(name: str, rows: Sequence[Row], quality: Quality, places: Sequence[float]) -> dict[str, Any]:
    """Return a line as charts of the kind ``lines`` have it: null where a model has no number, or no interval.

    Parameters
    ----------
    name
        Of the line.
    rows
        Of the leaderboard, in the order of the line.
    quality
        What is drawn.
    places
        Of each row: where it stands along the line.
    """
    ends = [quality.interval(row) for row in rows]
    return {
        "name": name,
        "x": list(places),
        "y": [quality.number(row) for row in rows],
        "low": [end and end[0] for end in ends],
        "high": [end and end[1] for end in ends],
    }
