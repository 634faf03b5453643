"""Samples of a WebDataset tar: which members belong together, which is the image, and what the label is.

Members of one key are a sample; the key is the path up to the first dot of the file name, the rest is the extension
(https://github.com/webdataset/webdataset, ``base_plus_ext``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.config import Images
from evaljobs.images import tar_index
from evaljobs.images.expand import Container
from evaljobs.images.files import File, open_file
from evaljobs.images.labels import label_of_path, suffix, wanted_suffixes
from evaljobs.images.places import Member, member_uri
from evaljobs.images.tar_index import DamagedTarError
from evaljobs.schemas import ENTRIES

_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
# What `tar -C folder .` writes before each name.
_DOTS = re.compile(r"\A(?:\./+)+")
_LARGEST_LABEL = 16 * 2**20
# Headers of a remote tar are read with what lies between them: the members are smaller than this.
_AHEAD_BYTES = 8 * 2**20


class _Part(NamedTuple):
    """A member of a sample; `text` of a label, and what is wrong with one that may not be needed."""

    member: Member
    text: str | None = None
    fault: str = ""


_Sample = dict[str, _Part]


def list_tar(container: Container, images: Images) -> pa.Table:
    """List the samples of a tar (schemas.ENTRIES), in order of their first member.

    A sample without an image has no uri, and its ``origin`` says what it holds. Links have no bytes of their own and
    are such samples too. Of several images, the one whose whole extension is an image's is taken.

    Raises
    ------
    DamagedTarError
        If the tar is damaged, or a sample or a label is not what it should be.
    OSError, RemoteError
        If it cannot be read.
    """
    samples: dict[str, _Sample] = {}
    links: list[str] = []
    with open_file(container.uri, _AHEAD_BYTES) as file:
        for entry in tar_index.entries(file, container.size):
            name = _DOTS.sub("", entry.name)
            if _is_hidden(name):
                continue
            key, extension = _split(name)
            if entry.link:
                links.append(name)
            elif key is not None:
                sample = samples.setdefault(key, {})
                if extension in sample:
                    raise DamagedTarError(f"it holds {entry.name!r} twice; each member of a sample stands there once")
                member = Member(container.uri, entry.offset, entry.size)
                sample[extension] = _part(file, member, entry.name, extension, images)
    wanted = wanted_suffixes(images.extensions)
    rows = [_row(container, key, sample, images, wanted) for key, sample in samples.items()]
    rows += [_Row(container.key, name, None, "a link", None, None) for name in links]
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=ENTRIES)


class _Row(NamedTuple):
    """A row of schemas.ENTRIES."""

    container: str
    name: str
    label: str | None
    origin: str | None
    uri: str | None
    size: int | None


def _is_hidden(name: str) -> bool:
    """Say whether a member, or a folder on the way to it, is hidden, as in folders, or macOS's own."""
    return any((part.startswith(".") and part not in {".", ".."}) or part == "__MACOSX" for part in name.split("/"))


def _split(name: str) -> tuple[str | None, str]:
    """Return key and extension in lower case; no key for files without a dot, and WebDataset's own."""
    found = _NAME.fullmatch(name)
    if found is None or ("/" not in name and name.startswith("__") and name.endswith("__")):
        return None, ""
    return found[1], found[2].lower()


def _part(file: File, member: Member, name: str, extension: str, images: Images) -> _Part:
    """Return a member with its text, if it may be the label. A json that nobody asked for may hold anything."""
    if extension not in {"cls", "json"} or images.label not in {None, extension}:
        return _Part(member)
    try:
        return _Part(member, _text(file, member, name, extension, images))
    except DamagedTarError as error:
        if extension == "json" and images.label is None:
            return _Part(member, fault=str(error))
        raise


def _text(file: File, member: Member, name: str, extension: str, images: Images) -> str | None:
    """Return what a label member says; None where that is nothing."""
    if member.size > _LARGEST_LABEL:
        raise DamagedTarError(f"its member {name!r} has {member.size:,} bytes, too many for a label")
    file.seek(member.offset)
    data = file.read(member.size)
    try:
        text = data.decode("utf-8-sig")
        return text.strip() if extension == "cls" else _json_label(json.loads(text), name, images)
    except (ValueError, RecursionError) as error:
        raise DamagedTarError(f"its member {name!r} is not valid: {error}") from None


def _json_label(data: Any, name: str, images: Images) -> str | None:
    value = data.get(images.label_column) if isinstance(data, Mapping) else None
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DamagedTarError(
            f"its member {name!r} holds {repr(value)[:200]} as {images.label_column!r}; expected text or an integer"
        )
    return str(value)


def _row(container: Container, key: str, sample: _Sample, images: Images, wanted: frozenset[str]) -> _Row:
    image = _image(key, sample, wanted)
    if image is None:
        return _Row(container.key, key, None, f"has {', '.join(sorted(sample))}", None, None)
    label, origin = _label(key, sample, images)
    return _Row(container.key, key, label, origin, member_uri(image.member), image.member.size)


def _image(key: str, sample: _Sample, wanted: frozenset[str]) -> _Part | None:
    whole = [extension for extension in sample if f".{extension}" in wanted]
    found = whole or [extension for extension in sample if suffix(f"x.{extension}") in wanted]
    if len(found) > 1:
        raise DamagedTarError(
            f"its sample {key!r} has {len(found)} images ({', '.join(sorted(found))}); "
            "name the one that is meant in `extensions`"
        )
    return sample[found[0]] if found else None


def _label(key: str, sample: _Sample, images: Images) -> tuple[str | None, str | None]:
    """Return the label and where it is from: what is asked for, else the first of cls, json and folder."""
    for origin in ("cls", "json"):
        if origin in sample and sample[origin].text and images.label in {None, origin}:
            return sample[origin].text, origin
    if images.label in {"cls", "json"}:
        return None, None
    label = label_of_path(key, images)
    if not label and "json" in sample and sample["json"].fault:
        raise DamagedTarError(f"{sample['json'].fault}. Set `label_column` to the key of the label, or `label`")
    return (label, images.label or "folder") if label else (None, None)
