"""How the benchmark of a GPU runs evaluations, and what it says of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evaljobs.models.options import Device

BATCHES = [32, 128]
CONFIG = """\
images: {{folder: images, label: prefix}}
models: [{{path: resnet50.onnx, batch_size: {batch}}}]
fpr: [1e-4, 1e-3, 1e-2]
jobs: [{{name: verification}}]
store: store
"""

failed: list[str] = []


def check(name: str, holds: bool, detail: object = "") -> None:
    """Print one thing that must hold, and remember it where it does not."""
    print(f"- {'ok' if holds else 'FAILED'}: {name}{f' ({detail})' if detail != '' else ''}", flush=True)
    if not holds:
        failed.append(name)


def start(config: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `evaljobs run`."""
    command = [sys.executable, "-m", "evaljobs", "run", str(config), *arguments]
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, stdout=pipe, stderr=merged, text=True, env={**os.environ, **environment})


def run(config: Path, out: str, *arguments: str, **environment: str) -> tuple[int, str, dict[str, Any]]:
    """Run to the end; return exit code, output and results."""
    process = start(config, "--out", str(config.parent / out), *arguments, **environment)
    text, _ = process.communicate(timeout=300)
    return process.returncode, text, results_of(config.parent / out)


def results_of(folder: Path) -> dict[str, Any]:
    """Return the results in a folder; nothing where there are none."""
    path = folder / "results.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def write_config(folder: Path, batch: int) -> Path:
    """Write a configuration of a batch size."""
    config = folder / f"batch{batch}.yaml"
    config.write_text(CONFIG.format(batch=batch))
    return config


def on(device: Device) -> tuple[str, ...]:
    """Return the override that chooses the device."""
    return ("--set", f"cluster.device={device}")


def fresh(store: Path) -> tuple[str, ...]:
    """Remove what an earlier call left; return the override that chooses the store."""
    shutil.rmtree(store, ignore_errors=True)
    return ("--set", f"store={store}")


def parts(store: Path) -> int:
    """Return how many parts of embedding tables are committed."""
    return sum(1 for _ in store.glob("tables/*/part-*.arrow"))


def outside_execution(results: dict[str, Any]) -> str:
    """Return what must be equal in equal runs."""
    return json.dumps({key: value for key, value in results.items() if key != "execution"})


def same(folder: Path, out: str, other: str) -> bool:
    """Say whether two runs have equal results."""
    a, b = results_of(folder / out), results_of(folder / other)
    return bool(a) and outside_execution(a) == outside_execution(b)


def points(results: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each operating point with the result that it belongs to."""
    for evaluation in results["evaluations"]:
        for point in evaluation["result"]["points"]:
            yield evaluation["result"], point


def print_differences(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Print how far two runs on different devices are from each other."""
    pairs = list(zip(points(a), points(b), strict=True))
    other = sum(x["true_positives"] != y["true_positives"] for (_, x), (_, y) in pairs)
    tpr = max(abs(x["tpr"] - y["tpr"]) for (_, x), (_, y) in pairs)
    threshold = max(abs(x["threshold"] - y["threshold"]) for (_, x), (_, y) in pairs)
    auroc = max(abs(x["auroc"] - y["auroc"]) for (x, _), (y, _) in pairs)
    print(f"- largest differences between the devices over {len(pairs)} points: TPR {tpr:.2e}, threshold", end=" ")
    print(f"{threshold:.2e}, AUROC {auroc:.2e}; true positives differ at {other} points", flush=True)


def seconds(results: dict[str, Any]) -> str:
    """Return the wall seconds of a run for print."""
    return f"{results['execution']['seconds']:.1f} s"


HOLD = """
import sys, torch
held = torch.empty(int(sys.argv[1]) * 2**20, dtype=torch.uint8, device="cuda")
a = torch.ones(8192, 8192, device="cuda")
print("holding", flush=True)
sys.stdin.readline()
while True:
    a @ a
    torch.cuda.synchronize()
"""


@contextlib.contextmanager
def another(mebibytes: int) -> Iterator[Callable[[], None]]:
    """Have another process hold some MiB of the GPU; yield what makes it busy."""
    command = [sys.executable, "-c", HOLD, str(max(0, mebibytes))]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if holder.stdout is not None:
            holder.stdout.readline()
        yield lambda: print(file=holder.stdin, flush=True)
    finally:
        holder.kill()
        holder.wait()
