"""Results documents of several runs, with numbers that are counted by hand and replicates that are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Document = dict[str, Any]

N_GENUINE, N_IMPOSTOR = 10_000, 1_000_000
TARGETS = (1e-4, 1e-3)


def digest(text: str) -> str:
    """Return a digest as those of files are."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_result(tpr: float, *, seed: int = 0, spread: float = 1e-3, targets: Sequence[float] = TARGETS) -> Document:
    """Return a verification whose TPR at the first target is given, with replicates around each number."""
    rng = np.random.default_rng(seed)

    def around(value: float) -> list[float]:
        return [float(r) for r in np.clip(value + spread * rng.normal(size=20), 0, 1)]

    tprs = [min(1.0, tpr + 0.01 * place) for place in range(len(targets))]
    auroc = (1 + tpr) / 2
    points = [
        {
            "target": target,
            "allowed": round(target * N_IMPOSTOR),
            "fpr": target,
            "tpr": one,
            "tpr_ci": [max(0.0, one - 0.01), min(1.0, one + 0.01)],
            "threshold": 0.5,
            "next_impostor_score": 0.4,
            "false_positives": round(target * N_IMPOSTOR),
            "true_positives": round(one * N_GENUINE),
            "flags": [],
        }
        for target, one in zip(targets, tprs, strict=True)
    ]
    return {
        "protocol": "all",
        "n_samples": 1500,
        "n_genuine": N_GENUINE,
        "n_impostor": N_IMPOSTOR,
        "auroc": auroc,
        "auroc_exact": True,
        "auroc_bounds": [auroc, auroc],
        "auroc_ci": [auroc - 0.001, min(1.0, auroc + 0.001)],
        "points": points,
        "intervals": {
            "unit": "label",
            "groups": 20,
            "replicates": {"auroc": around(auroc), "tpr": [around(one) for one in tprs]},
        },
        "listed": None,
        "notes": [],
    }


def make_model(name: str, file: str | None = None, **changes: Any) -> Document:
    """Return a model's entry; models of one `file` have one digest."""
    return {
        "name": name,
        "digest": digest(file or name),
        "tags": {},
        "series": None,
        "metadata": {},
        "cost": {"size_mb": 5.5, "params": 1_234_567, "gmacs": 0.5, "gflops": 1.0},
        "notes": [],
        "status": "ok",
        "error": None,
        **changes,
    }


def make_run(
    models: Mapping[str, Document | None],
    *,
    day: int = 1,
    name: str = "nightly",
    images: str = "faces",
    image_set: str = "main",
    job: str = "verification",
    files: Mapping[str, str] | None = None,
    series: Mapping[str, Document] | None = None,
) -> Document:
    """Return the results of a run: one job on one set, a result for each model, None where it failed.

    Parameters
    ----------
    day
        Of November 2026, on which it was made.
    images
        What the digest of the set is made of.
    files, series
        By model: its file, by default its name; its place in a line.
    """
    where = {"job": job, "kind": "verification", "set": image_set}
    failed = {"kind": "crashed", "message": "it died"}
    status = {model: {"status": "ok" if r else "failed", "error": None if r else failed} for model, r in models.items()}
    return {
        "schema_version": 1,
        "run": name,
        "config_digest": digest(name),
        "sets": [
            {
                "name": image_set,
                "digest": digest(images),
                "n_samples": 1500,
                "n_labels": 30,
                "n_single_labels": 2,
                "excluded": 0,
                "excluded_by_kind": {},
                "notices": [],
            }
        ],
        "models": [
            make_model(m, (files or {}).get(m), series=(series or {}).get(m), **status[m]) for m in models
        ],
        "evaluations": [
            {**where, "model": m, **status[m], "result": r, "tables": ["roc"] if r else [], "figures": []}
            for m, r in models.items()
        ],
        "execution": {
            "started": f"2026-11-{day:02}T03:00:00+00:00",
            "seconds": 60.0,
            "host": "here",
            "provider": "CPUExecutionProvider",
            "models": {m: {"rows": 1500, "embed_seconds": 3.0, "images_per_s": 500.0 * day} for m in models},
            "versions": {"evaljobs": "0.1.0"},
        },
    }  # fmt: skip


def make_tables(document: Document) -> dict[tuple[str, str, str], dict[str, pa.Table]]:
    """Return a table of one row for each evaluation that worked: it names the run's day and the model."""
    return {
        (e["job"], e["set"], e["model"]): {
            "roc": pa.table({"of": [f"{document['execution'].get('started', '')[8:10]} {e['model']}"]})
        }
        for e in document["evaluations"]
        if e["status"] == "ok"
    }
