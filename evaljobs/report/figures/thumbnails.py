"""Small pictures of images: which of them a report wants, and where it finds them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaljobs.report.audits import DUPLICATES, SUSPECTS, audits, duplicate_rows, of_models, suspect_rows
from evaljobs.report.comparing.anomalies import anomaly_groups
from evaljobs.report.comparing.anomalies import ranked as ranked_anomalies
from evaljobs.report.comparing.measures import class_rows
from evaljobs.report.comparing.uncertainties import ranked, uncertainty_groups
from evaljobs.report.figures.placing import place, window_of
from evaljobs.report.results import CLASSIFICATION, OK, Document, Group, groups_of, verification_groups
from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows
from evaljobs.schemas import THUMBNAILS

FILE = "thumbnails.arrow"
# Thumbnails of a map in a row.
ACROSS = 16
METHODS = ("pca", "tsne")
# Of each kind: pairs that a sheet shows, and that the page lists of the best model.
ON_A_SHEET, LISTED = 12, 50
# Mistakes of the best classification that are shown, and the least certain images of each set.
MISTAKES = 24
UNCERTAIN = 24
# Of an anomaly job: models whose best and worst images are shown, and images in a row.
ANOMALY_MODELS, IN_A_BAND = 10, 8
# Models whose hardest pairs are shown, of each job and set.
_MODELS = 10
_KINDS = ("impostor", "genuine")
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8\xff"

Tables = Mapping[tuple[str, str, str | None], Mapping[str, pa.Table]]


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures (PNG or JPEG) by image digest."""

    by_digest: Mapping[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def load(cls, *folders: str | Path) -> Thumbnails:
        """Read those of runs; a folder without any, or with a damaged file, has none.

        Parameters
        ----------
        folders
            Local ones.
        """
        found: dict[bytes, bytes] = {}
        for folder in folders:
            path = Path(folder) / FILE
            try:
                facts = path.stat()
            except OSError:
                continue
            found |= _read(path, facts.st_mtime_ns, facts.st_size)
        return cls(found)

    @classmethod
    def of(cls, data: bytes) -> Thumbnails:
        """Return those in the bytes of a file, such as one on S3; none where it is damaged."""
        return cls(_parsed(data))

    def get(self, digest: bytes | None) -> bytes | None:
        """Return a picture; None where there is none, and a placeholder is to be shown."""
        return None if digest is None else self.by_digest.get(digest)


@lru_cache(maxsize=4)
def _read(path: Path, mtime_ns: int, size: int) -> dict[bytes, bytes]:
    """Read a file once, as long as it does not change."""
    del mtime_ns, size
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return {}


def _parsed(data: bytes) -> dict[bytes, bytes]:
    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        digests, pictures = (table[name].to_pylist() for name in THUMBNAILS.names)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return {}
    pairs = zip(digests, pictures, strict=True)
    # What goes into a page is a picture, whoever wrote the file.
    return {digest: p for digest, p in pairs if isinstance(p, bytes) and p.startswith((_PNG, _JPEG))}


def data_uri(picture: bytes) -> str:
    """Return a picture as it stands in the ``src`` of a page."""
    kind = "png" if picture.startswith(_PNG) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def pixels_of(picture: bytes | None) -> NDArray[np.uint8] | None:
    """Decode a thumbnail: uint8 ``[height, width, 3]``; None where there is none."""
    if picture is None:
        return None
    from matplotlib.image import imread

    try:
        pixels = np.asarray(imread(io.BytesIO(picture), "png" if picture.startswith(_PNG) else "jpeg"))
    except Exception:  # a file that somebody else wrote can raise anything
        return None
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]


def wanted(results: Document, tables: Tables) -> list[bytes]:
    """Return the digests of the images that the report shows, most wanted first, each once.

    Examples of views; the hardest pairs and mistakes of the best model that a sheet shows; what lies on maps; those of
    other models; further ones.

    Parameters
    ----------
    results, tables
        The results document, and the tables of its evaluations with the digests of their images.
    """
    maps = [digest for named in tables.values() if "map" in named for digest in on_map(named["map"])]
    best: list[bytes] = []
    others: list[bytes] = []
    further: list[bytes] = []
    for group in verification_groups(results):
        rows = leaderboard_rows(results, group, chosen_fpr(group) or 1.0)
        names = [row["model"]["name"] for row in rows if row["status"] == OK][:_MODELS]
        hardest = [tables.get((group.job, group.set, name), {}).get("hardest") for name in names]
        for number, table in enumerate(found for found in hardest if found is not None):
            (others if number else best).extend(_of_pairs(table, ON_A_SHEET))
            further += [] if number else _of_pairs(table, LISTED)
    best += [digest for group in groups_of(results, CLASSIFICATION) for digest in _mistakes(results, group, tables)]
    best += [digest for group in uncertainty_groups(results) for digest in _unsure(results, group, tables)]
    for group in anomaly_groups(results):
        for number, name in enumerate(ranked_anomalies(results, group)[:ANOMALY_MODELS]):
            (others if number else best).extend(_extreme(tables.get((group.job, group.set, name), {}).get("images")))
    best += [digest for group in audits(results) for digest in _of_audit(group, tables)]
    return list(dict.fromkeys([*_of_views(results), *best, *maps, *others, *further]))


def _of_views(results: Document) -> Iterator[bytes]:
    """Yield the digests of the examples of views, as they are in their files and as models get them."""
    for image_set in results.get("sets") or ():
        for example in (image_set.get("view") or {}).get("examples") or ():
            yield from (bytes.fromhex(example[side]) for side in ("file", "image"))


def _mistakes(results: Document, group: Group, tables: Tables) -> list[bytes]:
    """Return the digests of the mistakes that the best classification is most confident of."""
    best = next((row["model"]["name"] for row in class_rows(results, group) if row["status"] == OK), "")
    table = tables.get((group.job, group.set, best), {}).get("mistakes")
    if table is None or "image_digest" not in table.column_names:
        return []
    return list(table["image_digest"].to_pylist()[:MISTAKES])


def _unsure(results: Document, group: Group, tables: Tables) -> Iterator[bytes]:
    """Yield the digests of the images of each set that the best model is least certain of."""
    best = next(iter(ranked(results, group)), "")
    table = tables.get((group.job, group.set, best), {}).get("images")
    if table is None or "image_digest" not in table.column_names:
        return
    measure = group.evaluations[best]["result"]["measure"]
    for role in pc.unique(table["role"]).to_pylist():
        yield from least_certain(table, role, measure, UNCERTAIN)["image_digest"].to_pylist()


def _extreme(table: pa.Table | None) -> Iterator[bytes]:
    """Yield the digests of the images that a model of an anomaly job gets most wrong and most right."""
    if table is not None and "image_digest" in table.column_names:
        for band in BANDS:
            yield from extreme(table, band)["image_digest"].to_pylist()


def _of_audit(group: Group, tables: Tables) -> Iterator[bytes]:
    """Yield the digests of duplicates, and of images whose labels are likely wrong."""
    own = {model: named for (job, image_set, model), named in tables.items() if (job, image_set) == group[:2]}
    pairs = [*duplicate_rows(own)[:DUPLICATES], *suspect_rows(own, of_models(group))[:SUSPECTS]]
    digests = (row.get(side) for row in pairs for side in ("image_digest_a", "image_digest_b"))
    yield from (digest for digest in digests if digest is not None)


class Band(NamedTuple):
    """Images of one kind of an anomaly job, in an order of their scores."""

    title: str
    anomalous: bool
    order: Literal["ascending", "descending"]


BANDS = (
    Band("Normal images with the highest scores: false alarms first", False, "descending"),
    Band("Anomalous images with the lowest scores: what is missed first", True, "ascending"),
    Band("Anomalous images with the highest scores", True, "descending"),
    Band("Normal images with the lowest scores", False, "ascending"),
)


def extreme(table: pa.Table, band: Band) -> pa.Table:
    """Return the rows of the images of a band, as many as a sheet shows.

    Parameters
    ----------
    table
        ``images`` of an anomaly job: columns row, anomalous and score.
    """
    own = table.filter(pc.equal(table["anomalous"], pa.scalar(band.anomalous)))
    return own.sort_by([("score", band.order), ("row", "ascending")]).slice(0, IN_A_BAND)


def least_certain(table: pa.Table, role: str, measure: str, most: int) -> pa.Table:
    """Return the rows of the images of one set that are least certain by a measure, the least certain first.

    Parameters
    ----------
    table
        ``images`` of an uncertainty job: columns role, row, and one for each measure.
    """
    own = table.filter(pc.equal(table["role"], role))
    return own.sort_by([(measure, "descending"), ("row", "ascending")]).slice(0, most)


def on_map(table: pa.Table) -> Iterator[bytes]:
    """Yield the digests of the images that get a thumbnail on the maps of an evaluation."""
    digests = table["image_digest"].to_pylist()
    for method in METHODS:
        xy = places(table, method)
        if xy is not None:
            yield from (digests[spot.point] for spot in place(xy, window_of(xy, ACROSS), ACROSS))


def places(table: pa.Table, method: str) -> NDArray[np.float64] | None:
    """Return the places of a map, ``[n, 2]`` float64, NaN where there is none; None for a method not asked for."""
    names = [f"{method}_{axis}" for axis in "xy"]
    if not set(names) <= set(table.column_names):
        return None
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _of_pairs(table: pa.Table, most: int) -> Iterable[bytes]:
    """Return the digests of both sides of the hardest pairs of each kind, the hardest first."""
    if not {"kind", "image_digest_a", "image_digest_b"} <= set(table.column_names):
        return []
    rows: list[dict[str, Any]] = table.select(["kind", "rank", "image_digest_a", "image_digest_b"]).to_pylist()
    shown = [row for kind in _KINDS for row in rows if row["kind"] == kind and row["rank"] <= most]
    return [row[side] for row in shown for side in ("image_digest_a", "image_digest_b")]
