"""What a run has to do: which evaluations have no result, and which rows their models lack. Nothing is started here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from evaljobs.engine.evaluation import Members, evaluation_key
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import SHARD_BYTES, Most, Shard, cut
from evaljobs.images.geometry import Geometry
from evaljobs.jobs.job import Job
from evaljobs.models.model import Model

# So many fit at a time: enough for every core to find something to do.
_SHARDS_IN_MEMORY = 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One job on its sets with one model, the key of its result, and the pairs of samples that it compares."""

    job: Job
    model: Model
    members: Mapping[str, Members]
    key: dict[str, Any]
    pairs: int

    @property
    def set_name(self) -> str:
        """The set's name; several are joined."""
        return " / ".join(self.job.sets().values())


def evaluations(prepared: Prepared, excluded: pa.Array) -> list[Evaluation]:
    """Return every evaluation of a run, model after model, given which images are excluded."""
    by_set = prepared.members(excluded)
    digests = {name: members.digest() for name, members in by_set.items()}
    found = []
    for job in prepared.jobs:
        members = {role: _listing(prepared, job, role, by_set[name], excluded) for role, name in job.sets().items()}
        keys = {role: _digest(job, role, members[role], digests) for role in members}
        listed = next((m.listed for m in members.values() if m.listed is not None), None)
        pairs = job.n_pairs({role: m.sample_ids for role, m in members.items()}, listed)
        found += [
            Evaluation(job, model, members, evaluation_key(job, keys, prepared.keys[model.name]), pairs)
            for model in prepared.models
        ]
    return found


def _listing(prepared: Prepared, job: Job, role: str, members: Members, excluded: pa.Array) -> Members:
    """Return the members of a set with the pairs that the job lists of them, where it does."""
    listed = prepared.listed.get((job.name, role))
    if listed is None:
        return members
    takes_part = prepared.takes_part(job.sets()[role], excluded)
    return dataclasses.replace(members, listed=listed.among(takes_part))


def _digest(job: Job, role: str, members: Members, digests: Mapping[str, str]) -> str:
    """Return what a result is a function of; the sets' own digests are known, and not computed for every job."""
    if not job.uses_ids and members.listed is None:
        return digests[job.sets()[role]]
    return members.digest(with_ids=job.uses_ids)


def without_result(prepared: Prepared, wanted: list[Evaluation]) -> list[int]:
    """Return the numbers of the evaluations that the store has no result of."""
    found = prepared.store.results(evaluation.key for evaluation in wanted)
    return [number for number, result in enumerate(found) if result is None]


def image_bytes(geometry: Geometry) -> int:
    """Return the bytes of one decoded image: uint8."""
    return geometry.height * geometry.width * geometry.channels


def missing_shards(
    prepared: Prepared,
    models: Sequence[Model],
    undecodable: pa.Array,
    memory_bytes: int | None = None,
    most_images: int | None = None,
) -> list[Shard]:
    """Return the shards that these models lack; models and geometries are numbered as in `prepared`.

    Parameters
    ----------
    memory_bytes
        What all decoded images may take at a time: a shard is a small part of it. No result depends on it.
    most_images
        Of a shard; by default as many as are worth a call.
    """
    geometries = prepared.geometries
    numbers = {model.name: number for number, model in enumerate(prepared.models)}
    lacking = [(numbers[model.name], model) for model in models]
    wanted = prepared.wanted(models, undecodable)
    return cut(
        {number: mask for (number, _), mask in zip(lacking, wanted, strict=True)},
        {number: geometries.index(model.pixels.geometry) for number, model in lacking},
        [image_bytes(geometry) for geometry in geometries],
        {number: model.batch_size for number, model in lacking},
        Most(SHARD_BYTES if memory_bytes is None else min(SHARD_BYTES, memory_bytes // _SHARDS_IN_MEMORY), most_images),
    )
