"""A map as a report finds it: real digits, mapped by the real job, with their thumbnails in a run's folder."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from sklearn.datasets import load_digits

from evaljobs.config import Config, validate
from evaljobs.images.thumbnail import thumbnail
from evaljobs.jobs import build_jobs
from evaljobs.jobs.job import Rows
from evaljobs.pairs.threads import run_rounds
from evaljobs.report.figures.thumbnails import FILE
from evaljobs.report.results import Group
from evaljobs.report.section import Found
from evaljobs.schemas import THUMBNAILS


def digit_images(n: int) -> list[bytes]:
    """Return digits as PNG files."""

    def png(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray((255 - pixels * 15).astype(np.uint8)).save(stream, "PNG")
        return stream.getvalue()

    return [png(image) for image in load_digits().images[:n]]


def write_thumbnails(folder: Path, images: Sequence[bytes]) -> list[bytes]:
    """Write the thumbnails of images into a run's folder, and return their digests."""
    digests = [hashlib.sha256(image).digest() for image in images]
    pictures = {digest: thumbnail(image, 10**6) for digest, image in zip(digests, images, strict=True)}
    table = pa.table([list(pictures), list(pictures.values())], schema=THUMBNAILS)
    with pa.ipc.new_file(str(folder / FILE), table.schema) as writer:
        writer.write_table(table)
    return digests


def mapped(
    folder: Path, n: int = 120, labels: Sequence[str] | None = None, facts: dict[str, Any] | None = None, **keys: Any
) -> Found:
    """Map digits, and return what a section is made of.

    Parameters
    ----------
    labels
        In place of the digits' own.
    facts
        Columns that the engine puts beside each image, by row of the set.
    keys
        Of the job.
    """
    found = load_digits()
    rows = found.data[:n].astype(np.float32) + 1
    own = [str(label) for label in found.target[:n]] if labels is None else list(labels)
    digests = pa.array(write_thumbnails(folder, digit_images(n)), pa.binary(32))
    config = {"images": {"folder": "a"}, "models": ["a.onnx"], "jobs": [{"name": "map", "kind": "map", **keys}]}
    (job,) = build_jobs(validate(Config, config, "test"))
    passes = job.passes({"set": Rows(digests, own, {"embedding": rows}, pa.array([f"d{i}" for i in range(n)]))})
    outcome = run_rounds(passes.rounds, passes.samples, 1)
    table = outcome.tables["map"]
    for name, values in (facts or {}).items():
        table = table.append_column(name, pa.array([values[row] for row in table["row"].to_pylist()]))
    model = {"name": "edges", "tags": {}, "status": "ok", "error": None}
    evaluation = {
        "job": "map", "kind": "map", "set": "main", "model": "edges", "status": "ok", "error": None,
        "result": outcome.result, "tables": [], "figures": [],
    }  # fmt: skip
    results = {"models": [model], "evaluations": [evaluation]}
    return Found(results, Group("map", "main", {"edges": evaluation}), {"edges": {"map": table}}, folder)
