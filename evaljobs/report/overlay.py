"""The ROC figures of a run: one per job and set, all its models on it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from evaljobs.report.figures import RocCurve, roc_figure
from evaljobs.report.leaderboard import chosen_fpr, leaderboard_rows
from evaljobs.report.results import OK, Document, Group, verification_groups


def write_roc_figures(
    results: Document, tables: Mapping[tuple[str, str, str], Mapping[str, pa.Table]], out: Path
) -> dict[tuple[str, str], tuple[Path, Path]]:
    """Write a ROC figure per (job, set) that has a curve: ``roc.png``, or ``roc-JOB-SET.png`` where there are several.

    Parameters
    ----------
    results
        The results document.
    tables
        By (job, set, model): tables by name; ``roc`` has the float64 columns threshold, fpr, tpr.
    out
        An existing folder.

    Returns
    -------
    dict
        By (job, set): the PNG and the SVG file.
    """
    groups = verification_groups(results)
    written: dict[tuple[str, str], tuple[Path, Path]] = {}
    for group in groups:
        curves = _curves(results, group, tables)
        if not curves:
            continue
        stem = out / ("roc" if len(groups) == 1 else f"roc-{file_name(group.job)}-{file_name(group.set)}")
        written[group.job, group.set] = roc_figure(curves, stem, _targets(group), chosen_fpr(group))
    return written


def _targets(group: Group) -> list[float]:
    results = [e["result"] for e in group.evaluations.values() if e["status"] == OK]
    return sorted({float(point["target"]) for result in results for point in result["points"]})


def _curves(
    results: Document, group: Group, tables: Mapping[tuple[str, str, str], Mapping[str, pa.Table]]
) -> dict[str, RocCurve]:
    """Return the curves that can be drawn, best model first."""
    curves: dict[str, RocCurve] = {}
    for row in leaderboard_rows(results, group, chosen_fpr(group) or 1.0):
        name = row["model"]["name"]
        table = tables.get((group.job, group.set, name), {}).get("roc")
        if row["status"] != OK or table is None:
            continue
        fpr, tpr = (np.asarray(table.column(column).to_numpy(), np.float64) for column in ("fpr", "tpr"))
        # Without genuine or impostor pairs a rate is undefined: there is no curve.
        if len(fpr) and np.isfinite(fpr).all() and np.isfinite(tpr).all():
            curves[name] = RocCurve(fpr, tpr, int(row["result"]["n_impostor"]))
    return curves


def file_name(name: str) -> str:
    """Return a part of a file name; a name that had to be changed is kept apart from others by its hash."""
    safe = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._")[:60]
    return safe if safe == name else f"{safe}.{hashlib.sha256(name.encode(errors='backslashreplace')).hexdigest()[:8]}"
