"""The configuration as it travels: places that the cluster's machines see, in place of paths of this one."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaljobs.config import Config, Images, JobConfig, Models, Set, to_yaml
from evaljobs.config.sections import Notify
from evaljobs.jobs import build_jobs
from evaljobs.remote import is_remote, locate
from evaljobs.shipping.inputs import sha256


def rewritten(
    config: Config, *, sets: Mapping[str, Images], models: tuple[Models, ...], files: Mapping[str, str]
) -> str:
    """Return a configuration as text, with other places in it.

    Parameters
    ----------
    config
        Its store has its place, and `submitted` says what it was made of.
    sets, models
        What stands in place of the image sets of these names, and of all models.
    files
        By path, as it is written: the place of a list of pairs or classes.
    """
    changes: dict[str, Any] = {
        "name": config.name,
        "out": None,
        "models": tuple(_with_classes(entry, files) for entry in models),
        "sets": {name: _with_images(one, sets.get(name)) for name, one in config.sets.items()},
        "jobs": _jobs(config, files),
        "cluster": config.cluster.model_copy(update={"address": None}),
        # A webhook's URL is a secret; it stays with whoever tells.
        "notify": Notify(),
    }
    if config.images is not None:
        changes["images"] = sets.get("main", config.images)
    return to_yaml(config.model_copy(update=changes))


def absolute_images(images: Images, base: Path) -> Images:
    """Return an image set's entry with the whole path."""
    return images.model_copy(update={images.kind: _absolute(images.location, base)})


def absolute_models(entry: Models, base: Path) -> Models:
    """Return an entry of models with the whole path."""
    return entry.model_copy(update={"path": _absolute(entry.path, base)})


def file_name(path: str, data: bytes) -> str:
    """Return the name of a list of pairs or classes in the job's working folder."""
    return f"{sha256(data)[:12]}-{Path(path).name}"


def _absolute(text: str, base: Path) -> str:
    if is_remote(text):
        return text
    if Path(text).expanduser().is_absolute():
        return str(Path(text).expanduser())
    # A folder's own name is no pattern, whatever characters it has.
    return locate(text, Path(glob.escape(str(base))) if glob.has_magic(text) else base)


def _with_images(one: Set, images: Images | None) -> Set:
    return one if images is None else one.model_copy(update={"images": images})


def _with_classes(entry: Models, files: Mapping[str, str]) -> Models:
    if not isinstance(entry.classes, str):
        return entry
    return entry.model_copy(update={"classes": files.get(entry.classes, entry.classes)})


def _jobs(config: Config, files: Mapping[str, str]) -> tuple[JobConfig, ...]:
    """Return the entries of jobs; those that name a list name the file where it will be."""
    if not config.jobs:
        return ()
    entries = []
    for entry, job in zip(config.jobs, build_jobs(config), strict=True):
        listed = {*job.listed().values(), *job.attached()}
        keys = {key: files.get(value, value) for key, value in entry.parameters().items() if value in listed}
        entries.append(entry.model_copy(update=keys))
    return tuple(entries)
