"""All that is known before anything is started: jobs, sets, models, keys. A wrong configuration ends here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Config
from evaljobs.engine.batches import Memory, fitting, halvings, remember_too_large, too_large, unknown
from evaljobs.engine.evaluation import Members
from evaljobs.engine.idle_views import refuse_idle
from evaljobs.engine.image_sets import ImageSet, distinct, look_at, show, source_of, with_images
from evaljobs.engine.shards import Mask
from evaljobs.engine.views import Changes
from evaljobs.errors import UsageError
from evaljobs.images.geometry import Geometry
from evaljobs.images.listing import list_images, searched_folder
from evaljobs.jobs import build_jobs, set_names
from evaljobs.jobs.job import Job
from evaljobs.jobs.views import sets_with_views
from evaljobs.models import key
from evaljobs.models.known import Known
from evaljobs.models.model import EMBEDDING, Model, Passes, Refused
from evaljobs.models.options import Runtime
from evaljobs.models.passes import with_passes
from evaljobs.models.resolve import Resolved, resolve
from evaljobs.pairs_file import ListedPairs, find_rows, read_pairs
from evaljobs.progress import Progress
from evaljobs.remote import is_remote, locate
from evaljobs.schemas import DIGEST, FAILURES, MODEL_FACTS
from evaljobs.store import Store


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A configuration with everything that it names found and read.

    Attributes
    ----------
    asked, models
        With the batch sizes of the configuration, and with those that fit the memory. A model that is run with dropout
        too, for some job, is there once more for it (`Model.load`).
    runtime
        What the sessions run on, and how.
    keys
        By name of what is loaded: the key of its embedding table.
    images
        ``[n]`` digests of the distinct readable images of all sets, in order of first appearance; those inside a
        container in the order in which they lie there.
    uris
        ``[n]``, one of the places where each of them is.
    changes
        What views do to them.
    listed
        By job and role: the pairs that the job lists, by row of the set's samples.
    memory
        That the models have where they run.
    """

    config: Config
    name: str
    jobs: tuple[Job, ...]
    sets: dict[str, ImageSet]
    asked: tuple[Model, ...]
    models: tuple[Model, ...]
    refused: tuple[Refused, ...]
    runtime: Runtime
    keys: dict[str, dict[str, Any]]
    store: Store
    images: pa.Array
    uris: pa.Array
    changes: Changes
    listed: Mapping[tuple[str, str], ListedPairs]
    memory: Memory = unknown

    @property
    def plain_models(self) -> list[Model]:
        """The models, each once: as they are."""
        return [model for model in self.models if model.passes is None]

    def for_job(self, model: Model, job: Job) -> Model:
        """Return a model as a job takes it: as it is, or with passes."""
        if job.dropout is None:
            return model
        wanted = with_passes(model, Passes(*job.dropout))
        return next((other for other in self.models if other.load == wanted.load and other.passes), wanted)

    def with_smaller_batch(self, name: str) -> Prepared:
        """Return the same with smaller batches of what is loaded, whose own did not fit; remembered in the store."""
        (model,) = [model for model in self.models if model.load == name]
        remember_too_large(self.store, model, self.runtime, self.memory)
        known = too_large(self.store)
        # Of the others too somebody may have found that they do not fit: their rows of this run are made as it began.
        asked = {model.load: model for model in self.asked}
        smaller = fitting(asked[name], self.runtime, known, self.memory)
        models = tuple(smaller if m is model else m for m in self.models)
        return dataclasses.replace(self, models=models, keys=_keys(models, self.runtime))

    def smaller_keys(self) -> Iterator[dict[str, Any]]:
        """Yield the keys of the tables that are made instead, where the batch of a model turns out not to fit."""
        for model in self.models:
            yield from (key.key(other, self.runtime) for other in halvings(model))

    @property
    def geometries(self) -> list[Geometry]:
        """The distinct geometries, in order of the models."""
        return list(dict.fromkeys(model.pixels.geometry for model in self.models))

    def failures(self) -> pa.Table:
        """Return what the store knows to be undecodable in any geometry of this run (schemas.FAILURES)."""
        known = [self.store.failures(geometry.key()) for geometry in self.geometries]
        return pa.concat_tables([FAILURES.empty_table(), *known])

    def members(self, excluded: pa.Array) -> dict[str, Members]:
        """Return, by set, the samples that take part: readable, and not among the excluded digests."""
        return {name: _members(image_set, excluded) for name, image_set in self.sets.items()}

    def takes_part(self, name: str, excluded: pa.Array) -> Mask:
        """Return ``[n]`` bool: whether a sample of a set takes part, in the order of its samples."""
        mask: Mask = _takes_part(self.sets[name].samples, excluded).to_numpy()
        return mask

    def in_sets(self, names: frozenset[str]) -> Mask:
        """Return ``[n]`` bool: the images that are in one of these sets."""
        if names >= self.sets.keys():
            return np.ones(len(self.images), dtype=bool)
        digests = pa.chunked_array([c for n in names for c in self.sets[n].samples["image_digest"].chunks], DIGEST)
        mask: Mask = pc.is_in(self.images, value_set=digests).to_numpy(zero_copy_only=False)
        return mask

    def wanted(self, models: Iterable[Model], undecodable: pa.Array) -> list[Mask]:
        """Return for each model ``[n]`` bool: the images whose rows its table lacks and can be given."""
        tables = self.store.digests([self.keys[model.load] for model in models])
        there = (pa.concat_arrays([digests, undecodable]) for digests in tables)
        return [~pc.is_in(self.images, value_set=each).to_numpy(zero_copy_only=False) for each in there]


def prepare(config: Config, path: Path, progress: Progress, runtime: Runtime, memory: Memory = unknown) -> Prepared:
    """Find and read everything that a configuration names.

    Parameters
    ----------
    config
        The configuration.
    path
        Its file: relative paths in it are relative to that file's folder.
    progress
        Told of the images looked at.
    runtime
        What the sessions will run on, and how.
    memory
        That the models have there.

    Raises
    ------
    UsageError
        If anything in it cannot be used; nothing was started.
    StoreError
        If the store cannot be read or written.
    """
    base = path.resolve().parent
    jobs = tuple(job.opened(lambda path: locate(path, base)) for job in build_jobs(config))
    store = Store(store_location(config, base)).open()
    declared = sets_with_views(config, jobs)
    of_images = with_images(declared, set_names(jobs, models=bool(config.models)))
    listings = {
        name: list_images(config.image_sets()[name], base, name, cache=store, tell=progress.say)
        for name in dict.fromkeys(of_images.values())
    }
    # Before the images are read, which may take long.
    listed = _listed(jobs, {name: listings[shown] for name, shown in of_images.items()}, base)
    resolved = _resolve(config, base, store, jobs)
    looked = {
        name: look_at(name, listing, source_of(config.image_sets()[name], base), store, progress)
        for name, listing in listings.items()
    }
    asked = (*resolved.models, *_with_dropout(resolved.models, jobs))
    known = too_large(store)
    models = tuple(fitting(model, runtime, known, memory) for model in asked)
    sets = {name: show(name, looked[shown], declared) for name, shown in of_images.items()}
    for job in jobs:
        job.check_samples({role: sets[name].samples for role, name in job.sets().items() if name in sets})
    for note in refuse_idle(sets, [model for model in models if model.passes is None], _may_idle(jobs)):
        progress.say(note)
    images, uris, changes = distinct(sets)
    return Prepared(
        config=config,
        name=config.name or path.stem,
        jobs=jobs,
        sets=sets,
        asked=asked,
        models=models,
        refused=resolved.refused,
        runtime=runtime,
        keys=_keys(models, runtime),
        store=store,
        images=images,
        uris=uris,
        changes=changes,
        listed=listed,
        memory=memory,
    )


def refuse_inside_images(config: Config, path: Path, out: str) -> None:
    """Refuse an output folder or a store inside a folder of images: the next run would take its files for images.

    Raises
    ------
    UsageError
        Naming both.
    """
    base = path.resolve().parent
    own = {"output folder": out, "store": store_location(config, base)}
    for name, images in config.image_sets().items():
        folder = searched_folder(images, base)
        for what, place in own.items():
            if folder is not None and _lies_in(place, folder):
                raise UsageError(
                    f"the {what} {place} lies in the image folder {folder} of the set {name!r}, where its files "
                    "would be taken for images; move the images into a folder of their own, or name another place"
                )


def _lies_in(place: str, folder: str) -> bool:
    if is_remote(place) or is_remote(folder):
        return f"{place}/".startswith(f"{folder}/")
    return Path(place).resolve().is_relative_to(Path(folder).resolve())


def store_location(config: Config | None, base: Path) -> str:
    """Return the store that a configuration names, or the one in the user's cache folder: a folder, or ``s3://``."""
    if config is not None and config.store is not None:
        return locate(config.store, base)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return locate(f"{cache}/evaljobs", base)


def output_folder(config: Config, path: Path) -> str:
    """Return the output folder that a configuration names, or ``<name>-results`` beside it."""
    base = path.resolve().parent
    return locate(config.out, base) if config.out else str(base / f"{config.name or path.stem}-results")


def models_of(config: Config, path: Path, store: Store) -> frozenset[str]:
    """Return the digests of the model files that a configuration names, those of refused models aside.

    Raises
    ------
    UsageError
        If it names models that are not there, or jobs that cannot be.
    """
    jobs = build_jobs(config)
    return frozenset(model.digest for model in _resolve(config, path.resolve().parent, store, jobs).models)


def _resolve(config: Config, base: Path, store: Store, jobs: Iterable[Job]) -> Resolved:
    """Find the models; files that were read before and have not changed are not read again."""
    table = store.listing("model facts", MODEL_FACTS)
    known = dict(zip(table["key"].to_pylist(), table["facts"].to_pylist(), strict=True))
    fresh: dict[str, str] = {}
    resolved = resolve(config, base, Known(known.get, fresh.__setitem__), needs_of(jobs))
    store.add_listing("model facts", pa.table([list(fresh), list(fresh.values())], schema=MODEL_FACTS))
    return resolved


def needs_of(jobs: Iterable[Job]) -> set[str]:
    """Return the roles of outputs that jobs need; that of the embedding where none needs any."""
    return {role for job in jobs for role in job.outputs} or {EMBEDDING}


def _keys(models: Iterable[Model], runtime: Runtime) -> dict[str, dict[str, Any]]:
    return {model.load: key.key(model, runtime) for model in models}


def _with_dropout(models: Iterable[Model], jobs: Iterable[Job]) -> tuple[Model, ...]:
    """Return the models once more for each kind of passes that jobs want, those that cannot be run so aside."""
    wanted = dict.fromkeys(job.dropout for job in jobs if job.dropout is not None)
    several = (with_passes(model, Passes(*dropout)) for dropout in wanted for model in models)
    return tuple(model for model in several if model.passes is not None)


def _listed(jobs: tuple[Job, ...], listings: Mapping[str, pa.Table], base: Path) -> dict[tuple[str, str], ListedPairs]:
    """Read the pairs that jobs list, and find their samples."""
    found = {}
    for job in jobs:
        for role, path in job.listed().items():
            name = job.sets()[role]
            pairs = read_pairs(locate(path, base))
            found[job.name, role] = find_rows(pairs, listings[name]["sample_id"], f"the set {name!r}")
    return found


def _may_idle(jobs: Iterable[Job]) -> set[str]:
    """Return the names of the views that jobs make which may change nothing."""
    return {name for job in jobs if job.may_idle for name in job.views()}


def _takes_part(samples: pa.Table, excluded: pa.Array) -> pa.ChunkedArray:
    digests = samples["image_digest"]
    return pc.and_(digests.is_valid(), pc.invert(pc.is_in(digests, value_set=excluded)))


def _members(image_set: ImageSet, excluded: pa.Array) -> Members:
    takes_part = _takes_part(image_set.samples, excluded)
    rows = image_set.samples.filter(takes_part)
    sample_ids, labels, digests = (rows[name].combine_chunks() for name in ("sample_id", "label", "image_digest"))
    if image_set.seen is None:
        return Members(sample_ids, labels, digests)
    changed = image_set.seen.changed[takes_part.to_numpy()]
    return Members(sample_ids, labels, digests, changed=changed, files=rows["file_digest"].combine_chunks())
