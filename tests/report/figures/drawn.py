"""Verifications of real vectors, as what figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.rounds import Limits, rounds
from evaljobs.pairs.samples import prepare
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import Verification, conclude
from evaljobs.report.results import Group
from evaljobs.report.section import Found

TARGETS = (0.001, 0.01, 0.1, 1.0)
HOSTILE = ["_hidden", "$x^{2", "a" * 1000, "名前-モデル", "\x1b[31m\x00", "", "\udcff", "😀", "<&>\"'", "\\frac{1}{2}"]


class Vectors(NamedTuple):
    """What one model makes of a set: ``[n, d]`` float32, and ``n`` labels."""

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]


def vectors(seed: int, n: int = 120, spread: float = 1.0) -> Vectors:
    """Return vectors around the middles of 12 labels; the wider the spread, the worse the model."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 12
    middles = np.random.default_rng(99).standard_normal((12, 8))
    return Vectors((middles[labels] + spread * rng.standard_normal((n, 8))).astype(np.float32), labels)


def verified(given: Vectors, targets: tuple[float, ...] = TARGETS, collected: int = 10**7) -> Verification:
    """Verify; with ``collected=0`` as large sets are."""
    samples = prepare(given.rows, given.labels, n_groups=10)
    return conclude(samples, run_rounds(rounds(samples, targets, Limits(collected=collected)), samples, 1))


def all_scores(given: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of genuine and of impostor pairs by the definition: float64, summed in index order."""
    rows = given.rows.astype(np.float64)
    squares = np.zeros(len(rows))
    for column in rows.T:
        squares = squares + column * column
    scores = np.zeros((len(rows), len(rows)))
    for column in (rows / np.sqrt(squares)[:, None]).T:
        scores = scores + np.multiply.outer(column, column)
    i, j = np.triu_indices(len(rows), 1)
    same = given.labels[i] == given.labels[j]
    return scores[i, j][same], scores[i, j][~same]


def found_of(
    models: Mapping[str, Verification], folder: Path, image_set: str = "main", prefix: str = "", job: str = "verify"
) -> Found:
    """Put verifications together as the report finds them."""
    evaluations = {
        name: {
            "job": job,
            "kind": "verification",
            "set": image_set,
            "model": name,
            "status": "ok",
            "result": v.to_json(),
        }
        for name, v in models.items()
    }
    entries = [{"name": name, "status": "ok", "tags": {}, "cost": None} for name in models]
    document = {"run": "test", "sets": [], "models": entries, "evaluations": list(evaluations.values())}
    tables = {name: v.tables() for name, v in models.items()}
    return Found(document, Group(job, image_set, evaluations), tables, folder, prefix)
