"""Which model is best at the chosen FPR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group as Renderables
from rich.console import RenderableType
from rich.text import Text

from evaljobs.report.comparing.against_first import summary
from evaljobs.report.results import OK, Document, Group, group_rows, verification_groups
from evaljobs.report.tables.columns import used_columns
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.flags import MEANING, error_kind, flags, why_no_auroc
from evaljobs.report.tables.formats import to_terminal
from evaljobs.report.tables.numbers import rate_text
from evaljobs.report.tables.verification import SCORE_COLUMNS, terminal_columns
from evaljobs.report.text.explain_words import explain_lines
from evaljobs.report.text.map_words import map_lines

PREFERRED_FPR = 1e-4
TERMINAL_ROWS = 20


def chosen_fpr(group: Group) -> float | None:
    """Return the target at which models are ranked.

    1e-4, the usual one of the field, where it is a target that this data resolves for some model; else the smallest
    target that is resolved for some model; else the smallest target; None where no verification has any.
    """
    results = [e["result"] for e in group.evaluations.values() if e["status"] == OK]
    points = [point for result in results for point in result["points"]]
    resolved = {float(p["target"]) for p in points if not {"unresolved", "no_impostors"} & set(flags(p))}
    if PREFERRED_FPR in resolved:
        return PREFERRED_FPR
    return min(resolved or {float(p["target"]) for p in points}, default=None)


def find_point(result: Document | None, target: float) -> Document | None:
    """Return the operating point of a target; None where the result has none."""
    return next((p for p in (result or {}).get("points", ()) if float(p["target"]) == target), None)


def leaderboard_rows(results: Document, group: Group, fpr: float) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard, best first.

    Ordered by TPR, then AUROC, then name; models of one TPR share a rank. Models without a TPR follow, then those that
    failed, both unranked.
    """
    rows = [{**row, "point": find_point(row["result"], fpr), "rank": None} for row in group_rows(results, group)]
    rows.sort(key=_order)
    tprs = [_tpr(row) for row in rows]
    for row, tpr in zip(rows, tprs, strict=True):
        if tpr is not None:
            row["rank"] = tprs.index(tpr) + 1
    return rows


def _tpr(row: Document) -> float | None:
    tpr = (row["point"] or {}).get("tpr")
    return None if tpr is None else float(tpr)


def _order(row: Document) -> tuple[bool, bool, float, float, str]:
    tpr, auroc = _tpr(row), (row["result"] or {}).get("auroc")
    return (
        row["status"] != OK,
        tpr is None,
        -(tpr if tpr is not None else 0.0),
        -(auroc if auroc is not None else 0.0),
        row["model"]["name"],
    )


def group_title(group: Group, groups: Sequence[Group]) -> str:
    """Return what tells a group from the others; ``Leaderboard`` alone where there is one."""
    return "Leaderboard" if len(groups) == 1 else f"Leaderboard: {group.job} on {group.set}"


def evidence(group: Group) -> str:
    """Say how many pairs stand behind the numbers of a group."""
    result = next((e["result"] for e in group.evaluations.values() if e["status"] == OK), None)
    if result is None:
        return "no model could be evaluated"
    return pairs_text(result)


def pairs_text(result: Document) -> str:
    """Say how many samples and pairs a verification has."""
    genuine, impostor = result["n_genuine"], result["n_impostor"]
    return f"{result['n_samples']:,} samples, {genuine:,} genuine and {impostor:,} impostor pairs"


def render_terminal(results: Document, max_rows: int = TERMINAL_ROWS) -> RenderableType:
    """Return the leaderboards for a terminal: the best ``max_rows`` models of each, and the names of those that failed.

    Below them stands what maps show.

    Names are escaped; nothing in them acts on the terminal or is taken for rich's markup.
    """
    groups = verification_groups(results)
    parts: list[RenderableType] = [part for g in groups for part in _render_group(results, g, groups, max_rows)]
    parts += [Text(visible(line)) for line in [*map_lines(results), *explain_lines(results)]]
    return Renderables(*(parts or [Text("no verification among the results")]))


def _render_group(results: Document, group: Group, groups: Sequence[Group], max_rows: int) -> list[RenderableType]:
    fpr = chosen_fpr(group)
    where = group_title(group, groups) if fpr is None else f"{group_title(group, groups)} at FPR {rate_text(fpr)}"
    title = f"{where}: {evidence(group)}"
    # Whatever the FPR of an empty table, the failed models are listed below it.
    rows = leaderboard_rows(results, group, PREFERRED_FPR if fpr is None else fpr)
    fine = [row for row in rows if row["status"] == OK]
    parts: list[RenderableType] = [Text(visible(title), style="bold")]
    if fpr is not None and fine:
        shown = fine[:max_rows]
        intervals = any((row["point"] or {}).get("tpr_ci") for row in shown)
        parts.append(to_terminal(used_columns(terminal_columns(fpr, intervals=intervals), shown), shown))
        if len(fine) > len(shown):
            parts.append(Text(f"  ... and {len(fine) - len(shown):,} more in results.md"))
        parts += [Text(visible(f"  {line}")) for line in certainty_lines(results, group, fpr)]
        parts += [Text(f"  {line}") for line in flag_lines(group)]
    parts += [Text(visible(f"  failed: {r['model']['name']} ({error_kind(r)})")) for r in rows if r["status"] != OK]
    return parts


def certainty_lines(results: Document, group: Group, fpr: float) -> list[str]:
    """Say what the intervals of a group rest on, and which models differ from the first one for certain."""
    about = intervals_text(e["result"] for e in group.evaluations.values() if e["status"] == OK)
    return [line for line in (about, summary(results, group, fpr)) if line]


def intervals_text(results: Iterable[Document]) -> str | None:
    """Say what the brackets are; None where there is no interval."""
    for result in results:
        intervals = result.get("intervals")
        if intervals:
            groups, unit = intervals["groups"], intervals["unit"]
            return f"[ ]: 95% interval, from {groups} groups of {unit}s, each left out in turn"
    return None


def flag_lines(group: Group) -> list[str]:
    """Say at which targets the points of a group carry a flag, for how many of its models, and what it means."""
    results = [e["result"] for e in group.evaluations.values() if e["status"] == OK]
    lines = []
    for flag, meaning in MEANING.items():
        models = Counter(point["target"] for result in results for point in result["points"] if flag in flags(point))
        for target in sorted(models):
            some = "" if models[target] == len(results) else f", {models[target]:,} of {len(results):,} models"
            lines.append(f"FPR {rate_text(target)}: {flag}{some} ({meaning})")
    return lines


def render_verification(result: Document, notes: Sequence[str] = ()) -> RenderableType:
    """Return one verification for a terminal: pairs, AUROC, its operating points, what flags mean, and notes.

    Parameters
    ----------
    result
        The result of a verification, as in the results document.
    notes
        What was changed about the input.
    """
    rows = [{"result": result, "point": point, "status": OK} for point in result["points"]]
    found = {flag for row in rows for flag in flags(row["point"])}
    parts: list[RenderableType] = [
        Text(pairs_text(result), style="bold"),
        Text(_auroc_text(result)),
        to_terminal(used_columns(SCORE_COLUMNS, rows), rows),
        *(Text(line) for line in [intervals_text([result])] if line),
        *(Text(f"{flag}: {meaning}") for flag, meaning in MEANING.items() if flag in found),
        *(Text(visible(f"note: {note}")) for note in notes),
    ]
    return Renderables(*parts)


def _auroc_text(result: Document) -> str:
    if result["auroc"] is None:
        return f"AUROC - ({why_no_auroc({'result': result})})"
    text = f"AUROC {result['auroc']:.6f}"
    if not result["auroc_exact"]:
        text += ", certified to lie from {:.6f} to {:.6f}".format(*result["auroc_bounds"])
    if result.get("auroc_ci"):
        text += ", 95% interval {:.6f} to {:.6f}".format(*result["auroc_ci"])
    return text
