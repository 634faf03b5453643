"""Where the files of a model are: on this machine, or on S3 with a copy here while they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.fetching import copy_here
from evaljobs.models.model import Source


class Stamp(NamedTuple):
    """What tells that a file has not changed: JSON values, and when it last changed, in ns since 1970."""

    identity: list[Any]
    changed_ns: int


@dataclass(frozen=True)
class LocalFile:
    """A file that this machine sees."""

    path: Path

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)

    def stamp(self) -> Stamp | None:
        """Return the file's stamp; None where it cannot be asked.

        The time of the last change of status is part of it, since copying may set the other one back.
        """
        try:
            status, real = self.path.stat(), str(self.path.resolve())
        except (OSError, ValueError):  # whoever reads it says what is wrong
            return None
        identity = [real, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        return Stamp(identity, max(status.st_mtime_ns, status.st_ctime_ns))

    def size(self) -> int:
        """Return the number of bytes."""
        return self.path.stat().st_size

    def beside(self, location: str) -> LocalFile | None:
        """Return the file at a location relative to this one's folder; None where there is none."""
        file = self.path.parent / location
        return LocalFile(file) if file.is_file() else None


@dataclass(frozen=True)
class RemoteFile:
    """An object on S3, of one version."""

    uri: str
    etag: str
    bytes: int

    @property
    def name(self) -> str:
        """The last part of the key; safe as the name of a file."""
        name = PurePosixPath(self.uri).name
        return name if name not in {"", ".", ".."} else "model"

    def __str__(self) -> str:
        return self.uri

    def stamp(self) -> Stamp:
        """Return the object's stamp: it names a version, whenever that was written."""
        return Stamp([self.uri, self.etag, self.bytes], 0)

    def size(self) -> int:
        """Return the number of bytes."""
        return self.bytes

    def beside(self, location: str) -> RemoteFile | None:
        """Return the object at a location relative to this one's folder; None where there is none."""
        from evaljobs.remote import objects

        found = objects.stat(f"{self.uri.rpartition('/')[0]}/{location}")
        return None if found is None else RemoteFile(found.uri, found.etag, found.size)


ModelFile = LocalFile | RemoteFile


class Files(NamedTuple):
    """The files of one model: the ONNX file, and its external data by their location relative to it, sorted."""

    main: ModelFile
    external: tuple[tuple[str, ModelFile], ...] = ()

    def all(self) -> tuple[ModelFile, ...]:
        """Return every file, the ONNX file first."""
        return self.main, *(file for _, file in self.external)

    def size_bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size() for file in self.all())

    def sources(self) -> tuple[Source, ...]:
        """Return what a machine needs to copy the files; nothing where they are files already."""
        named = [(self.main.name, self.main), *self.external]
        remote = [(location, file) for location, file in named if isinstance(file, RemoteFile)]
        return tuple(Source(location, file.uri, file.etag, file.bytes) for location, file in remote)

    def named(self) -> tuple[Path, tuple[Path, ...]]:
        """Return the paths of local files; of objects on S3 the names that their copies have in a folder."""
        main = Path(self.main.name) if isinstance(self.main, RemoteFile) else self.main.path
        return main, tuple(main.parent / location for location, _ in self.external)

    def paths(self) -> tuple[Path, tuple[Path, ...]]:
        """Return the ONNX file and its external data as files on this machine, copied where they are not here yet.

        Raises
        ------
        RemoteError, ModelError
            As `copy_here` does.
        """
        sources = self.sources()
        if not sources:
            return self.named()
        main = copy_here(sources)
        return main, tuple(main.parent / location for location, _ in self.external)


def files_of(main: ModelFile, locations: tuple[str, ...], least_bytes: tuple[int, ...]) -> Files:
    """Return a model's files; its external data must be there, and long enough.

    Parameters
    ----------
    main
        The ONNX file.
    locations
        Of its external data, relative to it; see `evaljobs.models.inspect.Graph`.
    least_bytes
        The bytes that each of them has at least.

    Raises
    ------
    ModelError
        CORRUPT, if one of them is missing or shorter.
    """
    external = []
    for location, least in zip(locations, least_bytes, strict=True):
        file = main.beside(location)
        if file is None:
            raise ModelError(
                ModelErrorKind.CORRUPT,
                f"{main.name} needs its external data {location!r}, which is not beside it; copy that file there too",
            )
        if file.size() < least:
            raise ModelError(
                ModelErrorKind.CORRUPT,
                f"{main.name} needs {least:,} bytes of its external data {location!r}, which has {file.size():,}: it "
                "was cut off, or belongs to another model; copy that file again",
            )
        external.append((location, file))
    return Files(main, tuple(external))
