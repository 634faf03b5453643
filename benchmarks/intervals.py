"""Measure how often 95% intervals hold the truth, on simulated embeddings whose truth is known.

    python benchmarks/intervals.py [--repetitions 1000] [--groups 20] [--processes 2] [--only NAME] [--check 3]

Prints Markdown tables. Each repetition draws new identities and images, counts every pair in bins, and has the
replicates and intervals made by `evaljobs.pairs.replicates`, as `verify` does. It counts into wider bins, to be fast;
`--check` compares it with `verify` on the first repetitions of each design.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from intervals_data import (
    CLASS_SETS,
    DESIGNS,
    Design,
    Float,
    Int,
    Rng,
    Rows,
    draw_identities,
    draw_images,
    fixed_classes,
    images_of,
)
from threadpoolctl import threadpool_limits

from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.intervals import (
    Difference,
    auroc_ends,
    difference,
    even_ends,
    group_of_labels,
    group_of_samples,
    interval,
)
from evaljobs.pairs.points import FEW_ERRORS, Point, allowed_at
from evaljobs.pairs.replicates import folded, replicate
from evaljobs.pairs.verification import verify

TARGETS = (1e-2, 1e-3, 1e-4)
QUANTITIES = (*(f"TPR at {target:g}" for target in TARGETS), "AUROC")
NORMAL = 1.959964  # 97.5% quantile
SCALE = 2**14  # bins per unit of score
FOLD = 8  # bins that are one for the groups: 2^-11 wide, as in verify
MARGIN = 8
BINS = 2 * (SCALE + MARGIN)
PARTS = 100  # of the population that makes the truth
PART = 4_000  # identities, or images of fixed classes, in a part, all of whose pairs are counted
GENUINE = 4_000_000  # genuine pairs of the truth, each of an identity of its own
BLOCK = 256


class Ends(NamedTuple):
    """An interval, or NaN where there is none."""

    low: float
    high: float


class Measured(NamedTuple):
    """TPR at each target, then the AUROC.

    Attributes
    ----------
    all, without
        ``[4]`` of all samples, and ``[4, G]`` without each group.
    ends
        ``[4]`` intervals.
    pair_errors
        ``[4]`` standard errors as if pairs were independent.
    """

    all: Float
    without: Float
    ends: list[Ends]
    pair_errors: Float


@compiled
def _count(product: Rows, first: int, labels: Int, groups: Int, counts: Int) -> None:
    """Count a block of pairs i < j as impostor or genuine, in all and as touching a group."""
    total = counts.shape[1] - 1
    for r in range(product.shape[0]):
        i = first + r
        for c in range(r + 1, product.shape[1]):
            j = first + c
            kind = np.int64(labels[i] == labels[j])
            b = np.int32(product[r, c] * np.float32(SCALE) + np.float32(SCALE + MARGIN))
            counts[kind, total, b] += 1
            counts[kind, groups[i], b] += 1
            if groups[i] != groups[j]:
                counts[kind, groups[j], b] += 1


def count(rows: Rows, labels: Int, groups: Int, n_groups: int) -> Int:
    """Return impostor and genuine pairs per bin that touch each group, and at last all: ``[2, G + 1, bins]``."""
    order = np.argsort(groups, kind="stable")  # neighbours touch the same counters
    rows, labels, groups = rows[order], labels[order], groups[order]
    counts = np.zeros((2, n_groups + 1, BINS), np.int64)
    for first in range(0, len(rows), BLOCK):
        _count(rows[first : first + BLOCK] @ rows[first:].T, first, labels, groups, counts)
    return counts


def tpr(impostor: Int, genuine: Int, target: float) -> float:
    """Return the TPR at a target at the resolution of the bins, from counts ``[bins]``."""
    impostors, genuines = np.cumsum(impostor[::-1]), np.cumsum(genuine[::-1])
    accepted = int(np.searchsorted(impostors, allowed_at(target, int(impostors[-1])), side="right"))
    return int(genuines[accepted - 1]) / int(genuines[-1]) if accepted else 0.0


def placements(impostor: Int, genuine: Int) -> tuple[Float, Float]:
    """Return, for each bin, the shares of impostors below it and of genuine pairs above it, ties one half."""
    below = (np.cumsum(impostor) - impostor / 2) / impostor.sum()
    above = 1 - (np.cumsum(genuine) - genuine / 2) / genuine.sum()
    return below, above


def quantities(impostor: Int, genuine: Int) -> Float:
    """Return TPR at each target, then the AUROC."""
    below, _ = placements(impostor, genuine)
    return np.array([*(tpr(impostor, genuine, target) for target in TARGETS), genuine @ below / genuine.sum()])


def pair_errors(impostor: Int, genuine: Int) -> Float:
    """Return standard errors as if pairs were independent: binomial for TPR, DeLong's (1988) for the AUROC."""
    below, above = placements(impostor, genuine)
    m, n = int(impostor.sum()), int(genuine.sum())
    shares = quantities(impostor, genuine)
    of_genuine, of_impostor = (c @ (x - shares[-1]) ** 2 / c.sum() for c, x in ((genuine, below), (impostor, above)))
    return np.append(np.sqrt(shares[:-1] * (1 - shares[:-1]) / n), math.sqrt(of_genuine / n + of_impostor / m))


def _ends(found: tuple[float, float] | Difference | None) -> Ends:
    if isinstance(found, Difference):
        found = None if found.low is None or found.high is None else (found.low, found.high)
    return Ends(math.nan, math.nan) if found is None else Ends(*found)


def measure(rows: Rows, labels: Int, groups: Int, n_groups: int) -> Measured:
    """Verify one model."""
    counts = count(rows, labels, groups, n_groups)
    impostor, genuine = counts[:, -1]
    shares = quantities(impostor, genuine)
    points = tuple(
        Point(target, 0, None, share, None, None, None, None, ())
        for target, share in zip(TARGETS, shares[:-1].tolist(), strict=True)
    )
    touched = Groups(*(np.stack([folded(group, FOLD) for group in kind[:-1]]) for kind in counts))
    found = replicate(Counts(impostor, genuine), touched, points, FOLD)
    ends = [_ends(of_one) for of_one in (*found.tpr_cis, interval(float(shares[-1]), found.auroc, auroc_ends))]
    without = np.array([*found.tpr, found.auroc], np.float64)
    return Measured(shares, without, ends, pair_errors(impostor, genuine))


def groups_of(design: Design, n_groups: int) -> Int:
    """Return the group of each image, as `verify` makes them."""
    names, labels = list(range(len(design.sizes))), design.labels
    if len(names) < n_groups:
        return group_of_samples(labels, names, n_groups)
    return group_of_labels(names, n_groups)[labels]


def truth(design: Design, which: int) -> Float:
    """Return the quantities in the population, for each model, ``[2, 4]``; given a set of classes, where fixed."""
    rng = np.random.default_rng([2, which])
    labels = np.arange(PART) % len(design.sizes) if design.fixed else np.arange(PART)  # equal sizes
    counts = np.zeros((2, 2, BINS), np.int64)
    for _ in range(PARTS):
        identities = fixed_classes(design, which) if design.fixed else draw_identities(rng, PART, design.d)
        for model, rows in enumerate(draw_images(rng, identities, labels, design.noise)):
            counts[model] += count(rows, labels, np.zeros(PART, np.int64), 1)[:, -1]
    if not design.fixed:
        counts[:, 1] = _genuine(rng, design)
    return np.stack([quantities(*of_model) for of_model in counts])


def _genuine(rng: Rng, design: Design) -> Int:
    """Count genuine pairs of ever new identities, for each model: ``[2, bins]``."""
    counts, labels = np.zeros((2, BINS), np.int64), np.arange(PART)
    for _ in range(GENUINE // PART):
        identities = draw_identities(rng, PART, design.d)
        a, b = (draw_images(rng, identities, labels, design.noise) for _ in range(2))
        for model in range(2):
            scores = np.einsum("ij,ij->i", a[model], b[model]) * np.float32(SCALE) + np.float32(SCALE + MARGIN)
            counts[model] += np.bincount(scores.astype(np.int64), minlength=BINS)
    return counts


def repeat(task: tuple[Design, int, int]) -> tuple[Measured, Measured]:
    """Carry one repetition out, for both models."""
    design, n_groups, repetition = task
    groups = groups_of(design, n_groups)
    with threadpool_limits(1):
        first, second = (measure(rows, design.labels, groups, n_groups) for rows in images_of(design, repetition))
    return first, second


def _true(task: tuple[Design, int]) -> Float:
    with threadpool_limits(1):
        return truth(*task)


def wilson(share: float, error: float) -> Ends:
    """Return Wilson's (1927) interval of a share, written with its binomial standard error."""
    if not 0 < share < 1:
        return Ends(share, share)
    z2 = NORMAL**2 * error**2 / (share * (1 - share))  # z^2 / n
    half = NORMAL * math.sqrt(error**2 + z2**2 / (4 * NORMAL**2)) / (1 + z2)
    centre = (share + z2 / 2) / (1 + z2)
    return Ends(centre - half, centre + half)


def by_identities(a: Measured, b: Measured, q: int) -> tuple[Ends, Ends]:
    """Return the interval of the first model's quantity, and of the difference between the second and the first."""
    of_a, of_b = a.without[q].tolist(), b.without[q].tolist()
    ends = even_ends if q < len(TARGETS) else auroc_ends
    return a.ends[q], _ends(difference(float(b.all[q]), float(a.all[q]), of_b, of_a, ends))


def by_pairs(a: Measured, b: Measured, q: int) -> tuple[Ends, Ends]:
    """Return the same as if pairs were independent, and the models too."""
    share, other = float(a.all[q]), float(b.all[q])
    error, half = float(a.pair_errors[q]), NORMAL * math.hypot(a.pair_errors[q], b.pair_errors[q])
    single = wilson(share, error) if q < len(TARGETS) else Ends(share - NORMAL * error, share + NORMAL * error)
    return single, Ends(other - share - half, other - share + half)


def row_of(name: str, flag: str, true: Float, ends: Iterable[Ends], by_pair: Iterable[Ends]) -> str:
    """Return a line of a table: how often intervals, where there are any, hold the truth of their repetition."""
    low, high = np.array(list(ends)).T
    pair_low, pair_high = np.array(list(by_pair)).T
    some = ~np.isnan(low)
    low, high, true = low[some], high[some], true[some]
    cells = [
        name + flag,
        f"{true.mean():.4f}",
        f"{np.mean((low <= true) & (true <= high)):.1%}",
        f"{np.mean(true < low):.1%}",
        f"{np.mean(true > high):.1%}",
        f"{np.nanmedian(high - low) / 2:.4f}",
        f"{np.mean((pair_low[some] <= true) & (true <= pair_high[some])):.1%}",
        f"{np.mean(~some):.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def tables(design: Design, done: list[tuple[Measured, Measured]], truths: list[Float]) -> tuple[list[str], list[str]]:
    """Return lines for the first model, and for the difference between the models."""
    of_repetition = np.stack([truths[r % len(truths)] for r in range(len(done))])  # [R, 2, 4]
    n = len(design.labels)
    n_genuine = sum(size * (size - 1) // 2 for size in design.sizes)
    n_impostor = n * (n - 1) // 2 - n_genuine
    single, paired = [], []
    for q, quantity in enumerate(QUANTITIES):
        few = q < len(TARGETS) and allowed_at(TARGETS[q], n_impostor) < FEW_ERRORS
        name, flag = f"{design.name} | {quantity}", " (few_errors)" if few else ""
        units, pairs = ([by(a, b, q) for a, b in done] for by in (by_identities, by_pairs))
        a, b = of_repetition[:, 0, q], of_repetition[:, 1, q]
        single.append(row_of(name, flag, a, [u[0] for u in units], [p[0] for p in pairs]))
        paired.append(row_of(name, flag, b - a, [u[1] for u in units], [p[1] for p in pairs]))
    return single, paired


def check(design: Design, n_groups: int, repetitions: int) -> tuple[float, float]:
    """Return how far numbers and replicates, and ends of intervals, are at most from those of `verify`."""
    furthest, furthest_end = 0.0, 0.0
    for repetition in range(repetitions):
        rows = images_of(design, repetition)[0]
        found = verify(rows, design.labels, TARGETS, groups=n_groups)
        lean = repeat((design, n_groups, repetition))[0]
        points = found.points[::-1]
        if found.intervals is None:
            raise SystemExit("verify made no intervals")
        numbers = np.array([*(point.tpr for point in points), found.auroc], np.float64)
        without = np.array([*reversed(found.intervals.replicates_tpr), found.intervals.replicates_auroc], np.float64)
        ends = np.array([_ends(end) for end in (*(point.tpr_ci for point in points), found.auroc_ci)])
        furthest = max(furthest, float(abs(numbers - lean.all).max()), float(abs(without - lean.without).max()))
        furthest_end = max(furthest_end, float(np.nanmax(abs(ends - np.array(lean.ends)))))
    return furthest, furthest_end


COLUMNS = (
    *("design", "quantity", "truth", "coverage", "misses: truth below", "above", "median half-width"),
    *("coverage, by pairs", "no interval"),
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="of each design")
    parser.add_argument("--groups", type=int, default=20, help="one is left out at a time")
    parser.add_argument("--processes", type=int, default=2, help="each carries whole repetitions out")
    parser.add_argument("--only", action="append", help="the name of a design; several times for several")
    parser.add_argument(
        "--check", type=int, default=3, help="repetitions of each design to compare with verify; 0: none"
    )
    return parser.parse_args()


def main() -> None:
    """Simulate, and print the tables."""
    given = options()
    start = time.perf_counter()
    singles, pairs, checks = [], [], []
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for design in (d for d in DESIGNS if given.only is None or d.name in given.only):
            truths = pool.map(
                _true, [(design, which) for which in range(CLASS_SETS if design.fixed else 1)], chunksize=1
            )
            tasks = [(design, given.groups, repetition) for repetition in range(given.repetitions)]
            single, paired = tables(design, pool.map(repeat, tasks, chunksize=5), truths)
            singles += single
            pairs += paired
            if given.check:
                checks.append("| {} | {:.1e} | {:.1e} |".format(design.name, *check(design, given.groups, given.check)))
            print(f"{design.name}: {time.perf_counter() - start:.0f} s so far", flush=True)
    print(
        f"\n{given.repetitions} repetitions of each design, {given.groups} groups, {given.processes} processes, ",
        end="",
    )
    print(f"{time.perf_counter() - start:.0f} s; {os.cpu_count()} cores, {platform.machine()}, {platform.system()}")
    print(f"\nOne model\n\n{HEAD}", *singles, sep="\n")
    print(f"\nThe second model less the first\n\n{HEAD}", *pairs, sep="\n")
    if checks:
        print("\n| design | numbers and replicates | ends of intervals |\n| --- | --- | --- |", *checks, sep="\n")


if __name__ == "__main__":
    main()
