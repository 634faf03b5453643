"""Which model classifies best by a measure, by how much, and whether that is certain."""

from __future__ import annotations

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.comparing.measures import Measure, class_rows, measure_difference, measures_of, value_of
from evaljobs.report.kinds.leading import lead_sentence, verdict_of
from evaljobs.report.section import Fact, Found, Headline
from evaljobs.report.tables.class_boards import measure_text
from evaljobs.report.tables.columns import Row


def headline_by(found: Found, measure: Measure) -> Headline:
    """Return the headline of classifications by a measure.

    The best model of many is certain when the paired difference to each of the others is. Models that were judged on
    other images are counted, and not compared.
    """
    rows = class_rows(found.results, found.group, measure)
    fine = [row for row in rows if row["rank"] is not None]
    if not fine:
        return Headline(None, f"No model has a number for {measure.title}.", Verdict.UNKNOWN)
    best = fine[0]
    against = [measure_difference(other["result"], best["result"], measure.name) for other in fine[1:]]
    others = sum(bool(row["unranked"]) for row in rows)
    lead = lead_sentence(fine[1:], against, measure.title)
    sentence = f"{_lead(best, measure, len(fine))} {lead}{_not_ranked(others)}"
    return Headline(best["model"]["name"], sentence, verdict_of(against), _facts(found, best))


def _not_ranked(n_models: int) -> str:
    if not n_models:
        return ""
    return f" Not ranked, since judged on other images (labels that are left out): {n_models:,} more."


def _lead(best: Row, measure: Measure, n_models: int) -> str:
    of = f"the best {measure.title} of {n_models:,} models" if n_models > 1 else str(measure.title)
    separator = ":" if n_models > 1 else " of"
    return f"It has {of}{separator} {measure_text(measure, best)}."


def _facts(found: Found, best: Row) -> list[Fact]:
    result = best["result"]
    facts = [
        Fact(measure.title, measure_text(measure, best))
        for measure in measures_of(found.group)
        if value_of(result, measure.name) is not None
    ]
    facts.append(Fact("right", f"{result['n_correct']:,} of {result['n_samples']:,} images"))
    if result["calibration"]:
        facts.append(Fact("expected calibration error", f"{result['calibration']['ece']:.4f}"))
    return facts
