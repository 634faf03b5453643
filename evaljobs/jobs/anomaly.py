"""Anomaly: which images are unlike normal ones, by how well rotations are told, or by distance to normal images."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Section, Set, Step
from evaljobs.errors import InputError, UsageError
from evaljobs.jobs.anomaly_keys import AnomalyParameters
from evaljobs.jobs.job import After, Job, Outcome, Passes, Result, Rows
from evaljobs.jobs.views import view_of
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.anomaly.tables import Images


class AnomalyJob(Job):
    """Telling anomalous from normal images, by how well rotations are told apart, or by distance to normal images."""

    kind: ClassVar[str] = "anomaly"
    version: ClassVar[int] = 2
    Parameters: ClassVar[type[Section]] = AnomalyParameters
    places: ClassVar[frozenset[str]] = frozenset({"set", "reference"})

    def __init__(self, name: str, parameters: Section, after: After | None = None) -> None:
        super().__init__(name, parameters, after)
        if self._given.reference is None:
            self.outputs = ("scores",)

    @property
    def _given(self) -> AnomalyParameters:
        return cast("AnomalyParameters", self.parameters)

    @property
    def _set(self) -> str:
        return self._given.set or "main"

    def _turned(self) -> dict[str, tuple[str, Set | None]]:
        """Return the set of each rotation, by role: its name, and the view that it is; None for the set itself."""
        given = self._given
        at = None if given.at == "file" else given.at
        views: dict[str, tuple[str, Set | None]] = {"set": (self._set, None)}
        for degrees in given.rotations:
            if degrees:
                views[_role(degrees)] = view_of(self._set, Step(rotate=degrees, at=at))
        return views

    def sets(self) -> dict[str, str]:
        """Return the sets by role: ``set``, and ``rotated 90``, ...; or ``reference``."""
        if self._given.reference is not None:
            return {"set": self._set, "reference": self._given.reference}
        return {role: name for role, (name, _) in self._turned().items()}

    def views(self) -> dict[str, Set]:
        """Return the rotated views of its set; none where distances are measured."""
        if self._given.reference is not None:
            return {}
        return {name: view for name, view in self._turned().values() if view is not None}

    def check_samples(self, samples: Mapping[str, pa.Table]) -> None:
        """Refuse a set without normal or without anomalous images, and a reference without normal ones."""
        from evaljobs.anomaly.labels import named, refuse_one_kind

        normal = self._given.normal
        try:
            refuse_one_kind(pc.unique(samples["set"]["label"]).to_pylist(), normal)
        except InputError as error:
            raise UsageError(f"job {self.name!r}: {error}") from None
        found = pc.unique(samples["reference"]["label"]).to_pylist() if "reference" in samples else [*normal]
        if not {*found} & {*normal}:
            raise UsageError(
                f"job {self.name!r}: no image of the reference {self._given.reference!r} has a normal label "
                f"({named(normal)}); its labels are {named(sorted(found))}: name a set of normal images"
            )

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs are compared: of each image with the reference; none without one."""
        del listed
        return len(ids["set"]) * len(ids["reference"]) if "reference" in ids else 0

    def rank(self, result: Result) -> tuple[float, ...] | None:
        """Return the AUROC."""
        return (result["auroc"],)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Score each image, in one pass."""
        given = self._given
        return _by_rotations(rows, given) if given.reference is None else _by_distance(rows, given)


def _role(degrees: float) -> str:
    return f"rotated {degrees:g}" if degrees else "set"


def _images(side: Rows, normal: Sequence[str], rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Images:
    """Return the images of some rows, ready to be judged; those of a view have the groups that their files have."""
    from evaljobs.anomaly.labels import anomalous_of
    from evaljobs.anomaly.tables import Images
    from evaljobs.classification.groups import keys_of_digests

    labels = [side.labels[row] for row in rows.tolist()]
    keys = keys_of_digests(b"".join(side.originals.take(pa.array(rows)).to_pylist()))
    return Images(labels, anomalous_of(labels, normal), keys, rows)


def _without_images(labels: Sequence[str], normal: Sequence[str]) -> list[str]:
    """Say which normal labels no image has that can be used."""
    from evaljobs.anomaly.labels import named

    missing = sorted({*normal} - {*labels})
    return [f"no image that can be used has the normal label {named(missing)}"] if missing else []


def _in_all(rows: Mapping[str, Rows]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return, by role, the rows of the samples that every set has, in the order of the first: views may lack some."""
    sides = [*rows.values()]
    common = sides[0].ids
    for side in sides[1:]:
        common = common.filter(pc.is_in(common, value_set=side.ids))
    if not len(common):
        raise InputError("no image of the set can be used in every rotation; `failures.csv` says why of each")
    return {role: pc.index_in(common, value_set=side.ids).to_numpy().astype(np.int64) for role, side in rows.items()}


def _by_rotations(rows: Mapping[str, Rows], given: AnomalyParameters) -> Passes:
    from evaljobs.anomaly.concluding import Asked, conclude, rotation_result
    from evaljobs.anomaly.rotations import Judged, TellingRotations, named_columns, prepare
    from evaljobs.classification.samples import as_scores
    from evaljobs.classification.scale import refuse_non_finite

    side = rows["set"]
    of = _in_all(rows)
    # Of all rows, so that it is said of the right ones.
    refuse_non_finite(np.concatenate([as_scores(one.outputs["scores"])[0] for one in rows.values()]))
    roles = [_role(degrees) for degrees in given.rotations]
    named = named_columns(side.model.classes, given.rotations)
    columns = range(len(roles)) if named is None else named
    scores = [rows[role].outputs["scores"][of[role]] for role in roles]
    samples = prepare(scores, side.model.scores_are, columns, told=side.model.scores_told)
    images = _images(side, given.normal, of["set"])

    def rounds() -> Generator[Any, Any, Outcome]:
        judged = Judged(*(yield TellingRotations(len(images.labels))).whole())
        beside = {f"right_{degrees:g}": 1 - judged.wrong[:, i] for i, degrees in enumerate(given.rotations)}
        result, tables = conclude(judged.score, images, Asked(given.fpr, given.groups), beside)
        told, notes = rotation_result(judged, images.anomalous, given.rotations, named)
        left_out = len(side.labels) - len(images.labels)
        notes += [f"{left_out:,} images are left out: a rotated view of them cannot be used"] if left_out else []
        method = {"method": "rotations", "rotations": [*given.rotations], "scores_are": str(samples.scale), **told}
        beside_it = {"neighbours": None, "normal": [*given.normal]}
        notes += _without_images(images.labels, given.normal)
        return Outcome({**method, **beside_it, **result, "notes": [*notes, *result["notes"]]}, tables)

    return Passes(samples, rounds())


def _by_distance(rows: Mapping[str, Rows], given: AnomalyParameters) -> Passes:
    from evaljobs.anomaly.concluding import Asked, conclude
    from evaljobs.anomaly.neighbours import normal_space
    from evaljobs.uncertainty.neighbours import Near, Searching

    side, reference = rows["set"], rows["reference"]
    images = _images(side, given.normal, np.arange(len(side.labels)))
    kept = np.flatnonzero(np.isin(np.array(reference.labels, object), np.array(given.normal, object)))
    space = normal_space(
        (side.outputs["embedding"], reference.outputs["embedding"]),
        (side.originals.to_pylist(), reference.originals.to_pylist()),
        kept,
        given.neighbours,
    )

    def rounds() -> Generator[Any, Any, Outcome]:
        near = Near(*(yield Searching(given.neighbours, space.n_queries, space.n_reference)).whole())
        beside = {"farthest": near.farthest}
        result, tables = conclude(near.distance, images, Asked(given.fpr, given.groups), beside)
        left_out = len(reference.labels) - len(kept)
        neighbours = {"k": given.neighbours, "n_reference": space.n_reference, "n_left_out": left_out}
        method = {"method": "neighbours", "rotations": None, "scores_are": None}
        told = {"rotation_accuracy": None, "confusion": None, "neighbours": neighbours}
        notes = [*_without_images(images.labels, given.normal), *result["notes"]]
        return Outcome({**method, **told, "normal": [*given.normal], **result, "notes": notes}, tables)

    return Passes(space, rounds())
