"""What a configuration needs, found and checked as a run would find it: images, models, files. Nothing is sent."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from evaljobs.config import Config, Images
from evaljobs.engine.image_sets import with_images
from evaljobs.engine.prepare import needs_of
from evaljobs.images.listing import list_images
from evaljobs.images.places import place_of
from evaljobs.jobs import build_jobs, set_names
from evaljobs.jobs.job import Job
from evaljobs.jobs.views import sets_with_views
from evaljobs.models.classes import read_classes
from evaljobs.models.files import Candidate, find_models
from evaljobs.models.known import Known
from evaljobs.models.model import Model, Refused
from evaljobs.models.places import LocalFile
from evaljobs.models.resolve import Context, resolve_or_refuse
from evaljobs.pairs_file import find_rows, read_pairs
from evaljobs.remote import is_remote, locate
from evaljobs.schemas import MODEL_FACTS
from evaljobs.shipping.digests import digests_of
from evaljobs.store import Store


@dataclasses.dataclass(frozen=True)
class FoundSet:
    """An image set: its entry, and what that lists (schemas.LISTING)."""

    name: str
    images: Images
    listing: pa.Table
    location: str

    @property
    def local(self) -> list[str]:
        """The local files that the set is made of: images and containers."""
        uris = self.listing["uri"].to_pylist()
        return [file for file in dict.fromkeys(map(file_of, uris)) if not is_remote(file)]

    @property
    def is_local(self) -> bool:
        """Whether anything of it is on this machine: its images, or what lists them."""
        return not is_remote(self.location) or bool(self.local)


@dataclasses.dataclass(frozen=True)
class FoundModel:
    """A model: as the configuration asks for it, and what the file is where it is on this machine and can be used."""

    candidate: Candidate
    resolved: Model | Refused | None

    @property
    def path(self) -> Path | None:
        """Its file, where it is on this machine and there."""
        file = self.candidate.file
        return file.path if isinstance(file, LocalFile) and not self.candidate.missing else None

    @property
    def external(self) -> tuple[Path, ...]:
        """The files of its weights, where these lie beside the graph."""
        return tuple(self.resolved.external_files) if isinstance(self.resolved, Model) else ()

    @property
    def is_local(self) -> bool:
        """Whether it is, or should be, on this machine."""
        return isinstance(self.candidate.file, LocalFile)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All that a configuration needs.

    Attributes
    ----------
    files
        Lists of pairs, of classes and of training images: their bytes by the path that the configuration has.
    notes
        What people should know.
    digests
        The sha256 (hex) of model files that are nobody's digest: of refused models; to be sent, of those of several
        files.
    """

    sets: tuple[FoundSet, ...]
    models: tuple[FoundModel, ...]
    files: Mapping[str, bytes]
    notes: tuple[str, ...]
    digests: Mapping[Path, str]


def find_inputs(config: Config, base: Path, cache: Store, *, sent: bool) -> Inputs:
    """Find and check all that a configuration names.

    Parameters
    ----------
    config
        The configuration.
    base
        Its file's folder.
    cache
        Remembers what files hold that have not changed.
    sent
        Whether what is on this machine is to be sent.

    Raises
    ------
    UsageError
        If something is not there or is wrong.
    RemoteError
        If S3 cannot be asked.
    """
    notes: list[str] = []
    jobs = build_jobs(config)
    shown = with_images(sets_with_views(config, jobs), set_names(jobs, models=bool(config.models)))
    sets = tuple(_find_set(config, name, base, cache, notes.append) for name in dict.fromkeys(shown.values()))
    listings = {one.name: one.listing for one in sets}
    files = _find_files(config, jobs, {name: listings[of] for name, of in shown.items()}, base)
    models = _find_models(config, jobs, base, cache)
    refused = (one.resolved for one in models if isinstance(one.resolved, Refused))
    notes += [f"the run will refuse {one.name}: {one.message}" for one in refused]
    return Inputs(sets, models, files, tuple(notes), digests_of(_loose(models, sent=sent), cache))


def _loose(models: Iterable[FoundModel], *, sent: bool) -> list[Path]:
    """Return the model files whose own digests are asked for."""
    files: list[Path] = []
    for one in models:
        if one.path is not None and (isinstance(one.resolved, Refused) or (sent and one.external)):
            files += [one.path, *one.external]
    return files


def file_of(uri: str) -> str:
    """Return the file or object that holds an image."""
    place = place_of(uri)
    return uri if place is None else place.container


def _find_set(config: Config, name: str, base: Path, cache: Store, tell: Callable[[str], None]) -> FoundSet:
    images = config.image_sets()[name]
    listing = list_images(images, base, name, cache=cache, tell=tell)
    return FoundSet(name, images, listing, locate(images.location, base))


def _find_files(config: Config, jobs: Iterable[Job], listings: Mapping[str, pa.Table], base: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for job in jobs:
        for role, path in job.listed().items():
            name = job.sets()[role]
            here = locate(path, base)
            find_rows(read_pairs(here), listings[name]["sample_id"], f"the set {name!r}")
            if not is_remote(here):
                found[path] = Path(here).read_bytes()
        for path in job.attached():
            if not is_remote(path):
                job.opened(lambda written: locate(written, base))
                found[path] = (base / Path(path).expanduser()).read_bytes()
    for entry in config.models:
        if isinstance(entry.classes, str):
            here = locate(entry.classes, base)
            read_classes(here)
            if not is_remote(here):
                found[entry.classes] = Path(here).read_bytes()
    return found


def _find_models(config: Config, jobs: Iterable[Job], base: Path, cache: Store) -> tuple[FoundModel, ...]:
    """Find the models, and inspect those on this machine; to inspect one on S3, it would be copied here."""
    table = cache.listing("model facts", MODEL_FACTS)
    known = dict(zip(table["key"].to_pylist(), table["facts"].to_pylist(), strict=True))
    fresh: dict[str, str] = {}
    context = Context(config, base, Known(known.get, fresh.__setitem__), needs_of(jobs))
    found = tuple(_inspected(candidate, context) for candidate in find_models(config.models, base))
    cache.add_listing("model facts", pa.table([list(fresh), list(fresh.values())], schema=MODEL_FACTS))
    return found


def _inspected(candidate: Candidate, context: Context) -> FoundModel:
    local = isinstance(candidate.file, LocalFile)
    return FoundModel(candidate, resolve_or_refuse(candidate, context) if local else None)


def sha256(data: bytes) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(data).hexdigest()
