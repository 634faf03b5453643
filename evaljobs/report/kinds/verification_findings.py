"""What must be known beside the rates of verifications: what they rest on, and what they hide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from evaljobs.report.results import OK, Document, group_rows
from evaljobs.report.section import Finding, Found, Level, worst_first
from evaljobs.report.tables.flags import MEANING, flags
from evaljobs.report.tables.numbers import rate_text
from evaljobs.report.text.closer_look import balance_matters, concentration

_NAMED = 3
_LEVELS = {"no_impostors": Level.BAD, "no_genuine": Level.BAD, "nothing_accepted": Level.BAD, "tied": Level.NOTE}
_ADVICE = {
    "unresolved": "Use a higher FPR, or more images.",
    "few_errors": "Read its intervals before its rates, or use more images.",
    "nothing_accepted": "Embeddings that are all alike (a collapsed model, duplicates) look like this.",
    "no_impostors": "Labels come from folders, file names or a manifest: check how they are read.",
    "no_genuine": "Labels come from folders, file names or a manifest: check how they are read.",
}


def section_findings(found: Found, ranked: Sequence[str]) -> list[Finding]:
    """Return what must be known of all models of a job on a set, worst first.

    Parameters
    ----------
    ranked
        The models that have a result, best first.
    """
    results = {name: found.group.evaluations[name]["result"] for name in ranked}
    findings = [*_flags(results), *_hidden(results), *_notes(results)]
    statuses = [row["status"] for row in group_rows(found.results, found.group)]
    if failed := sum(status != OK for status in statuses):
        text = f"{failed:,} of {len(statuses):,} models have no result here"
        findings.append(Finding(Level.BAD, text, "They are listed below, with the reasons."))
    return worst_first(findings)


def model_findings(result: Document) -> list[Finding]:
    """Return what must be known of one model."""
    said = [Finding(Level.WARNING, text, "Look at its hardest pairs.") for text in [concentration(result)] if text]
    if balance_matters(result["points"]):
        said.append(_unbalanced("its"))
    return said + [Finding(Level.NOTE, note) for note in result.get("notes") or ()]


def _flags(results: dict[str, Document]) -> Iterator[Finding]:
    for flag, meaning in MEANING.items():
        counts = Counter(float(p["target"]) for r in results.values() for p in r["points"] if flag in flags(p))
        if not counts:
            continue
        targets = ", ".join(
            f"{rate_text(target)}{'' if n == len(results) else f' ({n:,} of {len(results):,} models)'}"
            for target, n in sorted(counts.items())
        )
        text = f"FPR {targets}: {flag.replace('_', ' ')}: {meaning}"
        yield Finding(_LEVELS.get(flag, Level.WARNING), text, _ADVICE.get(flag, ""))


def _hidden(results: dict[str, Document]) -> Iterator[Finding]:
    """Say what rates hide: of the best models by name, of the others how many."""
    concentrated = {name: text for name, result in results.items() if (text := concentration(result))}
    for name in list(concentrated)[:_NAMED]:
        yield Finding(Level.WARNING, f"{name}: {concentrated[name]}", "Look at the hardest pairs.")
    if (more := len(concentrated) - _NAMED) > 0:
        yield Finding(Level.NOTE, f"{more:,} more models have a pair of labels that makes a fifth of the errors")
    if any(balance_matters(result["points"]) for result in results.values()):
        yield _unbalanced("some")
    units = Counter((result.get("intervals") or {}).get("unit") for result in results.values())
    if units["sample"]:
        text = "intervals are those of samples, not of labels: there are fewer labels than groups to leave out"
        yield Finding(Level.NOTE, text, "They say nothing about other labels.")
    if units[None]:
        yield Finding(Level.NOTE, f"{units[None]:,} of {len(results):,} models have no intervals")


def _unbalanced(whose: str) -> Finding:
    text = f"labels are skewed: {whose} TPR is far from the one in which each label counts alike"
    return Finding(Level.WARNING, text, "Few labels with many images decide it; compare the balanced TPR.")


def _notes(results: dict[str, Document]) -> Iterator[Finding]:
    notes = Counter(note for result in results.values() for note in result.get("notes") or ())
    for note, n in notes.items():
        yield Finding(Level.NOTE, f"{note}{'' if n == len(results) else f' ({n:,} of {len(results):,} models)'}")
