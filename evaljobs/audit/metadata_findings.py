"""What is said of fields that tell labels, and of those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.audit.classifier import classify_labels, classify_pairs
from evaljobs.audit.fields import OF_CONTENT, TOGETHER, Field
from evaljobs.audit.finding import Finding, Verdict
from evaljobs.audit.permuting import LEVEL
from evaljobs.audit.telling import Telling, tell_labels, tell_pairs
from evaljobs.audit.units import Units
from evaljobs.audit.words import counted

CHECK = "metadata"
# A model that reads the field and nothing else has this AUROC. Less is no reason to doubt a result that is far better;
# as much is a fifth of the images (or pairs) told for nothing.
LEAK = 0.6
# Fields within this distance say the same, and the first in the order of `fields.COLUMNS` is named.
_ALIKE = 0.02


class Told(NamedTuple):
    """What a field gives away."""

    field: Field
    labels: Telling
    pairs: float | None
    p: float
    verdict: Verdict

    @property
    def strongest(self) -> float:
        """The AUROC that counts, of labels or of pairs."""
        return max(self.labels.strongest, self.pairs or 0.5)


def tell(field: Field, units: Units, p: float) -> Told:
    """Return what a field gives away; ``p`` as the test over the whole family has it."""
    labels = tell_labels(field, units.labels, len(units.names), units.folds)
    pairs = tell_pairs(field, units.labels, len(units.names))
    told = Told(field, labels, pairs, p, Verdict.CLEAN)
    if p > LEVEL:
        return told
    leak = told.strongest >= LEAK and not field.of_content
    return told._replace(verdict=Verdict.LEAK if leak else Verdict.SUSPICIOUS)


def findings_of(told: Sequence[Told], units: Units, looked: dict[str, Any], seed: int) -> tuple[Finding, ...]:
    """Return the finding on how images were saved, and one on their bytes where these alone tell labels."""
    saved = [one for one in told if one.field.name not in OF_CONTENT]
    sizes = [one for one in told if one.field.name in OF_CONTENT]
    first = _saved(saved, units, {**looked, **_classified(saved, units, seed)})
    telling = [one for one in sizes if one.verdict is not Verdict.CLEAN]
    # Beside a leak they follow from it.
    if not telling or first.verdict is Verdict.LEAK:
        return (first,)
    return first, _bytes(telling, units, {**looked, **_classified(sizes, units, seed)})


def _classified(told: Sequence[Told], units: Units, seed: int) -> dict[str, float | None]:
    fields = [one.field for one in told]
    return {
        "classifier_auroc": classify_labels(fields, units.labels, units.folds, seed=seed),
        "classifier_pair_auroc": classify_pairs(fields, units.labels, units.folds, seed=seed),
    }


def _saved(told: Sequence[Told], units: Units, evidence: dict[str, Any]) -> Finding:
    """Return the finding on how images were saved."""
    telling = [one for one in told if one.verdict is not Verdict.CLEAN]
    evidence = {**evidence, "fields": [_evidence(one, units.names) for one in telling]}
    together = _classifier_words(evidence)
    looked = _looked_words(evidence)
    if not telling:
        p = min((one.p for one in told), default=None)
        claim = (
            f"How images were saved does not tell their labels: none of {counted(len(told), 'field')} in which they "
            f"differ does more than by chance (p = {p:.3g} for all of them{looked}){together}."
            if p is not None
            else "How images were saved does not tell their labels: they differ in the bytes that they take, and in no "
            "other field."
        )
        return Finding(CHECK, Verdict.CLEAN, claim, {**evidence, "p": p})
    first = _named(telling)
    # The classifier may put together what no field says alone.
    found = [evidence["classifier_auroc"], evidence["classifier_pair_auroc"]]
    strong = any(value is not None and value >= LEAK for value in found)
    leak = strong or any(one.verdict is Verdict.LEAK for one in telling)
    others = [one.field.name for one in telling if one is not first and one.field.name != TOGETHER]
    also = f"; also {', '.join(others)}" if others else ""
    much = "" if leak else " Far too weak to explain a good result, but more than chance."
    return Finding(
        CHECK,
        Verdict.LEAK if leak else Verdict.SUSPICIOUS,
        f"How images were saved tells their labels: {_words(first, units.names)}{also}{together}{looked}.{much}",
        {**evidence, "p": min(one.p for one in telling), "field": first.field.name},
        "Save all images in one way (format, quality, size, mode), from sources as alike as they can be, and evaluate "
        "again; until then a model may tell the files apart and not what they show.",
    )


def _bytes(telling: Sequence[Told], units: Units, evidence: dict[str, Any]) -> Finding:
    first = _named(telling)
    return Finding(
        CHECK,
        Verdict.SUSPICIOUS,
        f"How many bytes an image takes tells its label: {_words(first, units.names)}"
        f"{_classifier_words(evidence)}{_looked_words(evidence)}. What images show decides that too, so it may be "
        "innocent.",
        {
            **evidence,
            "p": min(one.p for one in telling),
            "field": first.field.name,
            "fields": [_evidence(one, units.names) for one in telling],
        },
        "Save all images in one way and evaluate again: if results stay, models see what images show.",
    )


def _named(telling: Sequence[Told]) -> Told:
    """Return the field that says most; of those that say the same, the one that comes first."""
    single = [one for one in telling if one.field.name != TOGETHER] or list(telling)
    most = max(one.strongest for one in single)
    return next(one for one in single if one.strongest >= most - _ALIKE)


def _words(told: Told, names: Sequence[str]) -> str:
    """Say how well a field tells labels."""
    said = []
    one = told.labels
    if one.beyond_chance and one.label is not None and one.label_auroc is not None and len(names) > 2:
        said.append(f"label {names[one.label]!r} with AUROC {one.label_auroc:.3f}")
    elif one.auroc is not None:
        said.append(f"labels with AUROC {one.auroc:.3f}")
    if told.pairs is not None:
        said.append(f"genuine from impostor pairs with AUROC {told.pairs:.3f}")
    field = "all fields together" if told.field.name == TOGETHER else told.field.name
    return f"{field} tells {', and '.join(said) or 'them'} (p = {told.p:.3g} for all fields)"


def _classifier_words(evidence: dict[str, Any]) -> str:
    labels, pairs = evidence["classifier_auroc"], evidence["classifier_pair_auroc"]
    said = [f"labels with AUROC {labels:.3f}"] if labels is not None else []
    said += [f"pairs with {'' if said else 'AUROC '}{pairs:.3f}"] if pairs is not None else []
    return f"; a classifier on all of them, cross-validated, tells {' and '.join(said)}" if said else ""


def _looked_words(evidence: dict[str, Any]) -> str:
    looked, n = evidence["n_images_looked_at"], evidence["n_images"]
    return "" if looked == n else f", by {looked:,} of {n:,} images"


def _evidence(told: Told, names: Sequence[str]) -> dict[str, Any]:
    return {
        "field": told.field.name,
        "auroc": told.labels.auroc,
        "label": None if told.labels.label is None else names[told.labels.label],
        "label_auroc": told.labels.label_auroc,
        "pair_auroc": told.pairs,
        "p": told.p,
        "verdict": told.verdict.value,
    }


def table_of(told: Sequence[Told], names: Sequence[str]) -> pa.Table:
    """Return the fields as rows, the most telling first."""
    rows = [
        {**_evidence(one, names), "n_values": one.field.n_values, "n_known": one.field.n_known}
        for one in sorted(told, key=lambda one: -one.strongest)
    ]
    schema = pa.schema(
        [
            ("field", pa.string()),
            ("n_values", pa.int64()),
            ("n_known", pa.int64()),
            ("auroc", pa.float64()),
            ("label", pa.string()),
            ("label_auroc", pa.float64()),
            ("pair_auroc", pa.float64()),
            ("p", pa.float64()),
            ("verdict", pa.string()),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def too_few(looked: dict[str, Any], fields: Sequence[Field]) -> Finding:
    """Return the finding on labels that no test can tell anything about."""
    return Finding(
        CHECK,
        Verdict.UNKNOWN,
        f"Whether metadata tell labels is not known: {counted(looked['n_images_looked_at'], 'image')} of "
        f"{counted(looked['n_labels'], 'label')} are too few to tell it from chance at the {LEVEL:.0%} level.",
        {**looked, "fields": [field.name for field in fields]},
        "Audit more images, at least two of several labels.",
    )


def all_alike(looked: dict[str, Any]) -> Finding:
    """Return the finding on images that differ in no field."""
    claim = f"Metadata cannot tell labels: the {looked['n_images']:,} images are alike in every field."
    return Finding(CHECK, Verdict.CLEAN, claim, {**looked, "fields": []})
