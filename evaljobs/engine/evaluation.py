"""One evaluation, a job on its sets with one model: its key, its work, and what it leaves in the store."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.config import canonical_json
from evaljobs.engine.spreading import Spread, Spreading, Tell
from evaljobs.errors import (
    ImageError,
    InputError,
    ModelError,
    ModelErrorKind,
    NonFiniteError,
    RowsMissingError,
    StoreError,
)
from evaljobs.explain.sight import Sight
from evaljobs.images.pictures import Pictures
from evaljobs.images.views.chain import Change
from evaljobs.jobs.job import Job, ModelFacts, Outcome, Passes, Rows
from evaljobs.models.model import Model
from evaljobs.pairs_file import ListedPairs
from evaljobs.store import Store
from evaljobs.store.store import key_digest

_UNKNOWN = ModelFacts()


@dataclasses.dataclass(frozen=True)
class Members:
    """The images of a set that take part, in order.

    Attributes
    ----------
    sample_ids, labels
        ``[n]`` strings.
    digests
        ``[n]`` image digests.
    listed
        Pairs of them that are listed in a file of the job, if it names one.
    changed
        ``[n]`` bool: the images that a view has changed; None for a set that is no view. It follows from the digests.
    files
        ``[n]`` digests of the files of those images; None for a set that is no view. They follow from the digests too.
    uris, changes
        ``[n]`` places of the images, and what views do to some of them, by digest; for jobs that look at them again.
    facts
        ``[n]`` rows of what is known of their files, for jobs that ask for it. It follows from the files' digests.
    """

    sample_ids: pa.Array
    labels: pa.Array
    digests: pa.Array
    listed: ListedPairs | None = None
    changed: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    uris: pa.Array | None = None
    changes: Mapping[bytes, Change] = dataclasses.field(default_factory=dict)
    files: pa.Array | None = None
    facts: pa.Table | None = None

    def digest(self, *, with_ids: bool = False, columns: Sequence[str] = ()) -> str:
        """Return the sha256 of the ordered (image digest, label) pairs: what a result is a function of.

        Listed pairs are part of it, by row; sample ids, and columns of the facts, where a result depends on them.
        """
        digest = hashlib.sha256()
        digest.update(b"".join(self.digests.to_pylist()))
        digest.update(canonical_json(self.labels.to_pylist()).encode())
        if with_ids:
            digest.update(canonical_json(self.sample_ids.to_pylist()).encode())
        for column in columns:
            if self.facts is not None and column in self.facts.column_names:
                digest.update(canonical_json([column, self.facts[column].to_pylist()]).encode())
        if self.listed is not None:
            digest.update(self.listed.digest().encode())
        return digest.hexdigest()


def evaluation_key(
    job: Job,
    sets: Mapping[str, str],
    model_key: Mapping[str, Any] | None,
    facts: ModelFacts = _UNKNOWN,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all that an evaluation's result is a function of.

    Parameters
    ----------
    job
        Its kind, algorithm version and parameters count, its name does not.
    sets
        By role: the digest of the set's members.
    model_key
        Of the embedding table; None where no model is needed.
    facts
        Of the model: classes, what scores are and whether that was told count, its name does not.
    before
        The key of another evaluation whose outcome it reads.
    """
    key: dict[str, Any] = {"job": job.specification(), "sets": dict(sets)}
    if model_key is not None:
        key["model"] = key_digest(model_key)
    if facts.scores_are is not None:
        key["scores"] = {"are": facts.scores_are, "told": facts.scores_told, "classes": facts.classes}
    if before is not None:
        key["before"] = key_digest(before)
    return key


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What a worker must know of an evaluation, beside the members of its sets; small and picklable.

    Attributes
    ----------
    store
        Where it is.
    model_key
        Of its table; None where no model is needed.
    threads
        How many compare at a time in the worker's process, where the evaluation is not spread.
    spread
        How it is cut into tasks of its own, if it is.
    facts
        What the job may know of the model.
    columns
        By role: the column of the table that has it; the role itself where it is not said.
    before
        The key of another evaluation whose outcome it reads, if it does.
    model
        Where the job looks at images again: what sees them.
    """

    store: str
    job: Job
    model_key: Mapping[str, Any] | None
    key: Mapping[str, Any]
    threads: int = 1
    spread: Spread | None = None
    facts: ModelFacts = _UNKNOWN
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    model: Model | None = None


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation whose result stands in the store, and the seconds that it took of all threads together."""

    seconds: float


@dataclasses.dataclass(frozen=True)
class Unevaluated:
    """An evaluation that found nothing, for a reason that may pass: it is not remembered."""

    kind: ModelErrorKind
    message: str


@dataclasses.dataclass(frozen=True)
class Unready:
    """An evaluation of whose rows some are not there any more, and what was said of them."""

    message: str


def tell_nobody(done: int, known: int) -> None:
    """Ignore how far an evaluation is."""


def evaluate(
    assignment: Assignment, members: Mapping[str, Members], tell: Tell = tell_nobody
) -> Evaluated | Unevaluated | Unready:
    """Carry an evaluation out and commit what it found, a refusal included.

    Parameters
    ----------
    tell
        Told of the pairs that are compared; from any thread, one at a time.

    Raises
    ------
    StoreError
        If the result of another evaluation that it reads is not there, or its own cannot be committed.
    """
    started = time.process_time()
    elsewhere = 0.0
    store = Store(assignment.store)
    try:
        passes = assignment.job.passes(_rows(store, assignment, members))
        found: Outcome | dict[str, Any]
        found, elsewhere = _carry_out(passes, assignment, tell)
    except NonFiniteError as error:
        found = {"kind": ModelErrorKind.NON_FINITE, "rows": list(error.rows), "count": error.count}
    except ModelError as error:
        if error.kind is ModelErrorKind.OUT_OF_MEMORY:
            return Unevaluated(error.kind, str(error))
        found = {"kind": error.kind, "message": str(error)}
    except ImageError as error:
        return Unevaluated(ModelErrorKind.FAILED, str(error))
    except RowsMissingError as error:
        return Unready(str(error))
    except MemoryError:
        return Unevaluated(ModelErrorKind.OUT_OF_MEMORY, "there is not enough memory to compare its embeddings")
    except InputError as error:
        found = {"kind": ModelErrorKind.FAILED, "message": str(error)}
    if isinstance(found, Outcome):
        store.add_result(assignment.key, {"result": found.result}, found.tables)
    else:
        store.add_result(assignment.key, {"error": found}, {})
    return Evaluated(time.process_time() - started + elsewhere)


def _rows(store: Store, assignment: Assignment, members: Mapping[str, Members]) -> dict[str, Rows]:
    table = None if assignment.model_key is None else store.table(assignment.model_key)
    columns = {role: assignment.columns.get(role, role) for role in assignment.job.outputs}
    before = _before(store, assignment)
    return {
        role: Rows(
            m.digests,
            m.labels.to_pylist(),
            {} if table is None else {name: table.read(m.digests, column) for name, column in columns.items()},
            m.sample_ids,
            m.listed,
            assignment.facts,
            before,
            changed=m.changed,
            sight=_sight(assignment, m),
            files=m.files,
            facts=m.facts,
            pictures=None if m.uris is None else Pictures(m.uris, m.digests, m.changes),
        )
        for role, m in members.items()
    }


def _sight(assignment: Assignment, members: Members) -> Sight | None:
    """Return the images as the model sees them, for a job that looks at them again."""
    if assignment.model is None or members.uris is None:
        return None
    return Sight(assignment.model, members.uris, members.digests, members.changes)


def _before(store: Store, assignment: Assignment) -> Outcome | None:
    if assignment.before is None:
        return None
    stored = store.result(assignment.before)
    if stored is None or "result" not in stored[0]:
        raise StoreError(
            "the result that this evaluation reads went away while the run went on. Run the same command again"
        )
    return Outcome(stored[0]["result"], stored[1])


def _carry_out(passes: Passes, assignment: Assignment, tell: Tell) -> tuple[Outcome, float]:
    """Return what the passes find, and the seconds that it took in other processes."""
    if assignment.spread is not None:
        spreading = Spreading(assignment.spread, tell)
        return spreading.carry_out(passes), spreading.seconds
    # numba and BLAS are loaded where pairs are compared, and not by the driver.
    from evaljobs.pairs.threads import run_rounds

    return run_rounds(passes.rounds, passes.samples, assignment.threads, progress=tell), 0.0
