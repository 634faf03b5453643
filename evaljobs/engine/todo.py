"""What a run has to do: which evaluations have no result, and which rows their models lack. Nothing is started here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from evaljobs.engine.evaluation import Members, evaluation_key
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import SHARD_BYTES, Shard, cut
from evaljobs.images.geometry import Geometry
from evaljobs.jobs.job import Job
from evaljobs.models.model import Model

# Two windows of four: enough for every core to find something to do.
_SHARDS_IN_MEMORY = 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One job on its sets with one model, and the key of its result."""

    job: Job
    model: Model
    members: Mapping[str, Members]
    key: dict[str, Any]

    @property
    def set_name(self) -> str:
        """The set's name; several are joined."""
        return " / ".join(self.job.sets().values())

    @property
    def pairs(self) -> int:
        """Pairs of samples that the evaluation compares."""
        n = sum(len(m.sample_ids) for m in self.members.values())
        return n * (n - 1) // 2


def evaluations(prepared: Prepared, excluded: pa.Array) -> list[Evaluation]:
    """Return every evaluation of a run, model after model, given which images are excluded."""
    by_set = prepared.members(excluded)
    digests = {name: members.digest() for name, members in by_set.items()}
    return [
        Evaluation(
            job,
            model,
            {role: by_set[name] for role, name in job.sets().items()},
            evaluation_key(job, {role: digests[name] for role, name in job.sets().items()}, prepared.keys[model.name]),
        )
        for job in prepared.jobs
        for model in prepared.models
    ]


def without_result(prepared: Prepared, wanted: list[Evaluation]) -> list[int]:
    """Return the numbers of the evaluations that the store has no result of."""
    return [number for number, evaluation in enumerate(wanted) if prepared.store.result(evaluation.key) is None]


def image_bytes(geometry: Geometry) -> int:
    """Return the bytes of one decoded image: uint8."""
    return geometry.height * geometry.width * geometry.channels


def missing_shards(
    prepared: Prepared, models: Sequence[Model], undecodable: pa.Array, memory_bytes: int | None = None
) -> list[Shard]:
    """Return the shards that these models lack; models and geometries are numbered as in `prepared`.

    Parameters
    ----------
    memory_bytes
        What all decoded images may take at a time: a shard is a small part of it. No result depends on it.
    """
    geometries = prepared.geometries
    numbers = {model.name: number for number, model in enumerate(prepared.models)}
    lacking = [(numbers[model.name], model) for model in models]
    return cut(
        {number: prepared.wanted(model, undecodable) for number, model in lacking},
        {number: geometries.index(model.pixels.geometry) for number, model in lacking},
        [image_bytes(geometry) for geometry in geometries],
        SHARD_BYTES if memory_bytes is None else min(SHARD_BYTES, memory_bytes // _SHARDS_IN_MEMORY),
    )
