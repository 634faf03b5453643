"""Where checkpoints are read and models written: on this machine, or on S3. A model is there whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from evaljobs.errors import ExportError, UsageError
from evaljobs.remote import AnyPath, is_remote, locate

SUFFIX = ".onnx"
_PREFIX = ".evaljobs-export-"


def require_checkpoint(place: AnyPath) -> None:
    """Refuse what is no file.

    Raises
    ------
    UsageError
        Saying what it is.
    RemoteError
        If S3 denies it or does not answer.
    """
    if is_there(place) and (is_remote(place) or Path(place).is_file()):
        return
    is_folder = not is_remote(place) and Path(place).is_dir()
    hint = "; weights are never downloaded: give a file" if str(place) == "-" else ""
    what = "it is a folder" if is_folder else f"there is no such {'object' if is_remote(place) else 'file'}"
    raise UsageError(f"{place}: {what}, expected a checkpoint{hint}; nothing was started")


def is_there(place: AnyPath) -> bool:
    """Say whether there is something of that name."""
    if is_remote(place):
        from evaljobs.remote import objects

        return objects.stat(place) is not None
    return Path(place).exists()


def names_file(out: AnyPath) -> bool:
    """Say whether an output is the name of a file, and not of a folder."""
    ends = PurePosixPath(out).suffix.lower() == SUFFIX
    return ends and (is_remote(out) or not Path(out).is_dir())


def model_of(checkpoint: AnyPath, out: AnyPath | None) -> AnyPath:
    """Return where the model of a checkpoint goes: into a folder, by default that of the checkpoint, by its name."""
    name = f"{PurePosixPath(checkpoint).stem}{SUFFIX}"
    if is_remote(checkpoint) and out is None:
        return f"{locate(checkpoint, Path()).rpartition('/')[0]}/{name}"
    folder = Path(checkpoint).parent if out is None else out
    return f"{locate(folder, Path())}/{name}" if is_remote(folder) else Path(folder) / name


@contextlib.contextmanager
def fetched(checkpoint: AnyPath) -> Iterator[Path]:
    """Give a checkpoint as a file on this machine, for as long as it is read.

    Raises
    ------
    ExportError
        If it cannot be copied here.
    """
    if not is_remote(checkpoint):
        yield Path(checkpoint)
        return
    from evaljobs.remote import objects

    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        file = Path(folder) / PurePosixPath(checkpoint).name
        try:
            objects.download(checkpoint, file)
        except OSError as error:
            raise ExportError(f"{checkpoint} cannot be copied here: {error.strerror or error}") from None
        yield file


@contextlib.contextmanager
def new_file(place: AnyPath, *, overwrite: bool) -> Iterator[Path]:
    """Give a file to write to, and bring it to its place if all went well.

    Raises
    ------
    ExportError
        If it cannot be written, or somebody else has written there meanwhile and must not be overwritten.
    """
    folder = None if is_remote(place) else Path(place).parent
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as here:
            file = Path(here) / PurePosixPath(place).name
            yield file
            if not _publish(file, place, overwrite=overwrite):
                raise ExportError(f"{place} was written by somebody else meanwhile; it is left as it is")
    except OSError as error:
        raise ExportError(f"{place} cannot be written: {error.strerror or error}") from None


def _publish(file: Path, place: AnyPath, *, overwrite: bool) -> bool:
    """Bring a file to its place; False where there is one that is not to be replaced."""
    if is_remote(place):
        from evaljobs.remote import objects, sending

        if overwrite:
            sending.send_file(file, place)
            return True
        return objects.create(place, file.read_bytes())
    if overwrite:
        file.replace(place)
        return True
    try:
        os.link(file, place)
    except FileExistsError:
        return False
    return True
