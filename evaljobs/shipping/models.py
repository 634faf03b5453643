"""Models as they travel: each file by its content, each entry with the name, tags and line that the model has here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from evaljobs.config import Models
from evaljobs.models.model import Model
from evaljobs.shipping.inputs import FoundModel, sha256
from raycluster.program import Upload

# What would be a pattern in the path of an entry.
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclasses.dataclass(frozen=True)
class ShippedModels:
    """Models in their places: the entries of the configuration, and what is to be sent."""

    entries: tuple[Models, ...]
    uploads: tuple[Upload, ...]


def ship_models(found: Iterable[FoundModel], folder: str, digests: Mapping[Path, str]) -> ShippedModels:
    """Give every local model its place, and every model an entry of its own.

    Those on S3 too: a name depends on what other models there are.

    Parameters
    ----------
    folder
        On S3, for models.
    digests
        Of the files whose own digests are asked for, as `Inputs` has them.
    """
    entries: list[Models] = []
    uploads: dict[str, Upload] = {}
    for one in found:
        place, files = _placed(one, folder, digests)
        uploads |= {upload.place: upload for upload in files}
        entries.append(_entry(one, place))
    return ShippedModels(tuple(entries), tuple(uploads.values()))


def model_version(found: FoundModel, digests: Mapping[Path, str]) -> str:
    """Return what tells this version of a model from another."""
    if isinstance(found.resolved, Model):
        return found.resolved.digest
    if found.path is not None:
        return digests[found.path]
    stamp = None if found.candidate.missing else found.candidate.file.stamp()
    return "missing" if stamp is None else repr(stamp.identity)


def _placed(found: FoundModel, folder: str, known: Mapping[Path, str]) -> tuple[str, list[Upload]]:
    if not found.is_local:
        return str(found.candidate.file), []
    path, digest = found.path, model_version(found, known)
    if path is None:
        return f"{folder}/missing-{sha256(found.candidate.name.encode(errors='surrogateescape'))}.onnx", []
    external = found.external
    # The digest of a model of several files is that of no file.
    digests = {file: known[file] for file in (path, *external)} if external else {path: digest}
    own = f"{folder}/{_of_all(digests, path) if external else digest}"
    place = f"{own}/{_ODD.sub('_', path.name)}"
    places = {path: place} | {file: f"{own}/{file.relative_to(path.parent).as_posix()}" for file in external}
    return place, [Upload(places[file], file.stat().st_size, file, digest=digests[file]) for file in places]


def _of_all(digests: Mapping[Path, str], path: Path) -> str:
    """Return a digest of a model's files as they are at this moment, their names among it."""
    lines = (f"{file.relative_to(path.parent).as_posix()} {digest}" for file, digest in sorted(digests.items()))
    return sha256("\n".join(lines).encode(errors="surrogateescape"))


def _entry(found: FoundModel, place: str) -> Models:
    candidate = found.candidate
    series = candidate.series
    return candidate.entry.model_copy(
        update={
            "path": place,
            "name": candidate.name,
            "tags": candidate.tags,
            "tag_pattern": None,
            "matrix": {},
            "exclude": (),
            "series": None if series is None else series.tag,
            "line": None if series is None else series.name,
            "optional": bool(candidate.missing),
        }
    )
