"""Measure exact verification against other ways to TPR at FPR 1e-4 over all pairs: time, memory, and the answer.

    python benchmarks/rivals.py [--memory-gb 8] [--time-limit-s 300] [--quick]

Contenders: a Python loop over all pairs; NumPy's Gram matrix with scikit-learn's `roc_curve`; torchmetrics' exact ROC
(`binary_roc`, thresholds=None); open-metric-learning's FNMR@FMR (`calc_fnmr_at_fmr`). One that is not installed is said
to be so. To have them all, beside evaljobs:

    pip install torch torchmetrics
    pip install --no-deps open-metric-learning    # it asks for numpy<2, evaljobs for numpy>=2.1; this runs on both
    pip install tqdm omegaconf validators pandas gdown matplotlib    # what importing it needs

Each run is a process of its own. It imports, makes the embeddings, notes its resident memory, and is then limited to
so much more (RLIMIT_DATA). Peak memory is the greatest resident memory (VmHWM) less what was noted. Pairs are doubled
until a contender runs out of memory or time, and `verify` is measured at its largest n. Seconds are from embeddings to
TPR, the forming of pairs included, after a small run to warm up: the median of five where they take less than a second
each. Linux alone: it reads /proc.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import itertools
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# This process imports nothing heavy: a child's peak memory must not begin with its parent's.
FPR = 1e-4
DIMENSIONS = 256
_MOST_REPEATS = 5
_LOOP = 1000
_WARM_UP = 200
_SCANNED = 4_600  # samples: the least, in round numbers, that `verify` does not score whole


def make(n: int, d: int) -> tuple[Any, Any]:
    """Return embeddings ``[n, d]`` float32, of centres plus noise, and labels, 20 samples each."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = np.arange(n) % max(2, n // 20)
    centres = rng.standard_normal((labels.max() + 1, d), np.float32)
    rows = rng.standard_normal((n, d), np.float32)
    rows *= np.float32(1.5)
    for first in range(0, n, 1000):  # in place: what is made on the way would count as memory
        rows[first : first + 1000] += centres[labels[first : first + 1000]]
    return rows, labels


def all_pairs(rows: Any, labels: Any) -> tuple[Any, Any]:
    """Return the cosine and the kind of all pairs, by way of the Gram matrix."""
    import numpy as np

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    upper = np.triu(np.ones((len(rows), len(rows)), np.bool_), 1)
    return (unit @ unit.T)[upper], np.equal.outer(labels, labels)[upper]


def last_point(fpr: Any, tpr: Any) -> float:
    """Return the TPR of the last point of a curve whose FPR is at most the target."""
    return float(tpr[int((fpr <= FPR).sum()) - 1])


def run_verify(rows: Any, labels: Any) -> float:
    """Verify by this project."""
    from evaljobs import verify

    return float(verify(rows, labels, FPR).points[0].tpr or 0.0)


def run_loop(rows: Any, labels: Any) -> float:
    """Verify as a first script does: one pair after the other."""
    import numpy as np
    from sklearn.metrics import roc_curve

    scores, same = [], []
    for i, j in itertools.combinations(range(len(rows)), 2):
        a, b = rows[i], rows[j]
        scores.append(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
        same.append(labels[i] == labels[j])
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    return last_point(fpr, tpr)


def run_sklearn(rows: Any, labels: Any) -> float:
    """Verify by the Gram matrix and scikit-learn."""
    from sklearn.metrics import roc_curve

    scores, same = all_pairs(rows, labels)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    return last_point(fpr, tpr)


def run_torchmetrics(rows: Any, labels: Any) -> float:
    """Verify by torchmetrics, in torch throughout."""
    import torch
    from torchmetrics.functional.classification import binary_roc

    given, names = torch.from_numpy(rows), torch.from_numpy(labels)
    unit = torch.nn.functional.normalize(given)
    upper = torch.ones((len(rows), len(rows)), dtype=torch.bool).triu_(1)
    scores = (unit @ unit.T)[upper]
    scores.add_(1).div_(2).clamp_(0, 1)  # what is outside [0, 1] is taken for logits, and put through a sigmoid
    fpr, tpr, _ = binary_roc(scores, (names[:, None] == names)[upper].int(), thresholds=None)
    return last_point(fpr.double(), tpr)


def run_oml(rows: Any, labels: Any) -> float:
    """Verify by open-metric-learning."""
    from oml.functional.metrics import calc_fnmr_at_fmr

    scores, same = all_pairs(rows, labels)
    distances = 1 - scores
    return 1 - float(calc_fnmr_at_fmr(distances[same], distances[~same], (FPR,))[0])


class Contender(NamedTuple):
    """One way to verify: its name, what it imports first, and how its answer is meant."""

    name: str
    modules: tuple[str, ...]
    run: Callable[[Any, Any], float]
    answer: str


CONTENDERS = {
    "verify": Contender("evaljobs.verify", ("evaljobs.pairs.verification",), run_verify, "exact"),
    "loop": Contender("Python loop", ("sklearn.metrics",), run_loop, "float32 scores, last point within the target"),
    "sklearn": Contender(
        "Gram matrix + roc_curve", ("sklearn.metrics",), run_sklearn, "float32 scores, last point within the target"
    ),
    "torchmetrics": Contender(
        "torchmetrics binary_roc",
        ("torchmetrics.functional.classification",),
        run_torchmetrics,
        "(float32 scores + 1) / 2, float32 rates, last point within the target",
    ),
    "oml": Contender(
        "open-metric-learning calc_fnmr_at_fmr",
        ("oml.functional.metrics",),
        run_oml,
        "float32 distances, threshold interpolated between two impostors",
    ),
}


def status(field: str) -> int:
    """Return a size from this process' status, in bytes."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"no {field} in /proc/self/status; this benchmark needs Linux")
    return int(found[1]) * 1024


def measure(contender: Contender, n: int, d: int, memory: int) -> dict[str, Any]:
    """Run one contender in this process, and say what it took."""
    try:
        for module in contender.modules:
            importlib.import_module(module)
    except ImportError as error:
        return {"failed": f"not installed ({error})"}
    rows, labels = make(n, d)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins here
    before, limit = status("VmRSS"), status("VmData") + memory
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        for size in (_WARM_UP, _SCANNED) if contender.run is run_verify else (_WARM_UP,):
            contender.run(*make(size, d))
        seconds: list[float] = []
        while not seconds or (len(seconds) < _MOST_REPEATS and max(seconds) < 1):
            start = time.perf_counter()
            tpr = contender.run(rows, labels)
            seconds.append(time.perf_counter() - start)
    except MemoryError:
        return {"failed": "out of memory"}
    except RuntimeError as error:
        if "memory" not in str(error):  # as torch says it
            raise
        return {"failed": "out of memory"}
    peak = status("VmHWM") - before
    n_genuine = sum(m * (m - 1) // 2 for m in [int((labels == name).sum()) for name in set(labels.tolist())])
    return {"seconds": statistics.median(seconds), "peak": peak, "tpr": tpr, "n_genuine": n_genuine}


def in_child(key: str, n: int, d: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a contender in a process of its own."""
    command = [sys.executable, __file__, "--child", key, "--n", str(n), "--d", str(d)]
    command += ["--memory-gb", str(options.memory_gb)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=options.time_limit_s + 60, check=False
        )  # a minute for the imports, the data and the small run
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {options.time_limit_s:g} s"}
    if done.returncode < 0:
        return {"failed": f"killed by signal {-done.returncode}"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"failed": "out of memory" if "emory" in last or "lloc" in last else last}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found.get("seconds", 0) > options.time_limit_s:
        return {"failed": f"more than {options.time_limit_s:g} s"}
    return found


class Largest(NamedTuple):
    """The largest run that a contender finished, and why it did not finish the next."""

    n: int | None
    found: dict[str, Any]
    next_n: int | None
    reason: str


def largest(key: str, options: argparse.Namespace) -> Largest:
    """Double the pairs until the contender does not finish; the loop runs at one size."""
    n, best = _LOOP if key == "loop" else options.start, Largest(None, {}, None, "")
    while True:
        found = in_child(key, n, DIMENSIONS, options)
        if "failed" in found:
            return Largest(best.n, best.found, n, found["failed"])
        best = Largest(n, found, None, "")
        if key == "loop":
            return best
        n = round(n * 2**0.5 / 100) * 100


def row(key: str, options: argparse.Namespace) -> str:
    """Return a contender's row of the table."""
    name, answer = CONTENDERS[key].name, CONTENDERS[key].answer
    best = largest(key, options)
    if best.n is None:
        return f"| {name} |{' |' * 9} {best.reason} |"
    ours = in_child("verify", best.n, DIMENSIONS, options)
    if "failed" in ours:
        raise SystemExit(f"verify at n = {best.n}: {ours['failed']}")
    theirs, a_pair = best.found, best.found["peak"] / (best.n * (best.n - 1) // 2)
    off = round((theirs["tpr"] - ours["tpr"]) * ours["n_genuine"])
    said = "the same" if off == 0 else f"{off:+d} of {ours['n_genuine']:,} genuine pairs"
    end = "one size" if best.next_n is None else f"n = {best.next_n:,}: {best.reason}"
    return (
        f"| {name} | {best.n:,} | {theirs['seconds']:.3g} | {theirs['peak'] / 2**20:,.0f} | {a_pair:.0f}"
        f" | {end} | {ours['seconds']:.3g} | {ours['peak'] / 2**20:,.0f} | {theirs['seconds'] / ours['seconds']:,.0f}x"
        f" | {theirs['tpr']:.6f}: {said} | {answer} |"
    )


def compare(options: argparse.Namespace) -> None:
    """Print the table of contenders."""
    columns = [
        *("contender", "largest n", "s", "peak MiB", "bytes a pair", "ended by"),
        *("verify, s", "peak MiB", "factor", "TPR at 1e-4, against verify's", "what its TPR is"),
    ]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for key in CONTENDERS:
        if key != "verify":
            print(row(key, options), flush=True)


def large(options: argparse.Namespace) -> None:
    """Print what `verify` takes for a set that none of the others can hold."""
    n, d = (20_000, 128) if options.quick else (100_000, 128)
    found = in_child("verify", n, d, options)
    print("\n| n | d | pairs | embeddings, MiB | verify, s | million pairs/s | peak MiB above the embeddings |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    if "failed" in found:
        print(f"| {n:,} | {d} | {n * (n - 1) // 2:,} | {n * d * 4 / 2**20:.0f} | {found['failed']} | | |")
        return
    rate = n * (n - 1) / 2 / found["seconds"] / 1e6
    print(
        f"| {n:,} | {d} | {n * (n - 1) // 2:,} | {n * d * 4 / 2**20:.0f} | {found['seconds']:.3g} | {rate:.0f}"
        f" | {found['peak'] / 2**20:.0f} |"
    )


def versions() -> str:
    """Return the versions of what is compared."""
    found = []
    for name in ("numpy", "scikit-learn", "torch", "torchmetrics", "open-metric-learning"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    """Run all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--memory-gb", type=float, default=8, help="most memory of a run beside imports and embeddings")
    parser.add_argument("--time-limit-s", type=float, default=300, help="most seconds of a run")
    parser.add_argument("--start", type=int, default=1000, help="samples of the first run of each contender")
    parser.add_argument("--quick", action="store_true", help="half a GB and 10 s: to see that it runs")
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--d", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        found = measure(CONTENDERS[options.child], options.n, options.d, int(options.memory_gb * 1e9))
        print(json.dumps(found))
        return
    if options.quick:
        options.memory_gb, options.time_limit_s = 0.5, 10
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start; {versions()}."
    )
    print(f"Limits: {options.memory_gb:g} GB beside the embeddings, {options.time_limit_s:g} s. d = {DIMENSIONS}\n")
    compare(options)
    large(options)


if __name__ == "__main__":
    main()
