"""From the paths and globs of a config to files, on this machine or on S3; nothing is opened."""

from __future__ import annotations

import difflib
import glob
import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.places import LocalFile, ModelFile, RemoteFile
from evaljobs.remote import is_remote, locate

SUFFIX = ".onnx"
_SHOWN = 8
_REQUESTS = 16
# What the values of a matrix are put into.
_FILLED = ("path", "name", "output", "scores")


class Match(NamedTuple):
    """A file, and the entry of the config that asks for it.

    Attributes
    ----------
    entry
        With the values of its matrix put in.
    file
        The file.
    asked
        The entry as it stands in the config.
    values
        Of its matrix.
    missing
        Of a combination that has no file, which should be there: what to do. Else empty.
    """

    entry: config.Models
    file: ModelFile
    asked: config.Models
    values: Mapping[str, str]
    missing: str = ""


class _AbsentError(UsageError):
    """A path matches nothing."""


def find_files(entries: Sequence[config.Models], base: Path) -> list[Match]:
    """Expand the entries, in their order; the files of a glob are sorted by path, combinations as the matrix has them.

    A path that exists is that file, whatever characters it has. A glob takes files that end in ``.onnx`` (in any case),
    but for those that another entry names by themselves.

    Parameters
    ----------
    entries
        The `models` of a config.
    base
        The folder that relative paths start from: the config file's.

    Raises
    ------
    UsageError
        If an entry matches nothing, in any combination of its matrix.
    RemoteError
        If S3 cannot be asked.
    """
    asked = [(entry, list(_combinations(entry))) for entry in entries]
    places = dict.fromkeys(locate(one.path, base) for _, several in asked for one, _ in several)
    named = {place: file for place, file in zip(places, _files_at(places), strict=True) if file is not None}
    return [match for entry, several in asked for match in _matches_of(entry, several, base, named)]


def _combinations(entry: config.Models) -> Iterator[tuple[config.Models, dict[str, str]]]:
    """Yield an entry for each combination of a matrix, with its values; the entry itself where it has none."""
    if not entry.matrix:
        yield entry, {}
        return
    for values in config.combinations(entry.matrix, entry.exclude):
        texts = {key: getattr(entry, key) for key in _FILLED}
        filled = {key: config.fill(text, values) for key, text in texts.items() if text is not None}
        yield entry.model_copy(update=filled), values


def _matches_of(
    asked: config.Models,
    several: Sequence[tuple[config.Models, dict[str, str]]],
    base: Path,
    named: Mapping[str, ModelFile],
) -> list[Match]:
    """Return the files of an entry; a combination without a file is missing, unless all of them are.

    All of an optional entry may be.
    """
    found: list[Match] = []
    absent: list[UsageError] = []
    for entry, values in several:
        try:
            found += [Match(entry, file, asked, values) for file in _expand(entry, base, named)]
        except _AbsentError as error:
            if not asked.matrix and not asked.optional:
                raise
            absent.append(error)
            found.append(Match(entry, _nowhere(locate(entry.path, base)), asked, values, _missing(entry, values)))
    if absent and len(absent) == len(several) and not asked.optional:
        raise UsageError(f"{absent[0]}; none of the {len(several):,} combinations of {asked.path} is there")
    return found


def _missing(entry: config.Models, values: Mapping[str, str]) -> str:
    if not values:
        return f"nothing is at {entry.path}; put the model there, or take its entry out"
    combination = ", ".join(f"{name}: {value}" for name, value in values.items())
    return f"nothing is at {entry.path}; put the model there, or leave it out with `exclude: [{{{combination}}}]`"


def _nowhere(place: str) -> ModelFile:
    """Return the name of a file that is not there."""
    return RemoteFile(place, "", 0) if is_remote(place) else LocalFile(Path(place))


def _files_at(places: Collection[str]) -> list[ModelFile | None]:
    """Return the files of exactly those names; S3 is asked for many at a time."""
    if not any(map(is_remote, places)):
        return list(map(_file_at, places))
    with ThreadPoolExecutor(_REQUESTS, thread_name_prefix="find") as pool:
        return list(pool.map(_file_at, places))


def _file_at(place: str) -> ModelFile | None:
    """Return the file of exactly that name."""
    if not is_remote(place):
        return LocalFile(Path(place)) if Path(place).is_file() else None
    # A key with wildcards in it is not asked for: it would be a request for each glob, and hardly ever be there.
    found = None if glob.has_magic(place) else _objects().stat(place)
    return None if found is None else RemoteFile(found.uri, found.etag, found.size)


def _expand(entry: config.Models, base: Path, named: Mapping[str, ModelFile]) -> list[ModelFile]:
    place = locate(entry.path, base)
    if place in named:
        return [named[place]]
    if _is_folder(place):
        raise UsageError(
            f"models: {entry.path} is a folder; write {entry.path.rstrip('/')}/*{SUFFIX} for the models in it"
        )
    if not glob.has_magic(entry.path):
        raise _AbsentError(
            f"models: there is no {'object' if is_remote(place) else 'file'} {place}; {_describe_folder(place)}"
        )
    matches = _matches(entry.path, base)
    files = [match for match in matches if match.name.lower().endswith(SUFFIX)]
    if not files:
        others = f" among {len(matches)} matches" if matches else ""
        raise _AbsentError(f"models: {entry.path} matches no {SUFFIX} file{others}; {_describe_folder(place)}")
    left = [file for file in files if str(file) not in named]
    if entry.name is not None and entry.series is None and len(left) > 1:
        raise UsageError(
            f"models: the name {entry.name!r} stands for one file, {entry.path} matches {len(left)}: "
            f"{_some([file.name for file in left])}; leave `name` out, or name the file"
        )
    return left


def _matches(path: str, base: Path) -> Sequence[ModelFile]:
    """Return the files that a glob matches, sorted by path."""
    if is_remote(path):
        return [RemoteFile(found.uri, found.etag, found.size) for found in _objects().glob(locate(path, base))]
    root = Path(glob.escape(str(base.absolute()))) / Path(path).expanduser()
    found = sorted(Path(os.path.abspath(match)) for match in glob.iglob(str(root), recursive=True))  # noqa: PTH100, PTH207 - links are kept; Path.glob takes no absolute patterns
    return [LocalFile(match) for match in found if match.is_file() or match.suffix.lower() != SUFFIX]


def _is_folder(place: str) -> bool:
    if is_remote(place):
        return not glob.has_magic(place) and bool(_objects().find(place, recursive=False))
    return Path(place).is_dir()


def _describe_folder(place: str) -> str:
    """Say what is in the nearest folder above a path that has no wildcard and exists."""
    folder, names = _remote_folder(place) if is_remote(place) else _local_folder(Path(place))
    models = sorted(name for name in names if name.lower().endswith(SUFFIX))
    if not models:
        return f"the folder {folder} holds no {SUFFIX} file"
    near = difflib.get_close_matches(place.rpartition("/")[2], models, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}The folder {folder} holds {_some(models)}"


def _local_folder(path: Path) -> tuple[str, list[str]]:
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parent.parts)
    folder = Path(*fixed)
    while not folder.is_dir():
        folder = folder.parent
    return str(folder), [file.name for file in folder.iterdir()]


def _remote_folder(uri: str) -> tuple[str, list[str]]:
    scheme, bucket, *folders = uri.rpartition("/")[0].replace("//", "/", 1).split("/")
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), folders)
    folder = "/".join([f"{scheme}//{bucket}", *fixed])
    return folder, [found.uri.rpartition("/")[2] for found in _objects().find(folder, recursive=False)]


def _objects() -> ModuleType:
    """Load what speaks to S3 where a place is there: it takes a second, and most models are local."""
    from evaljobs.remote import objects

    return objects


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
