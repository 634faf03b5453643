"""From what the configuration names to container files: one file, a folder, a glob, ranges in braces."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evaljobs.errors import UsageError
from evaljobs.images.folder import hidden, walk
from evaljobs.images.versions import UNKNOWN, Version, of_file, of_object
from evaljobs.remote import is_remote

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(\d+))?|([a-zA-Z])\.\.([a-zA-Z])")
_WILD = re.compile(r"[*?\[]")
_MOST_FILES = 1_000_000

_COMPRESSED = re.compile(r"\.(tgz|tbz2?|txz|tzst|tar\.\w+)$", re.IGNORECASE)


class Container(NamedTuple):
    """A file that holds images.

    Attributes
    ----------
    uri
        Absolute path, or ``s3://bucket/key``.
    name
        Its path below what the configuration names.
    mtime_ns, etag
        Of its version; the ETag of a local file is made of time and size, as web servers do it.
    size
        In bytes.
    """

    uri: str
    name: str
    size: int
    mtime_ns: int | None
    etag: str

    @property
    def key(self) -> str:
        """What its content is known by."""
        return f"{self.uri}\n{self.etag}"


def expand(location: str, kind: str, where: str) -> list[Container]:
    """Find the containers that a location means, sorted by uri.

    Parameters
    ----------
    location
        Absolute path or ``s3://``: a file, a folder (searched with its subfolders; hidden files are left out), a glob,
        with or without ranges in braces.
    kind
        ``parquet`` or ``tar``: the key of the configuration, and the extension in folders.
    where
        What messages begin with.

    Raises
    ------
    UsageError
        If there is no such file, or it is a compressed tar.
    RemoteError
        If S3 denies it or does not answer.
    """
    found: dict[str, Container] = {}
    base = _base(location)
    for pattern in _alternatives(location, where):
        for container in _matching(pattern, base, kind, where):
            found[container.uri] = container
    if packed := [uri for uri in sorted(found) if kind == "tar" and _COMPRESSED.search(uri)]:
        raise UsageError(
            f"{where}: {len(packed):,} tar(s) are compressed, {packed[0]} the first; images inside cannot be reached "
            "without unpacking all before them. Unpack the tars themselves (gunzip), which costs no room, as images "
            "are compressed already"
        )
    return [found[uri] for uri in sorted(found)]


def container_folder(location: str) -> str | None:
    """Return the folder in which containers are looked for; None where one file is named."""
    folder = _base(location)
    return None if folder == location and os.path.isfile(location) else folder  # noqa: PTH113


def _alternatives(pattern: str, where: str) -> list[str]:
    """Expand braces as shells and WebDataset do: lists {a,b} and ranges {000..012}, padded with zeros."""
    if os.path.exists(pattern):  # noqa: PTH110 - a file that has braces in its name
        return [pattern]
    expanded = [pattern]
    while any(_BRACES.search(text) for text in expanded):
        following = []
        for text in expanded:
            found = _BRACES.search(text)
            words = [None] if found is None else _words(found[1])
            following += [
                text if found is None or word is None else text[: found.start()] + word + text[found.end() :]
                for word in words
            ]
            if len(following) > _MOST_FILES:
                raise UsageError(f"{where}: {pattern} stands for more than {_MOST_FILES:,} files")
        expanded = following
    return expanded


def _words(inside: str) -> list[str | None]:
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        return list(inside.split(","))
    first, last, step, from_letter, to_letter = numbers.groups()
    if from_letter:
        return [chr(code) for code in _steps(ord(from_letter), ord(to_letter), 1)]
    padded = any(len(text.lstrip("-")) > 1 and text.lstrip("-").startswith("0") for text in (first, last))
    width = max(len(first), len(last)) if padded else 0
    values = _steps(int(first), int(last), max(1, int(step or 1)))
    return [f"{value:0{width}d}" for value in itertools.islice(values, _MOST_FILES + 1)]


def _steps(first: int, last: int, step: int) -> range:
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)


def _base(location: str) -> str:
    """Return the folder that names are relative to: the named one, or the last before a pattern."""
    special = re.search(r"[*?\[{]", location)
    return location if special is None else location[: special.start()].rpartition("/")[0]


def _matching(pattern: str, base: str, kind: str, where: str) -> Iterator[Container]:
    found = list(_remote(pattern, kind) if is_remote(pattern) else _local(pattern, kind, where))
    for uri, version in found:
        name = uri.removeprefix(base).lstrip("/") or uri.rpartition("/")[2]
        etag = version.etag or f"{version.mtime_ns or 0:x}-{version.size or 0:x}"
        yield Container(uri, name, version.size or 0, version.mtime_ns, etag)
    if not found:
        what = "nothing matches" if _WILD.search(pattern) else f"no file, and no folder with .{kind} files, is at"
        raise UsageError(f"{where}: {what} {pattern}; check `{kind}`, which is relative to the configuration file")


def _remote(pattern: str, kind: str) -> Iterator[tuple[str, Version]]:
    from evaljobs.remote import objects

    alone = objects.stat(pattern)
    if alone is not None:
        yield alone.uri, of_object(alone)
        return
    if _WILD.search(pattern):
        yield from ((item.uri, of_object(item)) for item in objects.glob(pattern))
        return
    for item in objects.find(pattern):
        if not hidden(item.uri[len(pattern) + 1 :]) and _belongs(item.uri, kind):
            yield item.uri, of_object(item)


def _local(pattern: str, kind: str, where: str) -> Iterator[tuple[str, Version]]:
    if os.path.isdir(pattern):  # noqa: PTH112 - text in, text out
        for parent, names in walk(Path(pattern), where):
            paths = [os.path.join(pattern, parent, name) for name in names if _belongs(name, kind)]  # noqa: PTH118
            yield from ((path, of_file(path)) for path in paths)
        return
    exists = of_file(pattern) is not UNKNOWN
    paths = glob.glob(pattern, recursive=True) if not exists and _WILD.search(pattern) else [pattern]  # noqa: PTH207
    for path in paths:
        if os.path.isfile(path):  # noqa: PTH113
            yield path, of_file(path)


def _belongs(name: str, kind: str) -> bool:
    return name.lower().endswith(f".{kind}") or (kind == "tar" and _COMPRESSED.search(name) is not None)
