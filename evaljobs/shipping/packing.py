"""From a configuration to a parcel: everything that it names is found, and given a place that a cluster sees."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from evaljobs.config import Config, Images, Models, canonical_json, load
from evaljobs.config.sections import Submitted
from evaljobs.engine.prepare import output_folder, refuse_inside_images, store_location
from evaljobs.errors import UsageError
from evaljobs.remote import is_remote
from evaljobs.shipping.images import ship_set
from evaljobs.shipping.inputs import FoundSet, Inputs, find_inputs, sha256
from evaljobs.shipping.judging import read_gates
from evaljobs.shipping.models import model_version, ship_models
from evaljobs.shipping.places import local_things, refusal, runs_folder, uploads_folder
from evaljobs.shipping.rewriting import absolute_images, absolute_models, file_name, rewritten
from evaljobs.store import Store
from raycluster.program import Asked, Parcel, Upload

# Log lines for machines; and where a killed attempt's claim on the results has not ended yet, the next one waits.
_ENVIRONMENT = {"EVALJOBS_LOG": "json", "EVALJOBS_CLAIM_PATIENCE_S": "400"}
# Of what a digest is made of.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class _Places:
    """What stands in the configuration that travels, what is to be sent, and what people should know."""

    sets: dict[str, Images]
    models: tuple[Models, ...]
    uploads: tuple[Upload, ...] = ()
    notes: tuple[str, ...] = ()


def pack(path: Path, asked: Asked) -> Parcel:
    """Return a configuration as it travels; see `raycluster.program.Program.pack`.

    Raises
    ------
    UsageError
        If it is wrong, or needs what the cluster would not find.
    RemoteError, StoreError
        If S3 does not answer, or the cache on this machine cannot be used.
    """
    config = load(path, asked.overrides)
    read_gates(config.gate)  # refused now, and not when a finished run is judged
    base = path.resolve().parent
    store = store_location(config, base)
    wanted = str(asked.out.absolute()) if asked.out is not None else output_folder(config, path)
    refuse_inside_images(config, path, wanted)
    cache = Store(store if asked.shared and not is_remote(store) else store_location(None, base)).open()
    inputs = find_inputs(config, base, cache, sent=not asked.shared)
    if not asked.shared and not is_remote(store):
        raise UsageError(f"{path}: {refusal(local_things(config, inputs, store))}")
    places = _seen_there(config, base) if asked.shared else _brought_there(config, inputs, store, base, cache)
    digest = _digest(config, store, inputs, places)
    name = config.name or path.stem
    here = wanted if not asked.shared and not is_remote(wanted) else None
    results = wanted if here is None else runs_folder(store, name, digest)
    files = {file_name(written, data): data for written, data in inputs.files.items()}
    text = rewritten(
        _as_asked(config, asked, store),
        sets=places.sets,
        models=places.models,
        files={written: file_name(written, data) for written, data in inputs.files.items()},
    )
    return Parcel(
        name=name,
        digest=digest,
        files={path.name: text.encode(), **files},
        command=("evaljobs", "run", path.name, "--address", "auto", "--out", results),
        results=results,
        uploads=places.uploads,
        environment=_ENVIRONMENT,
        out=None if here is None else Path(here),
        notes=(*inputs.notes, *places.notes),
        gates=config.gate,
        webhook=config.notify.webhook,
    )


def _as_asked(config: Config, asked: Asked, store: str) -> Config:
    """Return a configuration with a store, and what the cluster is to give it; results bear the digest of this one."""
    submitted = Submitted(digest=config.digest(), gpus=asked.gpus)
    changes: dict[str, Any] = {"store": store, "submitted": submitted}
    if asked.slots is not None:
        workers = asked.slots * config.cluster.gpu.actors
        changes["cluster"] = config.cluster.model_copy(update={"workers": workers})
    return config.model_copy(update=changes)


def _seen_there(config: Config, base: Path) -> _Places:
    """Return the places where the cluster sees this machine's files: their paths."""
    sets = {name: absolute_images(images, base) for name, images in config.image_sets().items()}
    return _Places(sets, tuple(absolute_models(entry, base) for entry in config.models))


def _brought_there(config: Config, inputs: Inputs, store: str, base: Path, cache: Store) -> _Places:
    """Return places in the store for what is on this machine; what is on S3 stays where it is."""
    folder = uploads_folder(store)
    sets = {one.name: ship_set(one, folder, base, cache) for one in inputs.sets if one.is_local}
    models, uploads = config.models, tuple[Upload, ...]()
    if any(one.is_local for one in inputs.models):
        shipped = ship_models(inputs.models, f"{folder}/models", inputs.digests)
        models, uploads = shipped.entries, shipped.uploads
    return _Places(
        sets={name: one.images for name, one in sets.items()},
        models=models,
        uploads=(*uploads, *(upload for one in sets.values() for upload in one.uploads)),
        notes=tuple(note for one in sets.values() for note in one.notes),
    )


def _digest(config: Config, store: str, inputs: Inputs, places: _Places) -> str:
    """Return the digest of what decides what is computed: the configuration, and what its images and models are."""
    content = {
        "version": _VERSION,
        "config": config.digest(),
        "store": store,
        # Of a set that is sent, the place names the content.
        "sets": {one.name: _set_version(one, places.sets.get(one.name)) for one in inputs.sets},
        "models": [[one.candidate.name, model_version(one, inputs.digests)] for one in inputs.models],
        "files": {written: sha256(data) for written, data in inputs.files.items()},
        # Not computed, but wanted: a page is missing where a run was asked for none.
        "report": config.report,
    }
    return hashlib.sha256(canonical_json(content).encode(errors="surrogateescape")).hexdigest()


def _set_version(found: FoundSet, shipped: Images | None) -> str:
    if shipped is not None and is_remote(shipped.location) and found.is_local:
        return shipped.location
    digest = hashlib.sha256()
    columns = (found.listing[name].to_pylist() for name in ("sample_id", "label", "uri", "size", "mtime_ns", "etag"))
    for row in zip(*columns, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()
