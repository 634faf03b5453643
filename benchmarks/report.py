"""Measure the report of hundreds of models: seconds, memory, size.

    python benchmarks/report.py [--models 300] [--sets 1] [--images 897]

The models are random projections of scikit-learn's handwritten digits, verified for real; making them is not measured.
What is measured are processes of their own: all files that a run writes at its end, and the page alone that
``evaljobs report`` makes. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

import evaljobs
from evaljobs.report.writing import write_results
from evaljobs.schemas import THUMBNAILS

TARGETS = ("1e-4", "1e-3", "1e-2", "1e-1", "1")
WRITE = """
import sys
from pathlib import Path
from evaljobs.report.runs.reading import read_run
from evaljobs.report.writing import write_results
run = read_run(sys.argv[1])
write_results(run.document, run.tables, Path(sys.argv[1]))
"""


class Digits(NamedTuple):
    """Images ``[n, 64]`` float64, their labels, their digests, and each as a PNG file."""

    pixels: NDArray[np.float64]
    labels: list[str]
    digests: list[bytes]
    files: list[bytes]


def digits(n: int) -> Digits:
    """Return the first images of scikit-learn's digits."""
    found = load_digits()
    files = [_png(image) for image in found.images[:n]]
    labels = [str(label) for label in found.target[:n]]
    return Digits(found.data[:n], labels, [hashlib.sha256(file).digest() for file in files], files)


def _png(image: NDArray[np.float64]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((image * 15).astype(np.uint8)).resize((48, 48), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def tags_of(number: int) -> dict[str, str]:
    """Return tags as a sweep has them: a width, a loss, a norm, a dimension and a seed."""
    places = np.unravel_index(number % 120, (5, 3, 2, 4))
    named = dict(zip(("width", "loss", "norm", "dim"), (str(place) for place in places), strict=True))
    return {**named, "seed": str(number // 120)}


def evaluated(images: Digits, number: int) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Verify a model: a projection of the images with noise."""
    rng = np.random.default_rng(number)
    noise = rng.standard_normal(images.pixels.shape) * (2 + number % 40 / 10)
    rows = ((images.pixels - images.pixels.mean(0) + noise) @ rng.standard_normal((64, 24))).astype(np.float32)
    found = evaljobs.verify(rows, images.labels, TARGETS, hardest=100, by_label=True)
    result = {**found.to_json(), "listed": None, "notes": list(found.notes), "self_check": None}
    return result, {name: _named(table, images) for name, table in found.tables().items()}


def _named(table: pa.Table, images: Digits) -> pa.Table:
    for side in ("a", "b"):
        if f"row_{side}" in table.column_names:
            rows = table[f"row_{side}"].to_pylist()
            table = table.append_column(f"id_{side}", pa.array([f"{row}.png" for row in rows]))
            digests = pa.array([images.digests[row] for row in rows], pa.binary(32))
            table = table.append_column(f"image_digest_{side}", digests)
    return table


def write_run(folder: Path, n_models: int, n_sets: int, n_images: int) -> None:
    """Write a run without its report, and its thumbnails."""
    images = digits(n_images)
    names = ["-".join(f"{key}{value}" for key, value in tags_of(n).items()) for n in range(n_models)]
    models = [_model(name, n) for n, name in enumerate(names)]
    evaluations: list[dict[str, Any]] = []
    tables: dict[tuple[str, str, str | None], dict[str, Any]] = {}
    for place, image_set in enumerate(f"set{n}" for n in range(n_sets)):
        for number, name in enumerate(names):
            result, tables["verification", image_set, name] = evaluated(images, place * n_models + number)
            evaluations.append(_evaluation(name, image_set, result))
    document = {
        "schema_version": 1,
        "run": "report",
        "config_digest": "00" * 32,
        "sets": [_set(f"set{n}", images) for n in range(n_sets)],
        "models": models,
        "evaluations": evaluations,
        "execution": {"seconds": 1.0, "models": {name: {"images_per_s": 1000.0 + n} for n, name in enumerate(names)}},
    }
    write_results(document, tables, folder, report=False)
    thumbnails = pa.table([images.digests, images.files], schema=THUMBNAILS)
    with pa.ipc.new_file(folder / "thumbnails.arrow", THUMBNAILS) as writer:
        writer.write_table(thumbnails)


def _model(name: str, number: int) -> dict[str, Any]:
    size = 1 + number % 17
    return {
        "name": name,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "tags": tags_of(number),
        "metadata": {},
        "cost": {"size_mb": float(size), "params": 1000 * size, "gmacs": size / 100, "gflops": size / 50},
        "notes": [],
        "status": "ok",
        "error": None,
    }


def _evaluation(name: str, image_set: str, result: dict[str, Any]) -> dict[str, Any]:
    where = {"job": "verification", "kind": "verification", "set": image_set, "model": name}
    return {**where, "status": "ok", "error": None, "result": result, "tables": [], "figures": []}


def _set(name: str, images: Digits) -> dict[str, Any]:
    counts = {"n_samples": len(images.labels), "n_labels": len(set(images.labels)), "n_single_labels": 0}
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "digest": digest, **counts, "excluded": 0, "excluded_by_kind": {}, "notices": []}


def measured(*command: str) -> tuple[float, float, float]:
    """Run a process; return its seconds, its processor seconds, and the most memory that it held, in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Make a run, and measure its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--sets", type=int, default=1)
    parser.add_argument("--images", type=int, default=897)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evaljobs-benchmark-") as temporary:
        folder = Path(temporary)
        write_run(folder, given.models, given.sets, given.images)
        contenders = {
            "all files of a run": ("-c", WRITE, temporary),
            "`evaljobs report`": ("-m", "evaljobs", "report", temporary),
        }
        print("| models | sets | what | s | processor s | memory, MB | page, MB |")
        print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
        for what, command in contenders.items():
            seconds, cpu, memory = measured(*command)
            size = (folder / "report.html").stat().st_size / 1e6
            numbers = f"{seconds:.1f} | {cpu:.1f} | {memory:.0f} | {size:.1f}"
            print(f"| {given.models} | {given.sets} | {what} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
