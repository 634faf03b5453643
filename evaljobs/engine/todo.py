"""What a run has to do: which evaluations have no result, and which rows their models lack. Nothing is started here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.engine.evaluation import Members, evaluation_key
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import SHARD_BYTES, Most, Shard, cut
from evaljobs.engine.stages import Stage, known_so_far
from evaljobs.images.geometry import Geometry
from evaljobs.jobs.job import Job, ModelFacts
from evaljobs.jobs.order import in_order
from evaljobs.models.model import SCORES, TOLD, Lack, Model

# So many fit at a time: enough for every core to find something to do.
_SHARDS_IN_MEMORY = 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One job on its sets with one model, or its part that needs none.

    Attributes
    ----------
    job
        The job, or the part of it that needs no model.
    model
        None where none is needed.
    members
        By role: the images of its set that take part.
    key
        Of its result.
    pairs
        Of samples that it compares, or as much other work.
    before
        The key of the result that it reads beside the rows, if its job asks for one.
    """

    job: Job
    model: Model | None
    members: Mapping[str, Members]
    key: dict[str, Any]
    pairs: int
    before: dict[str, Any] | None = None

    @property
    def name(self) -> str | None:
        """The model's name; None where there is none."""
        return None if self.model is None else self.model.name

    @property
    def load(self) -> str | None:
        """What its rows are made with, by the name of `Model.load`; None where it needs no rows."""
        return None if self.model is None else self.model.load

    @property
    def compared(self) -> int:
        """The pairs that it compares: none of a job whose work is something else."""
        return self.pairs if self.job.compares else 0

    @property
    def set_name(self) -> str:
        """The set's name; several are joined, those aside that the job makes itself."""
        return self.job.shown_set()

    @property
    def lack(self) -> Lack | None:
        """Why the model cannot give what the job needs; None where it can."""
        lacks = {} if self.model is None else self.model.lacks
        return next((lacks[role] for role in self.job.outputs if role in lacks), None)


def facts_of(model: Model | None, job: Job) -> ModelFacts:
    """Return what a job may know of a model: what is said of class scores where it needs them, else the name alone."""
    if model is None:
        return ModelFacts()
    if SCORES not in job.outputs or model.scores is None:
        return ModelFacts(model.name)
    classes = model.scores.classes
    told = model.scores.source in TOLD
    return ModelFacts(model.name, None if classes is None else classes.names, model.scores.are, told)


def nobody(evaluation: Evaluation) -> bool:
    """Say of every evaluation that it may still have a result."""
    del evaluation
    return False


def evaluations(
    prepared: Prepared, excluded: pa.Array, given_up: Callable[[Evaluation], bool] = nobody
) -> list[Evaluation]:
    """Return every evaluation of a run that is known to be wanted, given which images are excluded.

    Parameters
    ----------
    given_up
        Whether an evaluation will have no result in this run: jobs that come after it do not wait for it.
    """
    return stage(prepared, excluded, given_up).evaluations


def stage(prepared: Prepared, excluded: pa.Array, given_up: Callable[[Evaluation], bool] = nobody) -> Stage:
    """Return the same with the jobs whose models are not known yet."""
    return known_so_far(prepared.jobs, candidates(prepared, excluded), prepared.store, given_up)


def candidates(prepared: Prepared, excluded: pa.Array) -> Iterator[Evaluation]:
    """Yield every job with every model, though a later job may take but the best; those that come after others last.

    The part of a job that needs no model stands before its models.
    """
    by_set = prepared.members(excluded)
    digests = {name: members.digest() for name, members in by_set.items()}
    keys: dict[tuple[str, str], dict[str, Any]] = {}
    for job in in_order(prepared.jobs):
        if (part := job.of_images()) is not None:
            found = _of_images(prepared, part, excluded)
            yield Evaluation(part, None, found.members, evaluation_key(part, found.digests, None), found.pairs)
        if not prepared.plain_models:
            continue
        found = _found(prepared, job, by_set, digests, excluded)
        for plain in prepared.plain_models:
            model = prepared.for_job(plain, job)
            before = keys[job.after.job, model.name] if job.after is not None and job.uses_before else None
            facts = facts_of(model, job)
            key = evaluation_key(job, found.digests, prepared.keys[model.load], facts, before)
            keys[job.name, model.name] = key
            yield Evaluation(job, model, found.members, key, found.pairs, before)


class _Found(NamedTuple):
    """What a job is carried out on: by role, the members of its sets and their digests; and what it costs."""

    members: dict[str, Members]
    digests: dict[str, str]
    pairs: int


def _of_images(prepared: Prepared, part: Job, excluded: pa.Array) -> _Found:
    """Return what the part of a job that needs no model is carried out on.

    What cannot be decoded is for that part to find: only images are left out that nobody can look at in this run.
    """
    untouchable = excluded.filter(pc.invert(pc.is_in(excluded, value_set=prepared.failures()["image_digest"])))
    by_set = prepared.members(untouchable)
    digests = {name: by_set[name].digest() for name in part.sets().values()}
    return _found(prepared, part, by_set, digests, untouchable)


def _found(
    prepared: Prepared, job: Job, by_set: Mapping[str, Members], digests: Mapping[str, str], excluded: pa.Array
) -> _Found:
    members = {role: _listing(prepared, job, role, by_set[name], excluded) for role, name in job.sets().items()}
    if job.uses_images:
        members = {role: _with_places(prepared, of_role) for role, of_role in members.items()}
    if job.uses_facts:
        members = {role: _with_facts(prepared, job.sets()[role], of, excluded) for role, of in members.items()}
    listed = next((m.listed for m in members.values() if m.listed is not None), None)
    return _Found(
        members,
        {role: _digest(job, role, members[role], digests) for role in members},
        job.n_pairs({role: m.sample_ids for role, m in members.items()}, listed),
    )


def _listing(prepared: Prepared, job: Job, role: str, members: Members, excluded: pa.Array) -> Members:
    """Return the members of a set with the pairs that the job lists of them, where it does."""
    listed = prepared.listed.get((job.name, role))
    if listed is None:
        return members
    takes_part = prepared.takes_part(job.sets()[role], excluded)
    return dataclasses.replace(members, listed=listed.among(takes_part))


def _with_places(prepared: Prepared, members: Members) -> Members:
    """Return members with the places of their images, and what views do to them."""
    places = pc.index_in(members.digests, value_set=prepared.images).to_numpy().astype(np.int64)
    changes = prepared.changes.of(prepared.images, np.unique(places))
    return dataclasses.replace(members, uris=prepared.uris.take(pa.array(places)), changes=changes)


def _with_facts(prepared: Prepared, name: str, members: Members, excluded: pa.Array) -> Members:
    """Return members with what is known of their files."""
    samples = prepared.sets[name].samples
    return dataclasses.replace(members, facts=samples.filter(pa.array(prepared.takes_part(name, excluded))))


def _digest(job: Job, role: str, members: Members, digests: Mapping[str, str]) -> str:
    """Return what a result is a function of; the sets' own digests are known, and not computed for every job."""
    columns = job.columns() if job.uses_columns else ()
    if not job.uses_ids and members.listed is None and not columns:
        return digests[job.sets()[role]]
    return members.digest(with_ids=job.uses_ids, columns=columns)


def without_result(prepared: Prepared, wanted: list[Evaluation]) -> list[int]:
    """Return the numbers of the evaluations that the store has no result of, though their models can give one."""
    able = [number for number, evaluation in enumerate(wanted) if evaluation.lack is None]
    found = prepared.store.results(wanted[number].key for number in able)
    return [number for number, result in zip(able, found, strict=True) if result is None]


def image_bytes(geometry: Geometry) -> int:
    """Return the bytes of one decoded image: uint8."""
    return geometry.height * geometry.width * geometry.channels


def missing_shards(
    prepared: Prepared,
    wanted: Iterable[Evaluation],
    undecodable: pa.Array,
    memory_bytes: int | None = None,
    most_images: int | None = None,
) -> list[Shard]:
    """Return the shards that evaluations need and their models lack; models and geometries as in `prepared`.

    Parameters
    ----------
    wanted
        Without a result. Of a model, the images of their sets are needed, and of no other set.
    memory_bytes
        What all decoded images may take at a time: a shard is a small part of it. No result depends on it.
    most_images
        Of a shard; by default as many as are worth a call.
    """
    geometries = prepared.geometries
    sets: dict[str, set[str]] = {}
    for evaluation in wanted:
        if evaluation.load is not None:
            sets.setdefault(evaluation.load, set()).update(evaluation.job.sets().values())
    lacking = [(number, model) for number, model in enumerate(prepared.models) if model.load in sets]
    missing = prepared.wanted([model for _, model in lacking], undecodable)
    needed = [prepared.in_sets(frozenset(sets[model.load])) for _, model in lacking]
    return cut(
        {number: a & b for (number, _), a, b in zip(lacking, missing, needed, strict=True)},
        {number: geometries.index(model.pixels.geometry) for number, model in lacking},
        [image_bytes(geometry) for geometry in geometries],
        {number: model.batch_size for number, model in lacking},
        Most(SHARD_BYTES if memory_bytes is None else min(SHARD_BYTES, memory_bytes // _SHARDS_IN_MEMORY), most_images),
    )
