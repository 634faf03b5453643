"""Which model tells anomalous images best, by how much, and whether that is certain."""

from __future__ import annotations

from evaljobs.report.comparing.anomalies import anomaly_rows
from evaljobs.report.comparing.differences import Verdict, differences
from evaljobs.report.kinds.leading import lead_sentence, verdict_of
from evaljobs.report.results import OK
from evaljobs.report.section import Fact, Found, Headline
from evaljobs.report.tables.anomaly import threshold_words
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.flags import flags
from evaljobs.report.tables.numbers import interval_text, rate_text, share_text


def headline(found: Found, fpr: float | None) -> Headline:
    """Return the headline by AUROC, or by the TPR at a target.

    The best of many models is certain when the paired difference to each of the others is. Nothing is certain at a
    target that the images do not resolve: the TPR at no false alarm hangs on one normal image.
    """
    rows = [row for row in anomaly_rows(found.results, found.group, fpr) if row["status"] == OK]
    if not rows:
        return Headline(None, "No model has a result.", Verdict.UNKNOWN)
    best, others = rows[0], rows[1:]
    targets = [] if fpr is None else [fpr]
    against = [next(differences(row["result"], best["result"], targets)) for row in others]
    verdict = verdict_of(against)
    unresolved = fpr is not None and "unresolved" in flags(best["point"])
    if unresolved and verdict == Verdict.REAL:
        verdict = Verdict.UNKNOWN
    hangs_on = "the one normal image with the highest score" if unresolved else ""
    what = "AUROC" if fpr is None else "TPR"
    lead = lead_sentence(others, against, what, hangs_on)
    sentence = f"{_lead(best, fpr, len(rows), unresolved=unresolved)} {lead}"
    return Headline(best["model"]["name"], sentence, verdict, _facts(best))


def _lead(best: Row, fpr: float | None, n_models: int, *, unresolved: bool) -> str:
    result = best["result"]
    if fpr is None:
        what, value = "AUROC", interval_text(result["auroc"], result["auroc_ci"])
    else:
        what, value = "TPR", interval_text(best["point"]["tpr"], best["point"]["tpr_ci"])
    of = f"the best {what} of {n_models:,} models: {value}" if n_models > 1 else f"{what} {value}"
    images = f"{result['n_anomalous']:,} anomalous and {result['n_normal']:,} normal images"
    if fpr is None:
        return f"It has {of}, on {images}."
    if unresolved:
        return f"At no false alarm (FPR {rate_text(fpr)} is not resolved by {images}) it has {of}."
    return f"At FPR {rate_text(fpr)} it has {of}, on {images}."


def _facts(best: Row) -> list[Fact]:
    """Return what people take away: the threshold, and the counts behind the rates."""
    result, point = best["result"], best["point"]
    facts = [Fact("AUROC", interval_text(result["auroc"], result["auroc_ci"]), repr(result["auroc"]))]
    if point is None:
        return facts
    target = rate_text(float(point["target"]))
    facts.append(Fact(f"TPR at FPR {target}", interval_text(point["tpr"], point["tpr_ci"])))
    if point["threshold"] is not None:
        facts.append(Fact("flag at score ≥", threshold_words(best), repr(point["threshold"])))
    facts += [
        Fact("FPR", share_text(point["fpr"])),
        Fact("false alarms", f"{point['false_positives']:,} of {result['n_normal']:,} normal images"),
        Fact("found", f"{point['true_positives']:,} of {result['n_anomalous']:,} anomalous images"),
    ]
    if result["rotation_accuracy"] is not None:
        facts.append(Fact("rotations told on normal images", f"{result['rotation_accuracy']['normal']:.1%}"))
    return facts
