"""Copies of models that lie on S3: made once on each machine that needs them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import filelock

from evaljobs.config import canonical_json
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.model import Model, Source

# Not in the folder of the default store: what lies there is the store's.
_FOLDER = "evaljobs-models"


def cache_folder() -> Path:
    """Return the folder of all copies, in the user's cache folder. It may be deleted while nothing runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / _FOLDER


def localised(model: Model) -> Model:
    """Return a model with the paths of its files on this machine; those that it lacks are copied.

    Raises
    ------
    ModelError
        FAILED, if they cannot be copied or are not the ones that were resolved.
    RemoteError
        If S3 does not answer, or denies: that says nothing about the model.
    """
    if not model.sources:
        return model
    path = copy_here(model.sources)
    external = tuple(path.parent / source.location for source in model.sources[1:])
    return dataclasses.replace(model, path=path, external_files=external)


def copy_here(sources: Sequence[Source]) -> Path:
    """Return the copy of the first of some objects; the others lie beside it as they do on S3.

    One folder holds one version of each. A file is whole or not there. Of several processes that want the same, one
    copies it and the others wait. The time of change of the folder is that of its last use.

    Parameters
    ----------
    sources
        The ONNX file, then its external data.

    Raises
    ------
    RemoteError
        If S3 does not answer, or denies.
    ModelError
        FAILED, if an object is not the one of that ETag any more, or there is no room for it.
    """
    spelled = canonical_json([[s.location, s.uri, s.etag] for s in sources])
    folder = cache_folder() / hashlib.sha256(spelled.encode(errors="backslashreplace")).hexdigest()
    try:
        if _missing(folder, sources):
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / ".lock"):
                for source in _missing(folder, sources):
                    _copy(source, folder / source.location)
    except OSError as error:
        raise ModelError(
            ModelErrorKind.FAILED,
            f"{sources[0].uri} cannot be copied to {folder}: {error.strerror or error}; "
            f"make room in {cache_folder()}, which may be deleted, or name another folder with XDG_CACHE_HOME",
        ) from None
    with contextlib.suppress(OSError):
        os.utime(folder)
    return folder / sources[0].location


def _missing(folder: Path, sources: Sequence[Source]) -> list[Source]:
    return [source for source in sources if not _is_whole(folder / source.location, source.size)]


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _copy(source: Source, target: Path) -> None:
    from evaljobs.remote import objects

    try:
        objects.download(source.uri, target)
        found = objects.stat(source.uri)
    except FileNotFoundError:
        found = None
    if found is None or found.etag != source.etag:
        target.unlink(missing_ok=True)
        raise ModelError(
            ModelErrorKind.FAILED,
            f"{source.uri} was {'deleted' if found is None else 'changed'} while the run used it; "
            "run again to evaluate what is there",
        )
