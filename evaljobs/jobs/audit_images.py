"""The part of an audit that needs no model: what files and pictures say, whoever looks at them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pyarrow as pa

from evaljobs.config import Section, canonical_json
from evaljobs.errors import UsageError
from evaljobs.jobs.audit_keys import AuditParameters
from evaljobs.jobs.job import Job, Outcome, Passes, Rows
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.audit.images import Audited
    from evaljobs.audit.told import Told
    from evaljobs.audit.training import Training
    from evaljobs.pairs.work import Rounds

# Keys of the other part.
_OF_MODELS = frozenset({"counterfactual", "fpr", "groups", "hardest"})


class ImagesAudit(Job):
    """What is asked of the images alone: facts of files, duplicates, training images, classes, blank pictures."""

    kind: ClassVar[str] = "audit"
    version: ClassVar[int] = 1
    outputs: tuple[str, ...] = ()
    uses_facts: ClassVar[bool] = True
    uses_columns: ClassVar[bool] = True
    uses_images: ClassVar[bool] = True
    compares: ClassVar[bool] = False
    Parameters: ClassVar[type[Section]] = AuditParameters
    places: ClassVar[frozenset[str]] = frozenset({"set", "training", "training_list"}) | _OF_MODELS

    def __init__(self, name: str, parameters: Section, training: Training | None = None) -> None:
        super().__init__(name, parameters)
        self._training = training

    @property
    def _given(self) -> AuditParameters:
        return cast("AuditParameters", self.parameters)

    def sets(self) -> dict[str, str]:
        """Return the set, and that of the training images if there is one."""
        training = {} if self._given.training is None else {"training": self._given.training}
        return {"set": self._given.set or "main", **training}

    def shown_set(self) -> str:
        """Return the set that is audited."""
        return self._given.set or "main"

    def columns(self) -> tuple[str, ...]:
        """Return people's own columns that are asked like facts of files."""
        return self._given.columns

    def specification(self) -> dict[str, Any]:
        """Return what decides a result: with it, how pictures are made, and what a list of training images says."""
        found = super().specification()
        if self._given.pictures:
            from evaljobs.images.fingerprint import GEOMETRY

            found["pictures"] = GEOMETRY.key()
        if self._training is not None:
            found["training_list"] = _digest_of(self._training)
        return found

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return what it costs: each image as much as comparing so many pairs."""
        del listed
        from evaljobs.audit.told import PAIRS_A_PICTURE

        return sum(map(len, ids.values())) * (PAIRS_A_PICTURE if self._given.pictures else 1)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Look at the pictures, in one pass, and then at all that is known."""
        from evaljobs.audit.images import Question, Sides, rounds

        given = self._given
        asked = Question(given.pictures, given.near, given.columns, given.seed, self._training)
        sides = Sides({role: _audited(side) for role, side in rows.items()})
        return Passes(sides, outcome_of(rounds(sides, asked)))


def _digest_of(training: Training) -> str:
    digest = hashlib.sha256()
    digest.update(canonical_json(None if training.labels is None else sorted(training.labels)).encode())
    digest.update(canonical_json(None if training.of_images is None else list(training.of_images)).encode())
    for one in () if training.digests is None else training.digests.to_pylist():
        digest.update(b"\0" * 32 if one is None else one)
    return digest.hexdigest()


def _audited(side: Rows) -> Audited:
    from evaljobs.audit.images import Audited

    if side.facts is None or side.pictures is None:
        raise UsageError("an audit looks at the files of images; vectors alone have none")
    return Audited(side.labels, side.digests, side.facts, side.pictures)


def outcome_of(rounds: Rounds[Told]) -> Generator[Any, Any, Outcome]:
    """Return what an audit found as the outcome of an evaluation."""
    told = yield from rounds
    return Outcome(told.result, told.tables)
