"""``results.md``: what was found, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaljobs.report.comparing.against_first import against_first
from evaljobs.report.results import (
    OK,
    Document,
    Group,
    failed_rows,
    group_rows,
    job_notes,
    model_notes,
    run_name,
    tag_keys,
    verification_groups,
)
from evaljobs.report.tables.columns import used_columns
from evaljobs.report.tables.escape import markdown_text
from evaljobs.report.tables.flags import MEANING, flags
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.leaderboard import chosen_fpr, evidence, group_title, intervals_text, leaderboard_rows
from evaljobs.report.tables.listing import first_names
from evaljobs.report.tables.verification import (
    BALANCED_COLUMN,
    FAILURE_COLUMNS,
    SET_COLUMNS,
    THRESHOLD_COLUMNS,
    leaderboard_columns,
)
from evaljobs.report.text.anomaly_words import anomaly_markdown
from evaljobs.report.text.audit_words import audit_markdown
from evaljobs.report.text.class_markdown import classification_markdown
from evaljobs.report.text.closer_look import balance_matters, concentration
from evaljobs.report.text.explain_words import explain_markdown
from evaljobs.report.text.map_words import map_markdown
from evaljobs.report.text.uncertainty_words import uncertainty_markdown

GroupKey = tuple[str, str]
MAX_NAMES = 5

_SCALES = (
    "Accept a pair when its cosine is at or above the threshold. It stands on both scales in use, cosine and "
    "(cosine + 1) / 2, rounded down only as far as every pair of this data stays on its side; `results.csv` keeps all "
    "digits.\n"
)


def to_markdown_page(results: Document, figures: Mapping[GroupKey, str]) -> str:
    """Return the page.

    Parameters
    ----------
    results
        The results document.
    figures
        File name of the ROC picture, relative to the page, by (job, set).
    """
    groups = verification_groups(results)
    parts = [f"# Results: {markdown_text(run_name(results) or 'unnamed run')}\n"]
    audited = audit_markdown(results)
    parts += audited
    classified, mapped = classification_markdown(results), [*map_markdown(results), *explain_markdown(results)]
    classified += uncertainty_markdown(results) + anomaly_markdown(results)
    if not groups and not classified and not mapped and not audited:
        parts.append("Neither verification nor classification among the results.\n")
    for group in groups:
        parts += _leaderboard(results, group, groups, figures.get((group.job, group.set)))
    parts += classified
    for group in groups:
        parts += _differences(results, group, groups)
    for group in groups:
        parts += _thresholds(results, group, groups)
    parts += mapped
    parts += _flags(groups) + _failures(results) + _notes(results) + _sets(results)
    return "\n".join(parts)


def _leaderboard(results: Document, group: Group, groups: Sequence[Group], figure: str | None) -> list[str]:
    title = markdown_text(group_title(group, groups))
    parts = [f"## {title}\n", f"On {markdown_text(group.set)}: {evidence(group)}.\n"]
    fpr = chosen_fpr(group)
    if fpr is None:
        return parts
    rows = leaderboard_rows(results, group, fpr)
    parts.append(to_markdown(used_columns(leaderboard_columns(tag_keys(results), fpr), rows), rows))
    about = intervals_text(row["result"] for row in rows if row["status"] == OK)
    parts += [f"{markdown_text(about)}.\n"] if about else []
    return [*parts, f"![ROC of all models]({figure})\n"] if figure else parts


def _differences(results: Document, group: Group, groups: Sequence[Group]) -> list[str]:
    """Return every model of a group against its first one."""
    fpr = chosen_fpr(group)
    section = None if fpr is None else against_first(results, group, fpr)
    where = "" if len(groups) == 1 else f": {group.job} on {group.set}"
    return [f"## Differences{markdown_text(where)}\n", section] if section else []


def _thresholds(results: Document, group: Group, groups: Sequence[Group]) -> list[str]:
    where = "" if len(groups) == 1 else f": {group.job} on {group.set}"
    parts = [f"## Thresholds{markdown_text(where)}\n", _SCALES]
    for row in group_rows(results, group):
        if row["status"] != OK:
            continue
        points = row["result"]["points"]
        rows = [{**row, "point": point} for point in points]
        columns = [*THRESHOLD_COLUMNS[:3], BALANCED_COLUMN, *THRESHOLD_COLUMNS[3:]]
        parts += [
            f"### {markdown_text(row['model']['name'])}\n",
            to_markdown(columns if balance_matters(points) else THRESHOLD_COLUMNS, rows),
        ]
        concentrated = concentration(row["result"])
        parts += [f"{markdown_text(concentrated)}\n"] if concentrated else []
    return parts if len(parts) > 2 else []


def _flags(groups: Sequence[Group]) -> list[str]:
    results = [e["result"] for group in groups for e in group.evaluations.values() if e["status"] == OK]
    found = {flag for result in results for point in result["points"] for flag in flags(point)}
    if not found:
        return []
    known = [f"- `{flag}`: {meaning}.\n" for flag, meaning in MEANING.items() if flag in found]
    unknown = [f"- {markdown_text(flag)}\n" for flag in sorted(found - MEANING.keys())]
    return ["## What the flags mean\n", "".join(known + unknown)]


def _failures(results: Document) -> list[str]:
    rows = failed_rows(results)
    if not rows:
        return []
    return ["## What failed\n", to_markdown(used_columns(FAILURE_COLUMNS, rows), rows)]


def _notes(results: Document) -> list[str]:
    notes = model_notes(results)
    parts = []
    if notes:
        lines = [f"- {markdown_text(note)}: {_names(names)}\n" for note, names in notes.items()]
        parts += ["## Notes on models\n", "".join(lines)]
    if found := job_notes(results):
        parts += ["## Notes on jobs\n", "".join(f"- {markdown_text(note)}\n" for note in found)]
    return parts


def _names(names: Sequence[str]) -> str:
    return first_names([markdown_text(name) for name in names], MAX_NAMES)


def _sets(results: Document) -> list[str]:
    rows = results["sets"]
    if not rows:
        return []
    parts = ["## Sets\n", to_markdown(used_columns(SET_COLUMNS, rows), rows)]
    if any(row.get("excluded") for row in rows):
        parts.append("Excluded images count for no model; `failures.csv` lists each with its reason.\n")
    said = {n["kind"]: n["explanation"] for row in rows for n in row.get("notices") or ()}
    parts += ["".join(f"- {kind}: images that {markdown_text(text)}\n" for kind, text in said.items())] if said else []
    return parts
