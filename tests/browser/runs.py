"""Runs for pages: real images (scikit-learn's digits), many models (projections of them), verified for real."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from evaljobs import verify
from evaljobs.report.kinds import sections
from evaljobs.report.page import render_page
from evaljobs.schemas import THUMBNAILS

TARGETS = ("1e-4", "1e-3", "1e-2", "0.1")


class Digits(NamedTuple):
    """Images ``[n, 64]`` float64, their labels and ids, and each as a PNG file."""

    pixels: NDArray[np.float64]
    labels: list[str]
    ids: list[str]
    files: list[bytes]

    @property
    def digests(self) -> list[bytes]:
        return [hashlib.sha256(file).digest() for file in self.files]


@cache
def digits(n: int) -> Digits:
    found = load_digits()
    pixels, labels = found.data[:n], [str(label) for label in found.target[:n]]
    return Digits(pixels, labels, [f"{i}.png" for i in range(n)], [_png(image) for image in found.images[:n]])


def _png(image: NDArray[np.float64]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((image * 15).astype(np.uint8)).resize((48, 48), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


class Run(NamedTuple):
    """A results document and the tables of its evaluations."""

    document: dict[str, Any]
    tables: dict[tuple[str, str, str], dict[str, pa.Table]]

    def write(self, folder: Path) -> Path:
        """Write the page, with thumbnails, into a folder; return it."""
        images = digits(self.document["sets"][0]["n_samples"])
        table = pa.table([images.digests, images.files], schema=THUMBNAILS)
        with pa.ipc.new_file(folder / "thumbnails.arrow", THUMBNAILS) as writer:
            writer.write_table(table)
        page = folder / "report.html"
        page.write_bytes(render_page(self.document, sections(self.document, self.tables, folder)))
        return page


def make_run(
    names: Sequence[str],
    tags: Sequence[Mapping[str, str]] | None = None,
    failed: Sequence[str] = (),
    n: int = 240,
    targets: Sequence[str] = TARGETS,
    **changes: Any,
) -> Run:
    """Verify a model for each name: a random projection of the digits, with more noise from model to model."""
    images = digits(n)
    models, evaluations, tables = [], [], {}
    for number, name in enumerate(names):
        found = verify(_embeddings(images.pixels, number), images.labels, targets, hardest=20, by_label=True, threads=1)
        notes = {"listed": None, "notes": list(found.notes), "self_check": None}
        models.append(_model(name, dict(tags[number]) if tags else {"dim": str(8 + number % 4)}, number))
        evaluations.append(_evaluation(name, {**found.to_json(), **notes}))
        tables["verification", "main", name] = {key: _named(table, images) for key, table in found.tables().items()}
    for name in failed:
        error = {"kind": "corrupt", "message": f"{name} is no ONNX file; export it again"}
        models.append({**_model(name, {}, 0), "status": "failed", "error": error})
        evaluations.append({**_evaluation(name, None), "status": "failed", "error": error})
    document = {
        "schema_version": 1,
        "run": "digits",
        "config_digest": "ab" * 32,
        "sets": [_set(images)],
        "models": models,
        "evaluations": evaluations,
        "execution": _execution(names),
    }
    return Run({**document, **changes}, tables)


def many_models(n_models: int, targets: Sequence[str] = TARGETS) -> Run:
    """Return a run of hundreds of models: 20 that are verified, each under several names."""
    places = [(n % 10, 2 ** (4 + n // 10 % 5), n // 50) for n in range(n_models)]
    names = [f"backbone{backbone}-f{dim}-s{seed}" for backbone, dim, seed in places]
    tags = [{"backbone": f"backbone{b}", "dim": str(d), "seed": str(s)} for b, d, s in places]
    few = make_run(names[:20], tags[:20], targets=targets)
    models, evaluations, tables = [], [], {}
    for n, name in enumerate(names):
        models.append(_model(name, tags[n], n))
        evaluations.append({**few.document["evaluations"][n % 20], "model": name})
        tables["verification", "main", name] = few.tables["verification", "main", names[n % 20]]
    changed = {"models": models, "evaluations": evaluations, "execution": _execution(names)}
    return Run({**few.document, **changed}, tables)


def _embeddings(pixels: NDArray[np.float64], number: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(number)
    noise = rng.standard_normal(pixels.shape) * (2 + number / 10)
    return ((pixels - pixels.mean(0) + noise) @ rng.standard_normal((64, 24))).astype(np.float32)


def _named(table: pa.Table, images: Digits) -> pa.Table:
    for side in ("a", "b"):
        if f"row_{side}" in table.column_names:
            rows = table[f"row_{side}"].to_pylist()
            table = table.append_column(f"id_{side}", pa.array([images.ids[row] for row in rows]))
            digests = pa.array([images.digests[row] for row in rows], pa.binary(32))
            table = table.append_column(f"image_digest_{side}", digests)
    return table


def _model(name: str, tags: dict[str, str], number: int) -> dict[str, Any]:
    size = round(1.5 + (number * 7 % 11) / 3, 3)
    return {
        "name": name,
        "digest": hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest(),
        "tags": tags,
        "metadata": {"signature": f"projection {number}"},
        "cost": {"size_mb": size, "params": 1536 * (number + 1), "gmacs": size / 100, "gflops": size / 50},
        "notes": [],
        "status": "ok",
        "error": None,
    }


def _evaluation(name: str, result: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "job": "verification",
        "kind": "verification",
        "set": "main",
        "model": name,
        "status": "ok",
        "error": None,
        "result": result,
        "tables": [],
        "figures": [],
    }


def _set(images: Digits) -> dict[str, Any]:
    return {
        "name": "main",
        "digest": "cd" * 32,
        "n_samples": len(images.labels),
        "n_labels": len(set(images.labels)),
        "n_single_labels": 0,
        "excluded": 2,
        "excluded_by_kind": {"empty": 2},
        "notices": [],
    }


def _execution(names: Sequence[str]) -> dict[str, Any]:
    rates = {name: {"images_per_s": 1000.0 + 10 * number} for number, name in enumerate(names)}
    versions = {"evaljobs": "0.1.0", "python": "3.11"}
    return {
        "started": "2026-11-02T03:00:00+00:00",
        "seconds": 12.5,
        "provider": "CPUExecutionProvider",
        "models": rates,
        "versions": versions,
    }
