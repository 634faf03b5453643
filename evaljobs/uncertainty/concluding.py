"""What the measures are worth, of several sets: the result as JSON, and the tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from evaljobs.classification.asked import digest_of
from evaljobs.classification.groups import Keys
from evaljobs.uncertainty.assessment import UncertainImages, Uncertainty, assess_uncertainty
from evaljobs.uncertainty.measures import Measure
from evaljobs.uncertainty.sets import KNOWN, Bools, Part, Parts
from evaljobs.uncertainty.tables import coverage_table, histogram_table, images_table, roc_table


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of the measures: see `evaljobs.uncertainty.assessment.assess_uncertainty`.

    A threshold that is given is one of the leading measure; those of the others follow from the share.
    """

    measures: tuple[Measure, ...]
    leading: Measure
    threshold: float | None
    share: float
    groups: int
    bins: int


def conclude(
    parts: Parts, keys: Mapping[str, Keys], changed: Mapping[str, Bools | None], asked: Asked
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return what every measure is worth, as JSON, and the tables.

    Parameters
    ----------
    parts
        The sets.
    keys, changed
        By role, of all images of the set: their digests, and whether a view changed them.
    asked
        What is asked.

    Raises
    ------
    InputError
        If no image takes part.
    """
    found = {measure: _assess(measure, parts, keys, changed, asked) for measure in asked.measures}
    values = {str(m): {role: part.values[m] for role, part in parts.of.items()} for m in asked.measures}
    foreign = [role for role in parts.of if role.startswith("foreign")]
    curves = {
        str(m): {KNOWN: u.known.coverage, **{r: c.coverage for r, c in u.corrupted.items()}} for m, u in found.items()
    }
    result = {
        "n_samples": len(parts.of[KNOWN].rows),
        "measure": str(asked.leading),
        "positive": "foreign",
        "measures": {str(measure): one.to_json() for measure, one in found.items()},
        "excluded": {
            "n_samples": sum(parts.excluded.values()),
            "n_labels": len(parts.excluded),
            "digest": digest_of(sorted(parts.excluded)) if parts.excluded else None,
        },
        "notes": [*parts.notes, *_without_intervals(found[asked.leading], asked.groups)],
    }
    tables = {
        "images": _images(parts, changed, asked),
        "histogram": histogram_table(values, asked.bins),
        "risk_coverage": coverage_table(curves),
        "roc": roc_table(values, KNOWN, foreign),
    }
    return result, tables


def _without_intervals(found: Uncertainty, groups: int) -> list[str]:
    """Return which sets have no intervals though some were asked for, and why."""
    if not groups:
        return []
    corrupted = [role for role, one in found.corrupted.items() if one.coverage and not one.coverage.replicates]
    foreign = [role for role, one in found.foreign.items() if one.detection and not one.detection.replicates]
    lacking = [*corrupted, *foreign] if found.n_groups else [KNOWN, *corrupted]
    why = f"fewer than {2 * groups} different images, two for each of the {groups} groups"
    return [f"no interval for the set {role!r}: it has {why}" for role in lacking]


def _assess(
    measure: Measure, parts: Parts, keys: Mapping[str, Keys], changed: Mapping[str, Bools | None], asked: Asked
) -> Uncertainty:
    def images(role: str) -> UncertainImages:
        part = parts.of[role]
        of_view = changed[role]
        own = None if of_view is None else of_view[part.rows]
        return UncertainImages(part.values[measure], part.answers[measure].right, own, keys[role][part.rows])

    roles = {kind: [role for role in parts.of if role.startswith(kind)] for kind in ("corrupted", "foreign")}
    return assess_uncertainty(
        images(KNOWN),
        corrupted={role: images(role) for role in roles["corrupted"]},
        foreign={role: images(role) for role in roles["foreign"]},
        threshold=asked.threshold if measure is asked.leading else None,
        share=asked.share,
        groups=asked.groups,
    )


def _images(parts: Parts, changed: Mapping[str, Bools | None], asked: Asked) -> pa.Table:
    """Return a row for each image: its set, label, what is predicted, whether that is right, and every measure."""
    return images_table({role: _columns(part, changed[role], asked) for role, part in parts.of.items()})


def _columns(part: Part, changed: Bools | None, asked: Asked) -> dict[str, Any]:
    answers = part.answers
    single = Measure.ENTROPY if Measure.ENTROPY in answers else asked.leading
    columns: dict[str, Any] = {
        "row": part.rows,
        "label": part.labels,
        "predicted": answers[single].predicted,
        "right": answers[single].right,
    }
    if Measure.PREDICTIVE_ENTROPY in answers:
        together = answers[Measure.PREDICTIVE_ENTROPY]
        columns |= {"predicted_passes": together.predicted, "right_passes": together.right}
    columns["changed"] = None if changed is None else changed[part.rows]
    return columns | {str(measure): part.values[measure] for measure in asked.measures}
