"""Joined runs over time: how good the best model of each run was, and each model that several runs have.

The runs are those that the joined document names (`runs.joining`); a run that evaluated other images stands in
another set, and so in another history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import VERDICTS
from evaljobs.report.comparing.paired_columns import paired_columns
from evaljobs.report.results import Document
from evaljobs.report.runs.lines import line_of
from evaljobs.report.section import Chart, Finding, Found, Level, Table
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.quality import Quality

BEST = "best of each run"
# Lines of a chart, the best of each run aside.
MOST_LINES = 20
_SECONDS_A_DAY = 86_400


def joined_findings(results: Document) -> list[Finding]:
    """Return what was told apart when runs were joined; nothing for the results of one run."""
    joined = results.get("joined") or {}
    return [Finding(Level(one["level"]), one["text"], one["advice"]) for one in joined.get("findings") or ()]


def history_rows(found: Found, quality: Quality) -> list[dict[str, Any]]:
    """Return a row for each run and model that has a number: runs in order of their start, models best first.

    Returns
    -------
    list of dict
        Rows of the leaderboard here, and ``run`` (name, started), ``number`` (of the run, from 1), ``own_name`` (of the
        model in that run), ``is_best`` (of its run), ``change`` (against the model of that name in the run before that
        had it, see `Quality.difference`; None where there is none), ``best_change`` (of the best of
        a run, against the best of the run before, by whatever name), and ``same`` and ``best_same`` (whether that was
        the same model with the same numbers). Empty for the results of one run.
    """
    runs = (found.results.get("joined") or {}).get("runs") or ()
    if not runs:
        return []
    ranked = {row["model"]["name"]: row for row in quality.rows(found) if quality.number(row) is not None}
    rows: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    best: str | None = None
    for number, run in enumerate(runs, start=1):
        here = sorted(_rows_of(found, run, ranked), key=partial(_order, quality))
        for place, row in enumerate(here):
            name = row["model"]["name"]
            last = best if place == 0 else None
            earlier = before.get(row["own_name"])
            compared = {
                "change": _change(quality, ranked, earlier, name),
                "same": earlier == name,
                "best_change": _change(quality, ranked, last, name),
                "best_same": last == name,
            }
            rows.append({**row, "number": number, "is_best": place == 0, **compared})
        best = here[0]["model"]["name"] if here else best
        before.update({row["own_name"]: row["model"]["name"] for row in here})
    return rows


def _rows_of(found: Found, run: Document, ranked: Mapping[str, Row]) -> list[dict[str, Any]]:
    here = (one for one in run["results"] if (one["job"], one["set"]) == (found.group.job, found.group.set))
    return [{**ranked[one["model"]], "run": run, "own_name": one["own_name"]} for one in here if one["model"] in ranked]


def _order(quality: Quality, row: Row) -> tuple[list[float], str]:
    return [-value for value in quality.goodness(row)], row["own_name"]


def _change(quality: Quality, ranked: Mapping[str, Row], earlier: str | None, later: str) -> dict[str, Any] | None:
    if earlier is None or earlier == later:
        return None
    return quality.difference(ranked[earlier]["result"], ranked[later]["result"])


def _recurring(quality: Quality, rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each model that several runs have, by its name there; the best of the newest run first."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["own_name"], []).append(row)
    several = {name: of for name, of in by_name.items() if len(of) > 1}
    return dict(sorted(several.items(), key=lambda item: (-item[1][-1]["number"], *_order(quality, item[1][-1]))))


def history_table(found: Found, quality: Quality) -> Table | None:
    """Return the best model of each run, and each model that several runs have, run after run.

    None where fewer than two of the joined runs have a number for this job and set.
    """
    rows = history_rows(found, quality)
    if len({row["number"] for row in rows}) < 2:
        return None
    recurring = _recurring(quality, rows)
    shown = [row for row in rows if row["is_best"] or row["own_name"] in recurring]
    verdicts = {row[key]["verdict"] for row in shown for key in ("change", "best_change") if row[key]}
    notes = [f"{verdict}: {meaning}" for verdict, meaning in VERDICTS.items() if verdict in verdicts]
    columns = [*_WHERE, *quality.columns(), *_CHANGE]
    return Table("history", "Over time", columns, shown, notes)


def history_chart(found: Found, quality: Quality) -> Chart | None:
    """Return the quality over time with 95% intervals: of the best of each run, and of models that several runs have.

    The time is in days since the first run; where it is not known of every run, they are numbered.
    """
    rows = history_rows(found, quality)
    best = [row for row in rows if row["is_best"]]
    if len(best) < 2:
        return None
    every = list(_recurring(quality, rows).items())
    recurring = every[:MOST_LINES]
    cut = f": {MOST_LINES} of {len(every):,}, those that are best in the newest run" if len(every) > MOST_LINES else ""
    # One that was always the best is that line.
    of_all = [] if any(of == best for _, of in recurring) else [(BEST, best)]
    days = _days([row["run"] for row in best])
    places = days or {row["run"]["name"]: row["number"] for row in best}
    first = _minute(best[0]["run"])
    y_title = quality.title
    return Chart(
        "history",
        f"{quality.heading} over {len(best):,} runs{cut and f' ({MOST_LINES} of {len(every):,} models)'}",
        f"{quality.heading} of the best model of each of {len(best):,} runs, and of models that several runs have{cut}",
        "lines",
        {
            "lines": [
                line_of(name, of, quality, [places[row["run"]["name"]] for row in of])
                for name, of in [*of_all, *recurring]
            ],
            "x_title": f"days since {first} UTC" if days else "run",
            "y_title": y_title,
        },
    )


def _days(runs: Sequence[Document]) -> dict[str, float]:
    """Return the days since the first run by name; empty where one does not say when it began."""
    try:
        times = {run["name"]: dt.datetime.fromisoformat(run["started"]) for run in runs}
        first = min(times.values())
        return {name: (time - first).total_seconds() / _SECONDS_A_DAY for name, time in times.items()}
    except (TypeError, ValueError):
        return {}


# Columns


def _is_best(row: Row) -> bool:
    return bool(row["is_best"])


def _best_text(row: Row) -> str:
    return "yes" if row["is_best"] else "no"


def _started_text(row: Row) -> str:
    return _minute(row["run"])


def _minute(run: Document) -> str:
    """Return when a run began, such as ``2026-11-02 03:00``."""
    return str(run["started"])[:16].replace("T", " ")


def _why_no_change(key: str, row: Row) -> str:
    return "the same model" if row[key] else ""


_WHERE = [
    Column("run", "run", "run.name", Kind.TEXT),
    Column("started", "started (UTC)", "run.started", Kind.TEXT, format=_started_text),
    Column("model", "model", "own_name", Kind.TEXT, strong=_is_best),
    Column("is_best", "best of its run", "is_best", Kind.BOOLEAN, format=_best_text),
]
_CHANGE = [
    *paired_columns("change", "change since the run before", partial(_why_no_change, "same")),
    *paired_columns(
        "best_change",
        "best against the best of the run before",
        partial(_why_no_change, "best_same"),
        "best_verdict",
    ),
]
