"""One evaluation, a job on its sets with one model: its key, its work, and what it leaves in the store."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaljobs.config import canonical_json
from evaljobs.errors import InputError, ModelError, ModelErrorKind, NonFiniteError
from evaljobs.jobs.job import Job, Outcome, Rows
from evaljobs.store import Store
from evaljobs.store.store import key_digest


@dataclasses.dataclass(frozen=True)
class Members:
    """The images of a set that take part, in order.

    Attributes
    ----------
    sample_ids, labels
        ``[n]`` strings.
    digests
        ``[n]`` image digests.
    """

    sample_ids: pa.Array
    labels: pa.Array
    digests: pa.Array

    def digest(self) -> str:
        """Return the sha256 of the ordered (image digest, label) pairs: what a result is a function of."""
        digest = hashlib.sha256()
        digest.update(b"".join(self.digests.to_pylist()))
        digest.update(canonical_json(self.labels.to_pylist()).encode())
        return digest.hexdigest()


def evaluation_key(job: Job, sets: Mapping[str, str], model_key: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that an evaluation's result is a function of.

    Parameters
    ----------
    job
        Its kind, algorithm version and parameters count, its name does not.
    sets
        By role: the digest of the set's members.
    model_key
        Of the embedding table.
    """
    return {"job": job.specification(), "sets": dict(sets), "model": key_digest(model_key)}


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What a worker must know of an evaluation, beside the members of its sets; small and picklable."""

    store: Path
    job: Job
    model_key: Mapping[str, Any]
    key: Mapping[str, Any]
    threads: int


@dataclasses.dataclass(frozen=True)
class Unevaluated:
    """An evaluation that found nothing, for a reason that may pass: it is not remembered."""

    kind: ModelErrorKind
    message: str


def evaluate(assignment: Assignment, members: Mapping[str, Members]) -> float | Unevaluated:
    """Carry an evaluation out and commit what it found, a refusal included. Return its seconds.

    Raises
    ------
    StoreError
        If its rows are not there, or the result cannot be committed.
    """
    start = time.perf_counter()
    store = Store(assignment.store)
    job = assignment.job
    try:
        table = store.table(assignment.model_key)
        rows = {
            role: Rows(m.digests, m.labels.to_pylist(), {name: table.read(m.digests, name) for name in job.outputs})
            for role, m in members.items()
        }
        # numba and BLAS are loaded where pairs are compared, and not by the driver.
        from evaljobs.pairs.threads import run_rounds

        passes = job.passes(rows)
        found: Outcome | dict[str, Any] = run_rounds(passes.rounds, passes.samples, assignment.threads)
    except NonFiniteError as error:
        found = {"kind": ModelErrorKind.NON_FINITE, "rows": list(error.rows), "count": error.count}
    except ModelError as error:
        found = {"kind": error.kind, "message": str(error)}
    except MemoryError:
        return Unevaluated(ModelErrorKind.OUT_OF_MEMORY, "there is not enough memory to compare its embeddings")
    except InputError as error:
        found = {"kind": ModelErrorKind.FAILED, "message": str(error)}
    if isinstance(found, Outcome):
        store.add_result(assignment.key, {"result": found.result}, found.tables)
    else:
        store.add_result(assignment.key, {"error": found}, {})
    return time.perf_counter() - start
