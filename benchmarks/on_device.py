"""Measure exact verification on a GPU, against the bare matrix product over the same tiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.gpu.device import open_device
from evaljobs.pairs.gpu.execute import default_tile, load_tiles, settled, verify_loaded
from evaljobs.pairs.rounds import Outcome
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.verification import verify

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

TAIL = (1e-6, 1e-5, 1e-4)
ALL = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def seconds(repeats: int, run: Callable[[], object]) -> float:
    """Return the median seconds until the device has done it, after one run to warm up; of one run for no repeats."""
    taken: list[float] = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:] or taken)


def bare_product(unit: torch.Tensor, tile: int) -> None:
    """Multiply all tiles of the upper triangle, each into the same buffer of the type of the rows."""
    n = len(unit)
    out = torch.empty((tile, tile), dtype=unit.dtype, device=unit.device)
    for i in range(0, n, tile):
        for j in range(i, n, tile):
            torch.mm(unit[i : i + tile], unit[j : j + tile].T, out=out)


def products(rows: Rows, tile: int, repeats: int) -> dict[str, float]:
    """Return the seconds of the bare product in each type."""
    padded = torch.zeros((-(-len(rows) // tile) * tile, rows.shape[1]), device="cuda")
    padded[: len(rows)] = torch.nn.functional.normalize(torch.from_numpy(rows).cuda())
    found = {}
    for name, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        unit = padded.to(dtype)
        found[name] = seconds(repeats, lambda unit=unit: bare_product(unit, tile))
    for name, tf32 in (("tf32", True), ("float32", False)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        found[name] = seconds(repeats, lambda: bare_product(padded, tile))
    return found


def row(rows: Rows, labels: Labels, targets: tuple[float, ...], bare: dict[str, float], repeats: int) -> str:
    """Return the table's row: the whole of `verify`, its parts, and factors of the parts on the device.

    Without repeats the passes alone are measured, once.
    """
    device = open_device("cuda")
    call = f"{seconds(repeats, lambda: verify(rows, labels, targets, device='cuda')):.2f}" if repeats else "-"
    tile = default_tile(device, len(rows))
    samples = prepare(rows, labels, for_filter=False)
    prepared = seconds(repeats, lambda: prepare(rows, labels, for_filter=False))
    loaded = seconds(repeats, lambda: load_tiles(device, samples, tile))
    passes, outcome = passes_of(samples, tile, targets, repeats, Wanted())
    beside = "- | -"
    if repeats:
        grouped = prepare(rows, labels, for_filter=False, n_groups=20)
        kinds = (Wanted(hardest=100), Wanted(hardest=100, by_label=True))
        more = (passes_of(grouped, tile, targets, repeats, wanted)[0] for wanted in kinds)
        beside = " | ".join(f"{taken / passes - 1:+.0%}" for taken in more)
    low, high = outcome.auroc.bounds if outcome.auroc else (0.0, 0.0)
    n = len(rows)
    factors = " | ".join(f"{passes / bare[name]:.2f}x" for name in bare)
    return (
        f"| {n:,} | {', '.join(f'{t:g}' for t in targets)} | {call} | {prepared:.2f} | {loaded:.2f} | {passes:.3f} |"
        f" {factors} | {n * (n - 1) / 2 / passes / 1e9:.0f} | {beside} | {(high - low) / 2:.1e} |"
    )


def passes_of(
    samples: Samples, tile: int, targets: tuple[float, ...], repeats: int, wanted: Wanted
) -> tuple[float, Outcome]:
    """Return the seconds of the passes with all decisions, and what they end with."""
    device = open_device("cuda")
    outcomes: list[Outcome] = []
    with settled(device):
        sheet = load_tiles(device, samples, tile)
        taken = seconds(repeats, lambda: outcomes.append(verify_loaded(sheet, samples, targets, wanted=wanted)))
    return taken, outcomes[-1]


def compare(rows: Rows, labels: Labels) -> None:
    """Print whether the CPU finds the same, with everything beside the points."""
    start = time.perf_counter()
    cpu = verify(rows, labels, ALL, hardest=100, by_label=True)
    taken = time.perf_counter() - start
    found = verify(rows, labels, ALL, hardest=100, by_label=True, device="cuda")
    names = ("target", "allowed", "threshold", "next_impostor_score", "false_positives", "true_positives", "flags")
    points = [[[getattr(p, name) for name in (*names, "tpr_balanced")] for p in v.points] for v in (cpu, found)]
    tables = [{k: v for k, v in verification.tables().items() if k != "roc"} for verification in (cpu, found)]
    equal = {name: tables[0][name].equals(tables[1][name]) for name in ("hardest", "labels", "label_pairs")}
    widths = [
        (b.tpr_ci[1] - b.tpr_ci[0]) / (a.tpr_ci[1] - a.tpr_ci[0])
        for a, b in zip(cpu.points, found.points, strict=True)
        if a.tpr_ci and b.tpr_ci
    ]
    print(
        f"\n- n = {len(rows):,}: points equal those of the CPU ({taken:.1f} s): {points[0] == points[1]}; {equal};",
        end=" ",
    )
    print(f"widths of the TPRs' intervals are {min(widths):.4f} to {max(widths):.4f} times those of the CPU;", end=" ")
    print(f"AUROC {cpu.auroc:.8f} {cpu.auroc_ci} and {found.auroc:.8f} {found.auroc_ci}", flush=True)


def measure(make: Callable[[int, int], tuple[Rows, Labels]], repeats: int, *, quick: bool) -> None:
    """Print the tables."""
    name = torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}; medians of {repeats}\n")
    for n in (20_000,) if quick else (16_384, 100_000, 1_000_000):
        rows, labels = make(n, 256)
        tile = default_tile(open_device("cuda"), n)
        bare = products(rows, tile, repeats)
        print(f"\nn = {n:,}, d = 256, bare products over the same tiles of {tile}, s:")
        print(", ".join(f"{kind} {taken:.4f}" for kind, taken in bare.items()), "\n")
        columns = [
            *("n", "targets", "verify, s", "checks, s", "to the GPU, s", "passes, s", *(f"/ {kind}" for kind in bare)),
            *("billion pairs/s", "with intervals and hardest pairs", "and errors by label", "certified half-width"),
        ]
        print(f"| {' | '.join(columns)} |")
        print("| --- " * len(columns) + "|")
        for targets in (TAIL, ALL):
            print(row(rows, labels, targets, bare, repeats if targets == TAIL or n < 500_000 else 0), flush=True)
        if n < 500_000:
            compare(rows, labels)
