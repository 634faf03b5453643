"""What a run would do: found out without starting anything."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evaljobs.config import Config
from evaljobs.engine import todo
from evaljobs.engine.batches import Memory, unknown
from evaljobs.engine.device import choose_device, runtime_of
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.execution import MEASURED_PAIRS
from evaljobs.engine.prepare import Prepared, prepare
from evaljobs.engine.shards import Shard
from evaljobs.jobs.job import Job
from evaljobs.progress import Progress
from evaljobs.store import Store


@dataclasses.dataclass(frozen=True)
class Undecided:
    """A job that waits for the results of another one, and how many models it takes at most."""

    job: str
    after: str
    models: int


@dataclasses.dataclass(frozen=True)
class ViewedSet:
    """A view: its name, the set that it is made of, its images, and how many of them are not as in their files."""

    set: str
    of: str
    images: int
    changed: int


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The work of a run, and how much of it is done already.

    Attributes
    ----------
    images, excluded
        Samples in all sets, and those known to be unusable.
    models, refused
        Models that would run, and `name: reason` of those that cannot.
    evaluations, evaluations_cached
        One job with one model each, as far as it is known which: of `undecided` jobs none.
    undecided
        Jobs whose models depend on results that are not there yet: what they do is not counted.
    decodes, decoded_bytes
        Images to decode (once per geometry), and their size in memory as uint8.
    embeddings
        Rows to compute: images × models.
    pairs
        Pairs of samples to compare.
    seconds
        Estimated from rates that earlier runs measured with this store, on all cores; null where none did.
    views
        The sets that are made of others.
    """

    images: int
    excluded: int
    models: int
    refused: tuple[str, ...]
    evaluations: int
    evaluations_cached: int
    decodes: int
    decoded_bytes: int
    embeddings: int
    pairs: int
    seconds: float | None
    provider: str
    store: str
    undecided: tuple[Undecided, ...] = ()
    views: tuple[ViewedSet, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the forecast as JSON."""
        return {"version": 1, **dataclasses.asdict(self)}

    def as_text(self) -> str:
        """Return the forecast for people."""
        if self.evaluations_cached == self.evaluations and not self.undecided:
            work = "nothing to compute: every result is in the store"
        else:
            work = (
                f"to decode    {self.decodes:>14,} images ({self.decoded_bytes / 1e6:,.0f} MB as pixels)\n"
                f"to embed     {self.embeddings:>14,} rows ({self.provider})\n"
                f"to compare   {self.pairs:>14,} pairs\n"
                f"time         {self._time()}"
            )
        views = "".join(
            f"\nview         {view.changed:>14,} of {view.images:,} images of {view.of} are changed in {view.set}"
            for view in self.views
        )
        refused = "".join(f"\nrefused      {reason}" for reason in self.refused)
        later = "".join(
            f"\nlater        {one.job}: up to {one.models:,} model(s), by the results of {one.after}; not counted"
            for one in self.undecided
        )
        return (
            f"images       {self.images:>14,} ({self.excluded:,} excluded){views}\n"
            f"models       {self.models:>14,}{refused}\n"
            f"evaluations  {self.evaluations:>14,} ({self.evaluations_cached:,} in the store){later}\n"
            f"{work}\nstore        {self.store}"
        )

    def _time(self) -> str:
        if self.seconds is None:
            return "    not known: no run with this store has measured these models yet"
        return f"{self.seconds:>14,.0f} s on this machine's cores, start-up aside"


def forecast(config: Config, path: Path, progress: Progress, memory: Memory = unknown) -> Forecast:
    """Find out what a run would do. Images that were never looked at are read once for their digests.

    Parameters
    ----------
    memory
        That its models would have.

    Raises
    ------
    UsageError, StoreError
        As a run would.
    """
    runtime = runtime_of(config.cluster, choose_device(config.cluster.device, None))
    prepared = prepare(config, path, progress, runtime, memory)
    exclusion = Exclusion(prepared)
    evaluations, undecided = todo.stage(prepared, exclusion.digests)
    missing = [evaluations[number] for number in todo.without_result(prepared, evaluations)]
    shards = todo.missing_shards(prepared, missing, exclusion.digests)
    sizes = [todo.image_bytes(geometry) for geometry in prepared.geometries]
    return Forecast(
        images=sum(image_set.samples.num_rows for image_set in prepared.sets.values()),
        excluded=sum(len(exclusion.rows(image_set)) for image_set in prepared.sets.values()),
        models=len(prepared.plain_models),
        refused=tuple(f"{refused.name}: {refused.message}" for refused in prepared.refused),
        evaluations=len(evaluations),
        evaluations_cached=len(evaluations) - len(missing),
        decodes=sum(len(shard.images) for shard in shards),
        decoded_bytes=sum(len(shard.images) * sizes[shard.geometry] for shard in shards),
        embeddings=sum(len(shard.images) * len(shard.models) for shard in shards),
        pairs=sum(evaluation.compared for evaluation in missing),
        seconds=_estimate(prepared, shards, missing),
        provider=runtime.provider,
        store=prepared.store.location,
        undecided=tuple(_undecided(prepared, undecided)),
        views=tuple(_views(prepared)),
    )


def _views(prepared: Prepared) -> Iterator[ViewedSet]:
    for name, image_set in prepared.sets.items():
        if seen := image_set.seen:
            yield ViewedSet(name, seen.of, image_set.samples.num_rows, int(seen.changed.sum()))


def _undecided(prepared: Prepared, jobs: Iterable[Job]) -> Iterator[Undecided]:
    for job in jobs:
        if job.after is not None:
            n = len(prepared.plain_models)
            yield Undecided(job.name, job.after.job, n if job.after.most is None else min(job.after.most, n))


def _estimate(prepared: Prepared, shards: Sequence[Shard], missing: Sequence[todo.Evaluation]) -> float | None:
    """Add up what is to do at the rates that were measured once; unknown as soon as one of them is."""
    decodes, embeddings, pairs = Counter[int](), Counter[int](), Counter[str]()
    for shard in shards:
        decodes[shard.geometry] += len(shard.images)
        for model in shard.models:
            embeddings[model] += len(shard.images)
    for evaluation in missing:
        pairs[evaluation.job.kind] += evaluation.pairs
    store, geometries = prepared.store, prepared.geometries
    keys = [prepared.keys[prepared.models[number].load] for number in embeddings]
    parts = [
        *((steps, store.rate("decode", geometries[number].key())) for number, steps in decodes.items()),
        *zip(embeddings.values(), store.rates("embed", keys), strict=True),
        *((n, _rate_of_job(store, kind, n)) for kind, n in pairs.items()),
    ]
    seconds = [steps * rate for steps, rate in parts if rate is not None]
    return sum(seconds) / (os.cpu_count() or 1) if len(seconds) == len(parts) else None


def _rate_of_job(store: Store, kind: str, pairs: int) -> float | None:
    """Return the seconds for a pair; where so few are compared that nobody measures them, nothing."""
    rate = store.rate("evaluate", {"kind": kind})
    return 0.0 if rate is None and pairs < MEASURED_PAIRS else rate
