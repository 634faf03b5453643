"""What is found of one model: the result as JSON, and the tables beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.anomaly.detection import Anomalies, detect
from evaljobs.anomaly.groups import both_kinds
from evaljobs.anomaly.rotations import Judged
from evaljobs.anomaly.tables import Images, mean_of, places_of, tables_of

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Another order of the classes that is right so much more often is the one that was trained.
_CLEARLY: Final = 0.1


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of all models: target FPRs, upwards, and the number of groups for the intervals."""

    targets: tuple[float, ...]
    groups: int


Found = tuple[dict[str, Any], dict[str, pa.Table]]


def conclude(
    scores: Float64, images: Images, asked: Asked, beside: Mapping[str, NDArray[np.generic]] | None = None
) -> Found:
    """Return the result and the tables of scores, the larger the more anomalous.

    Parameters
    ----------
    beside
        More columns of the table of images, ``[n]`` each.

    Raises
    ------
    InputError
        If there is no image of a kind.
    """
    groups = both_kinds(images.keys, images.anomalous, asked.groups)
    found = detect(scores, images.anomalous, asked.targets, groups)
    tables = tables_of(found, scores, images, beside or {})
    labels = {True: 0, False: 0}
    for places in places_of(images.labels).values():
        labels[bool(images.anomalous[places[0]])] += 1
    result = {
        **_with_balanced(found.to_json(), tables),
        "n_normal_labels": labels[False],
        "n_anomalous_labels": labels[True],
        "scores": {
            name: {"mean": mean_of(scores[kind]), "median": float(np.median(scores[kind]))}
            for name, kind in (("normal", ~images.anomalous), ("anomalous", images.anomalous))
        },
        "notes": _notes(found, len(np.unique(images.keys, axis=0)), asked),
    }
    return result, tables


def _with_balanced(result: dict[str, Any], tables: dict[str, pa.Table]) -> dict[str, Any]:
    """Put the mean TPR of the anomalous labels beside each point: each counts alike, however many images it has."""
    anomalous = {row["label"] for row in tables["labels"].to_pylist() if row["anomalous"]}
    shares: dict[float, list[float]] = {}
    for row in tables["label_points"].to_pylist():
        if row["label"] in anomalous:
            shares.setdefault(row["target"], []).append(row["share_flagged"])
    points = [
        {**point, "tpr_balanced": sum(shares[point["target"]]) / len(shares[point["target"]])}
        for point in result["points"]
    ]
    return {**result, "points": points}


def _notes(found: Anomalies, n_different: int, asked: Asked) -> list[str]:
    if found.intervals is not None:
        alone = None in found.intervals.replicates_auroc
        return ["no intervals: all images of one kind are of one group, which is left out in turn"] if alone else []
    if not asked.groups:
        return []
    return [f"no intervals: {n_different:,} different images are too few for {asked.groups} groups of at least two"]


def rotation_result(
    judged: Judged, anomalous: Mask, rotations: Sequence[float], named: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return how well rotations themselves are told, and what must be said of it.

    Parameters
    ----------
    named
        By rotation: its class, where the names of the classes say that; None where the order of the rotations does.

    Returns
    -------
    tuple
        ``rotation_accuracy`` of normal and anomalous images, and ``confusion`` of the normal ones: views by their
        rotation, and by the one that the model gives; and notes.
    """
    k = len(rotations)
    counts = {}
    for name, kind in (("normal", ~anomalous), ("anomalous", anomalous)):
        table = np.zeros((k, k), np.int64)
        for place in range(k):
            table[place] = np.bincount(judged.predicted[kind, place], minlength=k)
        counts[name] = table
    accuracy = {name: int(np.trace(table)) / int(table.sum()) for name, table in counts.items()}
    result = {"rotation_accuracy": accuracy, "confusion": counts["normal"].tolist()}
    return result, _order_notes(counts["normal"], rotations, named)


def _order_notes(confusion: Int64, rotations: Sequence[float], named: Sequence[int] | None) -> list[str]:
    """Say where the classes seem to stand for other rotations, or the model tells none."""
    # Here, for it takes longer to load than everything else of this module. scipy has no annotations.
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    total, right = int(confusion.sum()), int(np.trace(confusion))
    told, given = linear_sum_assignment(-confusion)
    best = int(confusion[told, given].sum())
    if best - right > _CLEARLY * total:
        # By class: the rotation that it seems to stand for, and the one for which it was taken.
        classes = range(len(rotations)) if named is None else named
        seems, taken = [0.0] * len(rotations), [0.0] * len(rotations)
        for rotation, place in zip(told.tolist(), given.tolist(), strict=True):
            seems[classes[place]], taken[classes[place]] = rotations[rotation], rotations[place]
        key = "rotations" if named is None else "classes"
        whose = "" if named is None else " of the model's entry, for its classes are named by degrees"
        said = (
            f"on normal images the classes fit the rotations {_degrees(seems)} ({best / total:.1%} right) better than "
            f"{_degrees(taken)} ({right / total:.1%}): if the model was trained so, write "
            f"`{key}: [{_degrees(seems)}]`{whose}"
        )
        return [said]
    if right <= total * (1 + _CLEARLY) / len(rotations):
        said = (
            f"{right / total:.1%} of the rotated normal images are told rightly, by chance {1 / len(rotations):.1%}: "
            "it is no model that tells these rotations apart, or its preprocessing is another one"
        )
        return [said]
    return []


def _degrees(rotations: Sequence[float]) -> str:
    return ", ".join(f"{rotation:g}" for rotation in rotations)
