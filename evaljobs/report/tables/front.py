"""Quality against cost: which models no other one beats in both."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text, legend
from evaljobs.report.results import OK, earlier_rates, image_rates
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.flags import meanings
from evaljobs.report.tables.listing import first_names
from evaljobs.report.tables.numbers import digits_text
from evaljobs.report.tables.quality import Quality
from evaljobs.report.tables.verification import EARLIER_NOTE, measured_text

_MOST_NAMED = 5
_RULE = (
    "On the front: no other model is at least as good and at least as cheap, and better in one of the two. Such a "
    "model stands against the next dearer one on the front, every other against the best one that costs no more"
)
_MEASURED = (
    "Time per image, in batches: the inverse of images per second of one session, without decoding; not how long a "
    f"single image takes. {EARLIER_NOTE}."
)


class Cost(enum.StrEnum):
    """What an image or a model costs."""

    GFLOPS = "gflops"
    SIZE = "size"
    PARAMS = "params"
    TIME = "time"

    @property
    def label(self) -> str:
        """In words, without the unit."""
        return _LABELS[self][0]

    @property
    def unit(self) -> str:
        """Empty for counts."""
        return _LABELS[self][1]

    @property
    def varies(self) -> bool:
        """Whether it differs between two equal runs."""
        return self is Cost.TIME


_LABELS = {
    Cost.GFLOPS: ("GFLOPs", ""),
    Cost.SIZE: ("size", "MB"),
    Cost.PARAMS: ("parameters", ""),
    Cost.TIME: ("time per image, in batches", "ms"),
}
_PATHS = {Cost.GFLOPS: "gflops", Cost.SIZE: "size_mb", Cost.PARAMS: "params"}


def front_table(found: Found, quality: Quality, cost: Cost) -> Table:
    """Return quality against cost, cheapest first: who is on the front, and by how much the next one is better.

    Parameters
    ----------
    found
        The evaluations of one job on one set.
    quality
        Of which more is better.
    cost
        One that `varies` has no place in files that are equal for equal runs.

    Returns
    -------
    A table whose rows are those of `front_rows`; models without one of the two are named in its notes.
    """
    rows = front_rows(found, quality, cost)
    notes = [
        *([_RULE] if rows else []),
        *legend([row["difference"] for row in rows if row["difference"]]),
        *_left_out(found, rows, quality, cost),
        *meanings(flag for row in rows for flag in quality.flags(row)),
        *([_MEASURED] if cost.varies and rows else []),
    ]
    title = f"{quality.heading} against {cost.label}"
    return Table(f"front-{cost}", title, _columns(quality, cost), rows, notes)


def front_rows(found: Found, quality: Quality, cost: Cost) -> list[dict[str, Any]]:
    """Return the models that have a cost and a quality, cheapest first, of equal cost the best first.

    Returns
    -------
    list of dict
        Beside the leaderboard's keys ``name``, ``x`` (cost), ``y`` (quality), ``low`` and ``high`` (its 95%
        interval, or null), ``on_front``, ``against`` (the model that it stands against, or null), ``difference`` (a row
        of `Quality.difference`: that model less this one, or null), ``times`` (how many times the cost that one has)
        and ``is_earlier`` (whether the cost was measured in an earlier run).
    """
    rates, earlier = image_rates(found.results), earlier_rates(found.results) if cost.varies else ()
    # Who has a number and no rank was judged on other images.
    rows = [_row(row, quality, cost, rates) for row in quality.rows(found) if row["rank"] is not None]
    rows = [row for row in rows if row["x"] is not None and row["y"] is not None]
    rows.sort(key=lambda row: (row["x"], -row["y"], row["name"]))
    front = _front(rows)
    return [{**_stand(row, front, quality), "is_earlier": row["name"] in earlier} for row in rows]


def _row(row: Row, quality: Quality, cost: Cost, rates: Mapping[str, float]) -> dict[str, Any]:
    low, high = quality.interval(row) or (None, None)
    name = row["model"]["name"]
    return {**row, "name": name, "x": _cost(row, cost, rates), "y": quality.number(row), "low": low, "high": high}


def _cost(row: Row, cost: Cost, rates: Mapping[str, float]) -> float | None:
    if cost is Cost.TIME:
        rate = rates.get(row["model"]["name"])
        return None if rate is None else 1000 / rate
    found: float | None = (row["model"].get("cost") or {}).get(_PATHS[cost])
    return found


def _front(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that no other one beats, cheapest first; equal ones all of them."""
    front: list[dict[str, Any]] = []
    for _, several in groupby(rows, key=lambda row: row["x"]):
        alike = list(several)
        if not front or alike[0]["y"] > front[-1]["y"]:
            front += [row for row in alike if row["y"] == alike[0]["y"]]
    return front


def _stand(row: dict[str, Any], front: Sequence[dict[str, Any]], quality: Quality) -> dict[str, Any]:
    """Return a row with the model that it stands against: the next dearer one on the front, or who beats it."""
    on_front = any(row is other for other in front)
    if on_front:
        against = next((other for other in front if other["x"] > row["x"]), None)
    else:
        affordable = [other for other in front if other["x"] <= row["x"]]
        against = next(other for other in affordable if other["y"] == affordable[-1]["y"])
    return {
        **row,
        "on_front": on_front,
        "against": None if against is None else against["name"],
        "difference": None if against is None else quality.difference(row["result"], against["result"]),
        "times": against["x"] / row["x"] if against is not None and row["x"] > 0 else None,
    }


def _left_out(found: Found, rows: Sequence[Row], quality: Quality, cost: Cost) -> Iterator[str]:
    """Yield which models have no place here, and why."""
    known = {row["name"] for row in rows}
    names = sorted(n for n, e in found.group.evaluations.items() if e["status"] == OK and n not in known)
    if names:
        what = f"{cost.label} or {quality.metric.title}"
        yield f"left out, since their {what} is not known: {first_names(names, _MOST_NAMED)}"


def _columns(quality: Quality, cost: Cost) -> list[Column]:
    kind, form = (Kind.INTEGER, ",d") if cost is Cost.PARAMS else (Kind.NUMBER, _cost_text)
    number, *others = quality.columns()
    more = f"its {quality.metric.title} more"
    ends = end_columns("difference_ci", "difference.ci")
    return [
        Column("model", "model", "name", Kind.TEXT),
        Column(str(cost), cost.label, "x", kind, cost.unit, form),
        replace(number, strong=_is_on_front),
        *(column for column in others if column.name == "flags"),
        Column("on_front", "on the front", "on_front", Kind.BOOLEAN, format=_yes),
        Column("against", "next on the front, or who beats it", "against", Kind.TEXT),
        Column("difference", more, "difference.difference", Kind.NUMBER, format=_more, beside=ends),
        Column("verdict", "difference is", "difference.verdict", Kind.TEXT),
        Column("times", "its cost", "times", Kind.NUMBER, "times", _times_text),
    ]


def _cost_text(row: Row) -> str:
    return measured_text(row["x"], earlier=row["is_earlier"])


def _times_text(row: Row) -> str:
    return digits_text(row["times"])


def _is_on_front(row: Row) -> bool:
    return bool(row["on_front"])


def _yes(row: Row) -> str:
    return "yes" if row["on_front"] else "no"


def _more(row: Row) -> str:
    return difference_text(row["difference"])
