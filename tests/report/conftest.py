"""Results documents for the tests of tables, pages and figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

Document = dict[str, Any]

N_GENUINE, N_IMPOSTOR = 10_000, 1_000_000

# An ablation as it was published: name, TPR at FPR 1e-4, AUROC, GFLOPs, MB.
PUBLISHED = [
    ("lcnet050-f256-r128-ln-arc", 0.754, 0.9951, 0.053, 5.54),
    ("lcnet050-f256-r128-ln-softmax", 0.663, 0.9907, 0.053, 5.54),
    ("lcnet050-f256-r128-ln-cos", 0.784, 0.9968, 0.053, 5.54),
    ("lcnet050-f256-r128-ln-cos-from-scratch", 0.141, 0.9273, 0.053, 5.54),
    ("lcnet050-f256-r128-ln-cos-squeeze", 0.772, 0.9958, 0.052, 2.46),
    ("lcnet050-f256-r128-bn-cos", 0.721, 0.992, 0.053, 5.54),
    ("lcnet050-f128-r96-ln-cos", 0.713, 0.9944, 0.029, 2.33),
    ("lcnet050-f256-r128-ln-cos-gap", 0.480, 0.9762, 0.053, 2.67),
    ("efficientnet_b0-f256-r128-ln-cos", 0.682, 0.9931, 0.242, 19.89),
]


def make_point(target: float, tpr: float | None, flags: tuple[str, ...] = (), n_impostor: int = N_IMPOSTOR) -> Document:
    """Return an operating point that accepts all that is allowed; undefined where the flags say so."""
    undefined = "no_impostors" in flags
    allowed = None if undefined else round(target * n_impostor)
    return {
        "target": target,
        "allowed": allowed,
        "fpr": None if allowed is None else allowed / n_impostor,
        "tpr": tpr,
        "tpr_ci": None,
        "threshold": None if undefined else 0.123456789012345678 + 0.5 * (1 - target),
        "next_impostor_score": None if undefined or target == 1 else 0.12345 + 0.5 * (1 - target),
        "false_positives": allowed,
        "true_positives": None if tpr is None else round(tpr * N_GENUINE),
        "flags": list(flags),
    }


def make_model(name: str, gflops: float = 0.05, size_mb: float = 5.5, **changes: Any) -> Document:
    """Return a model's entry; one that worked unless the changes say otherwise."""
    backbone, _, norm = name.partition("-")
    return {
        "name": name,
        "digest": "00" * 32,
        "tags": {"backbone": backbone, "rest": norm},
        "metadata": {},
        "cost": {"size_mb": size_mb, "params": 1_234_567, "gmacs": gflops / 2, "gflops": gflops},
        "notes": [],
        "status": "ok",
        "error": None,
        **changes,
    }


def make_evaluation(
    model: str, points: list[Document], auroc: float | None = 0.99, job: str = "verification", image_set: str = "main"
) -> Document:
    """Return a verification that worked."""
    result = {
        "protocol": "all",
        "n_samples": 1500,
        "n_genuine": N_GENUINE,
        "n_impostor": N_IMPOSTOR,
        "auroc": auroc,
        "auroc_exact": True,
        "auroc_bounds": None if auroc is None else [auroc, auroc],
        "auroc_ci": None,
        "points": points,
        "intervals": None,
    }
    return {
        "job": job,
        "kind": "verification",
        "set": image_set,
        "model": model,
        "status": "ok",
        "error": None,
        "result": result,
        "tables": ["roc"],
        "figures": [],
    }


def make_document(
    models: list[Document], evaluations: list[Document], excluded: dict[str, int] | None = None
) -> Document:
    """Return a results document."""
    return {
        "schema_version": 1,
        "run": "ablation",
        "config_digest": "ab" * 32,
        "sets": [
            {
                "name": "main",
                "digest": "cd" * 32,
                "n_samples": 1500,
                "n_labels": 30,
                "n_single_labels": 2,
                "excluded": sum((excluded or {}).values()),
                "excluded_by_kind": excluded or {},
                "notices": [],
            }
        ],
        "models": models,
        "evaluations": evaluations,
        "execution": {"seconds": 1.5, "host": "here"},
    }


def make_published() -> Document:
    """Return the published ablation as a results document."""
    models = [make_model(name, gflops, size) for name, _, _, gflops, size in PUBLISHED]
    evaluations = [
        make_evaluation(name, [make_point(1e-5, tpr / 2, ("few_errors",)), make_point(1e-4, tpr)], auroc)
        for name, tpr, auroc, _, _ in PUBLISHED
    ]
    return make_document(models, evaluations)


def make_curve_table(seed: int, n: int = 300) -> pa.Table:
    """Return a ROC table of drawn scores: every threshold, nothing thinned."""
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(0.4, 0.2, n), rng.normal(0, 0.2, 10 * n)
    threshold = np.sort(np.concatenate([genuine, impostor]))[::-1]
    fpr = (impostor[None, :] >= threshold[:, None]).mean(1)
    tpr = (genuine[None, :] >= threshold[:, None]).mean(1)
    return pa.table({"threshold": threshold, "fpr": fpr, "tpr": tpr})


@pytest.fixture
def published() -> Document:
    """Give the published ablation."""
    return make_published()


@pytest.fixture
def make() -> Callable[..., Any]:
    """Builders by name: ``make("model", ...)``."""
    builders: dict[str, Callable[..., Any]] = {
        "point": make_point,
        "model": make_model,
        "evaluation": make_evaluation,
        "document": make_document,
        "curve_table": make_curve_table,
    }

    def build(what: str, *args: Any, **changes: Any) -> Any:
        return builders[what](*args, **changes)

    return build
