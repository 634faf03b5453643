"""What tells that a file or an object has not changed: size with time of change, or with ETag."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from evaljobs.images.places import Member, Row, place_of
from evaljobs.remote import is_remote

if TYPE_CHECKING:
    from evaljobs.remote.objects import Found

# A network file system and S3 answer many questions at a time; more threads gain little on a local one.
_LOCAL_THREADS = 8
_REMOTE_THREADS = 32
_CHUNK = 2048

# The coarsest time stamps of common file systems: a file this fresh may change again without another time stamp.
SETTLED_NS = 2_000_000_000

# A folder with so many wanted objects is listed, a thousand in one request; of fewer, each is asked for.
_WORTH_LISTING = 20

_Answer = TypeVar("_Answer")


class Version(NamedTuple):
    """What tells one version of a file from another. All None where it cannot be asked.

    Attributes
    ----------
    size
        In bytes.
    mtime_ns
        Of a local file the later of its times of change, of content and of status, in ns since 1970. Unpacking and
        copying set the first one back; the second one moves when a file is written, renamed or replaced, whatever is
        set back afterwards. A time to come hides those before it, but a file is not believed until it is over
        (`SETTLED_NS`).
    etag
        Of an object on S3.
    """

    size: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None


UNKNOWN = Version()


def of_object(found: Found) -> Version:
    """Return the version of an object."""
    return Version(found.size, None, found.etag)


def of_file(path: str) -> Version:
    """Return the version of a local file; `UNKNOWN` where it cannot be asked."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a million Path objects would take longer than the question
    except (OSError, ValueError):
        return UNKNOWN
    return Version(status.st_size, max(status.st_mtime_ns, status.st_ctime_ns))


def versions(uris: Sequence[str]) -> list[Version]:
    """Return the versions of images, in order: of one inside a container, that of the container, with its own size.

    Raises
    ------
    RemoteError
        If S3 denies it or does not answer.
    """
    inside = {number: place for number, uri in enumerate(uris) if (place := place_of(uri)) is not None}
    files = [inside[number].container if number in inside else uri for number, uri in enumerate(uris)]
    found = _of_files(files if not inside else list(dict.fromkeys(files)))
    if not inside:
        return found
    by_file = dict(zip(dict.fromkeys(files), found, strict=True))
    return [
        by_file[file] if number not in inside else _of_part(inside[number], by_file[file])
        for number, file in enumerate(files)
    ]


def _of_part(place: Member | Row, container: Version) -> Version:
    if container is UNKNOWN:
        return UNKNOWN
    return container._replace(size=place.size if isinstance(place, Member) else None)


def _of_files(uris: Sequence[str]) -> list[Version]:
    local = [uri for uri in uris if not is_remote(uri)]
    remote = [uri for uri in uris if is_remote(uri)]
    by_uri = _of_objects(remote)
    here = iter(_mapped(of_file, local, _LOCAL_THREADS, _CHUNK))
    return [by_uri[uri] if is_remote(uri) else next(here) for uri in uris]


def _of_objects(uris: Sequence[str]) -> dict[str, Version]:
    if not uris:
        return {}
    from evaljobs.remote import objects

    folders: dict[str, list[str]] = collections.defaultdict(list)
    for uri in uris:
        folders[uri.rpartition("/")[0]].append(uri)
    alone = [uri for wanted in folders.values() if len(wanted) < _WORTH_LISTING for uri in wanted]
    listed = [folder for folder, wanted in folders.items() if len(wanted) >= _WORTH_LISTING]
    found = dict(zip(alone, _mapped(_of_one_object, alone, _REMOTE_THREADS, 1), strict=True))
    pages = _mapped(lambda folder: objects.find(folder, recursive=False), listed, _REMOTE_THREADS, 1)
    there = {item.uri: of_object(item) for page in pages for item in page}
    return found | {uri: there.get(uri, UNKNOWN) for folder in listed for uri in folders[folder]}


def _of_one_object(uri: str) -> Version:
    from evaljobs.remote import objects

    found = objects.stat(uri)
    return UNKNOWN if found is None else of_object(found)


def _mapped(ask: Callable[[str], _Answer], items: Sequence[str], threads: int, length: int) -> list[_Answer]:
    """Ask for chunks of items in threads; answers come in order."""
    with ThreadPoolExecutor(threads) as pool:
        chunks: Iterator[list[_Answer]] = pool.map(
            lambda start: [ask(item) for item in items[start : start + length]], range(0, len(items), length)
        )
        return list(itertools.chain.from_iterable(chunks))
