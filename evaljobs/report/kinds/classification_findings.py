"""What must be known beside the numbers of classifications: skewed classes, ties, overconfidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from evaljobs.report.kinds.classification_tables import table_of
from evaljobs.report.results import OK, Document
from evaljobs.report.section import Finding, Found, Level, worst_first
from evaljobs.report.tables.listing import first_names

_NAMED = 3
# Of fewer images, a recall says little.
LEAST_IMAGES = 10
# How many times as many images as the smallest class the largest has, before accuracy is that of the large ones.
SKEWED = 10
# Confidence beyond accuracy, and images with a tie, that are worth a warning.
OVERCONFIDENT, TIED = 0.05, 0.01


def section_findings(found: Found, ranked: Sequence[str]) -> list[Finding]:
    """Return what must be known of all models of a job on a set, worst first.

    Parameters
    ----------
    ranked
        The models that have a result, best first.
    """
    results = {name: found.group.evaluations[name]["result"] for name in ranked}
    findings = [*_classes(found, ranked), *_surprises(results), *_notes(results)]
    failed = sum(entry["status"] != OK for entry in found.group.evaluations.values())
    if failed:
        text = f"{failed:,} of {len(found.group.evaluations):,} models have no result here"
        findings.append(Finding(Level.BAD, text, "They are listed below, with the reasons."))
    return worst_first(findings)


def model_findings(result: Document) -> list[Finding]:
    """Return what must be known of one model."""
    said = []
    over = _overconfidence(result)
    if over is not None and abs(over) > OVERCONFIDENT:
        said.append(Finding(Level.WARNING, f"it is {_confident(over)}", _SCALING))
    if result["n_tied"]:
        said.append(Finding(_tie_level(result), f"{_ties(result)}: {_LOWEST}"))
    calibration = result["calibration"]
    if calibration and calibration["n_impossible"]:
        text = f"the right class of {calibration['n_impossible']:,} image(s) has the probability 0: NLL is infinite"
        said.append(Finding(Level.NOTE, text, "Logits in place of probabilities would give it."))
    return said + [Finding(Level.NOTE, note) for note in result.get("notes") or ()]


_SCALING = "Its probabilities cannot be taken at their word; temperature scaling on other images mends that."
_LOWEST = "several classes share the highest score, and the one with the lowest number is predicted"


def _classes(found: Found, ranked: Sequence[str]) -> Iterator[Finding]:
    """Say what the classes of the set are like, as the best model knows them."""
    table = next((t for name in ranked if (t := table_of(found, name, "classes")) is not None), None)
    if table is None:
        return
    images = dict(zip(table["class"].to_pylist(), table["n_samples"].to_pylist(), strict=True))
    present = {name: n for name, n in images.items() if n}
    largest, smallest = max(present, key=lambda name: present[name]), min(present, key=lambda name: present[name])
    yield from _skewed(found, ranked, present, largest, smallest)
    few = [name for name, n in present.items() if n < LEAST_IMAGES]
    if few:
        text = f"{len(few):,} of {len(present):,} classes have fewer than {LEAST_IMAGES} images: {_names(few)}"
        yield Finding(Level.WARNING, text, "Their recall, and so every macro average, rests on a handful of images.")
    if empty := [name for name, n in images.items() if not n]:
        text = f"{len(empty):,} of {len(images):,} classes have no image: {_names(empty)}"
        yield Finding(Level.NOTE, text, "Their recall is undefined, and left out of every average.")


def _skewed(
    found: Found, ranked: Sequence[str], present: Mapping[str, int], largest: str, smallest: str
) -> Iterator[Finding]:
    share = present[largest] / sum(present.values())
    if len(present) > 1 and present[largest] >= SKEWED * present[smallest]:
        text = f"classes are skewed: {largest!r} has {present[largest]:,} images, {smallest!r} {present[smallest]:,}"
        yield Finding(
            Level.WARNING, text, "Accuracy is that of the large ones; compare balanced accuracy and macro F1."
        )
    blind = [name for name in ranked if found.group.evaluations[name]["result"]["accuracy"] <= share]
    if len(present) > 1 and blind:
        text = f"{len(blind):,} model(s) are no better than always saying {largest!r} ({share:.1%}): {_names(blind)}"
        yield Finding(Level.WARNING, text, "Check that the classes stand in the order of the scores.")


def _surprises(results: Mapping[str, Document]) -> Iterator[Finding]:
    over = {name: o for name, result in results.items() if (o := _overconfidence(result)) is not None}
    for sign, word in ((1, "surer than they are right"), (-1, "less sure than they are right")):
        some = [name for name, value in over.items() if sign * value > OVERCONFIDENT]
        if some:
            text = f"{len(some):,} of {len(over):,} models are {word}, by more than {OVERCONFIDENT:.0%}: {_names(some)}"
            yield Finding(Level.WARNING if sign > 0 else Level.NOTE, text, _SCALING if sign > 0 else "")
    tied = [name for name, result in results.items() if result["n_tied"]]
    if tied:
        first = max(tied, key=lambda name: results[name]["n_tied"])
        text = f"{len(tied):,} model(s) have ties, {first} the most ({_ties(results[first])}): {_LOWEST}"
        yield Finding(_tie_level(results[first]), text, "Scores of few digits (quantised, saturated) look like this.")
    unknown = [name for name, result in results.items() if result["calibration"] is None]
    if unknown and len(unknown) < len(results):
        yield Finding(Level.NOTE, f"{len(unknown):,} of {len(results):,} models have no calibration: {_names(unknown)}")
    without = sum(result["intervals"] is None for result in results.values())
    if without:
        yield Finding(Level.NOTE, f"{without:,} of {len(results):,} models have no intervals")


def _overconfidence(result: Document) -> float | None:
    """Return by how much a model is surer than it is right, on average."""
    calibration = result["calibration"]
    return None if calibration is None else float(calibration["mean_confidence"]) - float(result["accuracy"])


def _confident(over: float) -> str:
    words = ("overconfident", "above") if over > 0 else ("underconfident", "below")
    return f"{words[0]}: its mean confidence is {100 * abs(over):.1f} points {words[1]} its accuracy"


def _ties(result: Document) -> str:
    return f"{result['n_tied']:,} of {result['n_samples']:,} images"


def _tie_level(result: Document) -> Level:
    return Level.WARNING if result["n_tied"] > TIED * result["n_samples"] else Level.NOTE


def _notes(results: Mapping[str, Document]) -> Iterator[Finding]:
    notes = Counter(note for result in results.values() for note in result.get("notes") or ())
    for note, n in notes.items():
        yield Finding(Level.NOTE, f"{note}{'' if n == len(results) else f' ({n:,} of {len(results):,} models)'}")


def _names(names: Sequence[str]) -> str:
    return first_names(names, _NAMED)
