"""How often the 95% intervals of anomaly jobs hold the truth: on scores of which the truth is known.

    python benchmarks/anomaly_intervals.py [--repeats 300]

Scores of normal images are drawn from N(0, 1), of anomalous ones from N(1.5, 1); so the AUROC is Phi(1.5 / sqrt 2), and
the TPR at a FPR t is Phi(1.5 - Phi^-1(1 - t)).
"""

from __future__ import annotations

import argparse
import math
from statistics import NormalDist

import numpy as np

import evaljobs

SHIFT = 1.5
TARGETS = (0.02, 0.1)
SIZES = ((800, 200), (1000, 40), (200, 200))


def main() -> None:
    """Print a row for each size of the set: the share of intervals that hold the truth, and their mean width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    normal = NormalDist()
    truths = [normal.cdf(SHIFT / math.sqrt(2)), *(normal.cdf(SHIFT - normal.inv_cdf(1 - t)) for t in TARGETS)]
    print("| normal | anomalous | AUROC |" + "".join(f" TPR at FPR {t:g} |" for t in TARGETS))
    print("| --- " * (3 + len(TARGETS)) + "|")
    for n_normal, n_anomalous in SIZES:
        held = np.zeros((len(truths), repeats))
        width = np.zeros((len(truths), repeats))
        for number in range(repeats):
            for place, (low, high) in enumerate(intervals(n_normal, n_anomalous, number)):
                held[place, number], width[place, number] = low <= truths[place] <= high, high - low
        cells = [f"{share:.1%} ({wide:.3f})" for share, wide in zip(held.mean(axis=1), width.mean(axis=1), strict=True)]
        print(f"| {n_normal:,} | {n_anomalous:,} | {' | '.join(cells)} |", flush=True)


def intervals(n_normal: int, n_anomalous: int, seed: int) -> list[tuple[float, float]]:
    """Return the intervals of one set: of the AUROC, and of the TPR at each target."""
    anomalous = np.arange(n_normal + n_anomalous) >= n_normal
    scores = np.random.default_rng(seed).normal(size=len(anomalous)) + SHIFT * anomalous
    found = evaljobs.detect_anomalies(scores, anomalous, TARGETS)
    both = [found.auroc_ci, *(point.tpr_ci for point in found.points)]
    return [ends for ends in both if ends is not None]


if __name__ == "__main__":
    main()
