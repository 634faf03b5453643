"""From what the configuration names to container files: one file, a folder, a glob, ranges in braces."""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evaljobs.errors import UsageError
from evaljobs.images.folder import hidden, walk
from evaljobs.images.versions import UNKNOWN, Version, of_file, of_object
from evaljobs.remote import is_remote, locate

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
        Of its version; the ETag of a local file is made of time and size, as web servers do it, and of the real path
        where links lead to it.
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


def expand(text: str, base: Path, kind: str, where: str) -> list[Container]:
    """Find the containers that the configuration means, sorted by uri.

    Parameters
    ----------
    text
        A path or ``s3://``: a file, a folder (searched with its subfolders; hidden files are left out), a glob, with or
        without ranges in braces.
    base
        What a relative path is relative to. It is no pattern, whatever characters it has.
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
    root = _root(text, base)
    for alternative in _alternatives(text, base, where):
        for container in _matching(alternative, base, root, kind, where):
            found[container.uri] = container
    if packed := [uri for uri in sorted(found) if kind == "tar" and _COMPRESSED.search(uri)]:
        raise UsageError(
            f"{where}: {len(packed):,} tar(s) are compressed, {packed[0]} the first; images inside cannot be reached "
            "without unpacking all before them. Unpack the tars themselves (gunzip), which costs no room, as images "
            "are compressed already"
        )
    return [found[uri] for uri in sorted(found)]


def container_folder(text: str, base: Path) -> str | None:
    """Return the folder in which containers are looked for; None where one file is named."""
    return None if os.path.isfile(locate(text, base)) else _root(text, base)  # noqa: PTH113


def _alternatives(pattern: str, base: Path, where: str) -> list[str]:
    """Expand braces as shells and WebDataset do: lists {a,b} and ranges {000..012}, padded with zeros."""
    if os.path.exists(locate(pattern, base)):  # noqa: PTH110 - a file that has braces in its name
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


def _root(text: str, base: Path) -> str:
    """Return the folder that names are relative to: the named one, or the last before a pattern."""
    special = re.search(r"[*?\[{]", text)
    if special is None:
        return locate(text, base)
    folder, slash, _ = text[: special.start()].rpartition("/")
    return locate(folder or slash, base)


def _matching(text: str, base: Path, root: str, kind: str, where: str) -> Iterator[Container]:
    found = list(_remote(locate(text, base), kind) if is_remote(text) else _local(text, base, kind, where))
    for uri, version in found:
        name = uri.removeprefix(root).lstrip("/") or uri.rpartition("/")[2]
        yield Container(uri, name, version.size or 0, version.mtime_ns, version.etag or _local_etag(uri, version))
    if not found:
        what = "nothing matches" if _WILD.search(text) else f"no file, and no folder with .{kind} files, is at"
        place = locate(text, base)
        raise UsageError(f"{where}: {what} {place}; check `{kind}`, which is relative to the configuration file")


def _local_etag(path: str, version: Version) -> str:
    """Return what stands for the ETag of a file: time and size, and behind links the file that is meant."""
    etag = f"{version.mtime_ns or 0:x}-{version.size or 0:x}"
    real = os.path.realpath(path)
    return etag if real == path else f"{etag}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:16]}"


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


def _local(text: str, base: Path, kind: str, where: str) -> Iterator[tuple[str, Version]]:
    place = locate(text, base)
    if os.path.isdir(place):  # noqa: PTH112 - text in, text out
        for parent, names in walk(Path(place), where):
            paths = [os.path.join(place, parent, name) for name in names if _belongs(name, kind)]  # noqa: PTH118
            yield from ((path, of_file(path)) for path in paths)
        return
    exists = of_file(place) is not UNKNOWN
    pattern = locate(text, Path(glob.escape(str(base))))
    paths = glob.glob(pattern, recursive=True) if not exists and _WILD.search(text) else [place]  # noqa: PTH207
    for path in paths:
        if os.path.isfile(path):  # noqa: PTH113
            yield path, of_file(path)


def _belongs(name: str, kind: str) -> bool:
    return name.lower().endswith(f".{kind}") or (kind == "tar" and _COMPRESSED.search(name) is not None)
