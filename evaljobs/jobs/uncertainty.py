"""Uncertainty: how sure a model is of each image, and what that tells of errors, noise and foreign images."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Section
from evaljobs.errors import InputError
from evaljobs.jobs.job import After, Dropout, Job, Outcome, Passes, Result, Rows
from evaljobs.jobs.uncertainty_keys import UncertaintyParameters
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.uncertainty.concluding import Asked
    from evaljobs.uncertainty.sets import Parts


class UncertaintyJob(Job):
    """Softmax entropy, Monte Carlo dropout, or distance to known images; what it tells of errors and foreign images."""

    kind: ClassVar[str] = "uncertainty"
    version: ClassVar[int] = 3
    Parameters: ClassVar[type[Section]] = UncertaintyParameters
    places: ClassVar[frozenset[str]] = frozenset({"set", "corrupted", "foreign", "reference"})

    def __init__(self, name: str, parameters: Section, after: After | None = None) -> None:
        super().__init__(name, parameters, after)
        given = self._given
        if given.reference is None:
            self.outputs = ("scores", "passes") if given.passes else ("scores",)
        self.dropout = Dropout(given.passes, given.seed) if given.passes else None

    @property
    def _given(self) -> UncertaintyParameters:
        return cast("UncertaintyParameters", self.parameters)

    def sets(self) -> dict[str, str]:
        """Return the sets by role: ``set``, ``corrupted 1``, ..., ``foreign 1``, ..., ``reference``."""
        given = self._given
        several = {"corrupted": given.corrupted, "foreign": given.foreign}
        return {
            "set": given.set or "main",
            **{f"{role} {n}": name for role, names in several.items() for n, name in enumerate(names, 1)},
            **({} if given.reference is None else {"reference": given.reference}),
        }

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs are compared: of each image with the reference; none without one."""
        del listed
        if "reference" not in ids:
            return 0
        return len(ids["reference"]) * sum(len(several) for role, several in ids.items() if role != "reference")

    def rank(self, result: Result) -> tuple[float, ...] | None:
        """Return the mean AUROC of foreign sets by the leading measure; without any, how small the risk is."""
        found = result["measures"][result["measure"]]
        areas = [of_set["detection"]["auroc"] for of_set in found["sets"].values() if of_set["detection"] is not None]
        if areas:
            return (sum(areas) / len(areas),)
        coverage = found["sets"]["set"]["coverage"]
        return None if coverage is None else (-coverage["aurc"],)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Measure each image, in one pass."""
        from evaljobs.uncertainty.concluding import Asked

        given = self._given
        refuse_empty(rows)
        asked = Asked(
            measures=given.measures(),
            leading=given.leading,
            threshold=given.threshold,
            share=given.share,
            groups=given.groups,
            bins=given.bins,
        )
        return _by_distance(rows, asked, given) if given.reference is not None else _by_scores(rows, asked, given)


def refuse_empty(rows: Mapping[str, Rows]) -> None:
    """Refuse sets without images, and foreign images that are in-distribution images.

    Sets are named by their role: what is found is kept for whoever asks next, under whatever names.

    Raises
    ------
    InputError
        Naming the set.
    """
    for role, side in rows.items():
        if not len(side.digests):
            raise InputError(f"the set {role!r} of the job has no image that can be used; expected at least one")
        if role.startswith("foreign") and _shared(rows, role) == len(side.digests):
            raise InputError(
                f"each image of the set {role!r} of the job is one of the in-distribution set, byte for byte; name a "
                "set of images that the models were not made for"
            )


def _shared(rows: Mapping[str, Rows], role: str) -> int:
    """Return how many images of a set are in-distribution images, byte for byte."""
    return int(pc.sum(pc.is_in(rows[role].digests, value_set=rows["set"].digests)).as_py() or 0)


def _shared_notes(rows: Mapping[str, Rows]) -> list[str]:
    shared = {role: _shared(rows, role) for role in rows if role.startswith("foreign")}
    return [
        f"{n:,} of {len(rows[role].digests):,} images of the set {role!r} are in-distribution images too, byte for byte"
        for role, n in shared.items()
        if n
    ]


def _by_scores(rows: Mapping[str, Rows], asked: Asked, given: UncertaintyParameters) -> Passes:
    from evaljobs.uncertainty.judging import Labels, judged_parts
    from evaljobs.uncertainty.scored import prepare_scores

    model = rows["set"].model
    labels = Labels(model.classes, given.label_map, given.missing)
    scored = {role: (side.outputs["scores"], side.outputs.get("passes")) for role, side in rows.items()}
    samples, work = prepare_scores(scored, model.scores_are, told=model.scores_told)

    def rounds() -> Generator[Any, Any, Outcome]:
        found = yield work
        parts = judged_parts(samples, found.whole(), {role: side.labels for role, side in rows.items()}, labels)
        passes = {"count": given.passes, "seed": given.seed} if given.passes else None
        beside = {
            "n_classes": samples.n_classes,
            "scores_are": str(samples.scale),
            "passes": passes,
            "neighbours": None,
        }
        return _outcome(rows, parts, asked, beside)

    return Passes(samples, rounds())


def _by_distance(rows: Mapping[str, Rows], asked: Asked, given: UncertaintyParameters) -> Passes:
    import numpy as np

    from evaljobs.uncertainty.judging import near_parts
    from evaljobs.uncertainty.neighbours import Near, Searching, prepare

    measured = [role for role in rows if role != "reference"]
    # What a view makes of an image has that image next to it, as near as its own copy: it is no neighbour either.
    codes: dict[bytes, int] = {}
    keys = {
        role: np.array([codes.setdefault(digest, len(codes)) for digest in side.originals.to_pylist()], np.int64)
        for role, side in rows.items()
    }
    queries = np.concatenate([rows[role].outputs["embedding"] for role in measured])
    of_queries = np.concatenate([keys[role] for role in measured])
    space = prepare(queries, rows["reference"].outputs["embedding"], given.neighbours, (of_queries, keys["reference"]))
    work = Searching(given.neighbours, space.n_queries, space.n_reference)

    def rounds() -> Generator[Any, Any, Outcome]:
        near = Near(*(yield work).whole())
        parts = near_parts(near, {role: rows[role].labels for role in measured}, rows["reference"].labels)
        neighbours = {"k": given.neighbours, "n_reference": space.n_reference}
        return _outcome(
            rows, parts, asked, {"n_classes": None, "scores_are": None, "passes": None, "neighbours": neighbours}
        )

    return Passes(space, rounds())


def _outcome(rows: Mapping[str, Rows], parts: Parts, asked: Asked, beside: Mapping[str, Any]) -> Outcome:
    from evaljobs.classification.groups import keys_of_digests
    from evaljobs.uncertainty.concluding import conclude

    keys = {role: keys_of_digests(b"".join(rows[role].digests.to_pylist())) for role in parts.of}
    changed = {role: rows[role].changed for role in parts.of}
    result, tables = conclude(parts, keys, changed, asked)
    result["notes"] += _shared_notes(rows)
    return Outcome({**result, **beside}, tables)
