"""Measure exact verification: against numpy and scikit-learn, and against the bare matrix product.

    python benchmarks/verification.py [--repeats 5] [--threads 2] [--quick] [--device cuda]

Prints Markdown tables. Verification is without intervals and findings where a column does not say otherwise. Times are
medians over repeats, with the contenders taking turns, so that both meet the same noise. The data are synthetic: labels
of 20 samples each, and embeddings of a label's centre plus noise.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve
from threadpoolctl import threadpool_limits

from evaljobs.pairs.tiles import Tiles
from evaljobs.pairs.verification import Verification, verify

Rows = NDArray[np.float32]


def make(n: int, d: int, noise: float = 1.5) -> tuple[Rows, NDArray[np.int64]]:
    """Return embeddings ``[n, d]`` and labels, 20 samples each."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % max(2, n // 20)
    rows = rng.standard_normal((labels.max() + 1, d))[labels] + noise * rng.standard_normal((n, d))
    return rows.astype(np.float32), labels


def medians(repeats: int, *contenders: Callable[[], Any]) -> list[float]:
    """Return the median seconds of each, after one run to warm up."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for repeat in range(repeats + 1):
        for contender, taken in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            contender()
            if repeat or repeats == 0:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def gram_and_sklearn(rows: Rows, labels: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Verify as a script does: the whole Gram matrix, its upper triangle, and one sort of all scores."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    upper = np.triu(np.ones((len(rows), len(rows)), np.bool_), 1)
    scores = (unit @ unit.T)[upper]
    same = np.equal.outer(labels, labels)[upper]
    return roc_curve(same, scores, drop_intermediate=False)  # type: ignore[no-any-return]


def bare_product(rows: Rows, tile: int, threads: int) -> None:
    """Multiply all tiles of the upper triangle, and throw the products away."""
    tiles = Tiles(len(rows), tile)

    def work(first: int) -> None:
        product = np.empty((tile, tile), np.float32)
        for number in range(first, tiles.count, threads):
            i, j = tiles.place(number)
            np.matmul(rows[i], rows[j].T, out=product[: i.stop - i.start, : j.stop - j.start])

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def against_sklearn(n: int, d: int, repeats: int, threads: int) -> str:
    """Return the table's row: our time, theirs, the factor."""
    rows, labels = make(n, d)
    [ours] = medians(repeats, lambda: verify(rows, labels, threads=threads, groups=0))
    # Once, and not warmed up: it takes minutes.
    [theirs] = medians(0, lambda: gram_and_sklearn(rows, labels))
    return f"| {n:,} | {d} | {ours:.3f} | {theirs:.2f} | {theirs / ours:.0f}x |"


def against_product(n: int, d: int, repeats: int, threads: int) -> str:
    """Return the table's row: our time, the bare product's at its better tile, the factor."""
    rows, labels = make(n, d)
    found: list[Verification] = []
    ours, small, large, intervals, all_ = medians(
        repeats,
        lambda: found.append(verify(rows, labels, threads=threads, groups=0)),
        lambda: bare_product(rows, 512, threads),
        lambda: bare_product(rows, 1024, threads),
        lambda: verify(rows, labels, threads=threads, hardest=100),
        lambda: verify(rows, labels, threads=threads, hardest=100, by_label=True),
    )
    bare = min(small, large)
    low, high = found[0].auroc_bounds or (0.0, 0.0)
    pairs = n * (n - 1) / 2
    return (
        f"| {n:,} | {d} | {ours:.3f} | {bare:.3f} | {ours / bare:.2f}x | {pairs / ours / 1e6:.0f} |"
        f" {intervals / ours - 1:+.0%} | {all_ / ours - 1:+.0%} | {found[0].auroc:.6f} | {(high - low) / 2:.1e} |"
    )


def main() -> None:
    """Run all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: on a GPU instead, with torch")
    parser.add_argument("--quick", action="store_true", help="small sets, to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda":
        import on_device

        on_device.measure(make, options.repeats, quick=options.quick)
        return
    n_sklearn, n_product = (1_000, 5_000) if options.quick else (10_000, 16_384)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} before the start, numpy {np.__version__},")
    print(f"{options.threads} threads, medians of {options.repeats}\n")
    print("| n | d | verify, s | Gram matrix + roc_curve, s | factor |\n| --- | --- | --- | --- | --- |")
    print(against_sklearn(n_sklearn, 256, options.repeats, options.threads), flush=True)
    columns = (
        "n", "d", "verify, s", "bare product, s", "factor", "million pairs/s", "with intervals and hardest pairs",
        "and errors by label", "AUROC", "certified half-width",
    )  # fmt: skip
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for d in (128, 256, 512):
        print(against_product(n_product, d, options.repeats, options.threads), flush=True)


if __name__ == "__main__":
    main()
