"""Which model verifies best at a target FPR, by how much, and whether that is certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evaljobs.report.comparing.differences import Verdict, pair_rows
from evaljobs.report.kinds.leading import lead_sentence, verdict_of
from evaljobs.report.results import OK
from evaljobs.report.section import Fact, Found, Headline
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.flags import flags, why_no_rate
from evaljobs.report.tables.leaderboard import leaderboard_rows
from evaljobs.report.tables.numbers import interval_text, rate_text, share_text, threshold_text

_NAMED = 3


def headline_at(found: Found, fpr: float) -> Headline:
    """Return the headline of verifications at a target.

    The best model of many is certain when the paired difference to each of the others is: against the runner-up alone,
    a third model of wide intervals could be as good. Nothing is certain at a target that the data do not resolve: the
    TPR at zero false positives hangs on the one impostor pair with the highest score.
    """
    rows = leaderboard_rows(found.results, found.group, fpr)
    fine = [row for row in rows if row["status"] == OK and (row["point"] or {}).get("tpr") is not None]
    if not fine:
        return Headline(None, _nothing(rows, fpr), Verdict.UNKNOWN)
    best = fine[0]
    against = [_against(found, best, row, fpr) for row in fine[1:]]
    verdict = verdict_of(against)
    if verdict == Verdict.REAL and _unresolved(best):
        verdict = Verdict.UNKNOWN
    hangs_on = "the one impostor pair with the highest score" if _unresolved(best) else ""
    sentence = f"{_lead(best, fpr, len(fine))} {lead_sentence(fine[1:], against, 'TPR', hangs_on)}"
    return Headline(best["model"]["name"], sentence, verdict, _facts(best))


def _nothing(rows: Sequence[Row], fpr: float) -> str:
    reasons = Counter(why_no_rate(row) or "no such target" for row in rows)
    said = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common(_NAMED))
    return f"No model has a TPR at FPR {rate_text(fpr)}: {said}." if said else "No model was evaluated."


def _against(found: Found, best: Row, other: Row, fpr: float) -> Mapping[str, Any]:
    """Return the difference of TPR, the best less the other."""
    names = other["model"]["name"], best["model"]["name"]
    return pair_rows(found.group, found.group, *names, targets=[fpr])[0]


def _lead(best: Row, fpr: float, n_models: int) -> str:
    tpr = interval_text(best["point"]["tpr"], best["point"].get("tpr_ci"))
    of = f"the best TPR of {n_models:,} models" if n_models > 1 else "TPR"
    if _unresolved(best):
        return f"At zero false positives (FPR {rate_text(fpr)} is not resolved by this data) it has {of}: {tpr}."
    return f"At FPR {rate_text(fpr)} it has {of}: {tpr}."


def _unresolved(row: Row) -> bool:
    return "unresolved" in flags(row["point"])


def _facts(best: Row) -> list[Fact]:
    """Return what people take away: the threshold on both scales, and the counts behind the rates."""
    point, result = best["point"], best["result"]
    facts = [Fact("TPR", interval_text(point["tpr"], point.get("tpr_ci")))]
    if point["threshold"] is not None:
        below, threshold = point["next_impostor_score"], point["threshold"]
        half = None if below is None else (below + 1) / 2
        facts += [
            Fact("accept at cosine ≥", threshold_text(threshold, below), repr(threshold)),
            Fact("or (cosine + 1) / 2 ≥", threshold_text((threshold + 1) / 2, half), repr((threshold + 1) / 2)),
        ]
    if point["fpr"] is not None:
        facts += [
            Fact("FPR", share_text(point["fpr"])),
            Fact("false positives", f"{point['false_positives']:,} of {result['n_impostor']:,} impostor pairs"),
        ]
    facts.append(Fact("true positives", f"{point['true_positives']:,} of {result['n_genuine']:,} genuine pairs"))
    if result["auroc"] is not None:
        facts.append(Fact("AUROC", interval_text(result["auroc"], result.get("auroc_ci"))))
    return facts
