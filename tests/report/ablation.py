"""A published ablation as a results document: real numbers of fourteen models, without replicates.

Names follow ``{backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]``; three models of one name were trained on different
numbers of classes, three more on another data set, each with a recipe of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaljobs.models.tags import parse_tags
from evaljobs.report.results import verification_groups
from evaljobs.report.section import Found

Document = dict[str, Any]

PATTERN = "{backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]"
TARGET = 1e-4
INDOOR = {"classes": "390144", "recipe": "Indoor"}


class Model(NamedTuple):
    """One row of the publication."""

    name: str
    tpr: float
    auroc: float
    gflops: float | None = 0.053
    size_mb: float | None = 5.54
    extra: Mapping[str, str] = INDOOR


def _imagenet(recipe: str, tpr: float, auroc: float) -> Model:
    extra = {"classes": "1281833", "recipe": recipe}
    return Model("lcnet050-f256-r128-ln-cos-squeeze", tpr, auroc, 0.052, 2.46, extra)


PUBLISHED = [
    Model("lcnet050-f256-r128-ln-arc", 0.754, 0.9951),
    Model("lcnet050-f256-r128-ln-softmax", 0.663, 0.9907),
    Model("lcnet050-f256-r128-ln-cos", 0.784, 0.9968),
    Model("lcnet050-f256-r128-ln-cos-from-scratch", 0.141, 0.9273),
    Model("lcnet050-f256-r128-ln-cos-squeeze", 0.772, 0.9958, 0.052, 2.46),
    Model("lcnet050-f256-r128-bn-cos", 0.721, 0.992),
    Model("lcnet050-f128-r96-ln-cos", 0.713, 0.9944, 0.029, 2.33),
    Model("lcnet050-f256-r128-ln-cos-gap", 0.480, 0.9762, 0.053, 2.67),
    Model("efficientnet_b0-f256-r128-ln-cos", 0.682, 0.9931, 0.242, 19.89),
    Model("lcnet050-f256-r128-ln-arc", 0.615, 0.9867, extra={"classes": "16256", "recipe": "Indoor"}),
    Model("lcnet050-f256-r128-ln-arc", 0.666, 0.9919, extra={"classes": "130048", "recipe": "Indoor"}),
    _imagenet("ImageNet-1K", 0.813, 0.9961),
    _imagenet("ImageNet-1K, CLIP", 0.859, 0.9982),
    _imagenet("ImageNet-1K, CLIP, LN + BN", 0.912, 0.9984),
]


def tags_of(model: Model) -> dict[str, str]:
    """Return the tags that the name and the configuration give."""
    found = parse_tags(PATTERN, model.name)
    assert found is not None
    return {**found, **model.extra}


def full_name(model: Model) -> str:
    """Return a name of its own, as the tool makes them."""
    alike = [other for other in PUBLISHED if other.name == model.name]
    differing = [key for key in model.extra if len({other.extra[key] for other in alike}) > 1]
    told = ", ".join(f"{key}={model.extra[key]}" for key in differing)
    return f"{model.name} ({told})" if told else model.name


def entry(name: str, tags: Mapping[str, str], gflops: float | None = 0.05, size_mb: float | None = 5.0) -> Document:
    """Return a model that worked."""
    cost = {"gflops": gflops, "gmacs": None if gflops is None else gflops / 2, "size_mb": size_mb, "params": None}
    return {"name": name, "tags": dict(tags), "cost": cost, "status": "ok", "error": None, "notes": [], "metadata": {}}


def evaluation(
    name: str, tpr: float | None, auroc: float, replicates: Sequence[float | None] | None = None, target: float = TARGET
) -> Document:
    """Return a verification of a million impostor pairs with one operating point.

    Parameters
    ----------
    replicates
        Of the TPR; those of AUROC are a tenth as far from it.
    """
    point = {"target": target, "allowed": round(target * 1e6), "false_positives": round(target * 1e6), "fpr": target}
    rates = {"tpr": tpr, "tpr_ci": None, "true_positives": None if tpr is None else round(tpr * 1e4)}
    scores = {"threshold": 0.41, "next_impostor_score": 0.4, "flags": [] if tpr is not None else ["no_genuine"]}
    intervals = None
    if replicates is not None:
        aurocs = [None if r is None or tpr is None else auroc + (r - tpr) / 10 for r in replicates]
        kept = {"tpr": [list(replicates)], "auroc": aurocs}
        intervals = {"unit": "label", "groups": len(replicates), "replicates": kept}
    counts = {"protocol": "all", "n_samples": 1500, "n_genuine": 10_000, "n_impostor": 1_000_000}
    curve = {"auroc": auroc, "auroc_exact": True, "auroc_bounds": [auroc, auroc], "auroc_ci": None}
    result = {**counts, **curve, "points": [{**point, **rates, **scores}], "intervals": intervals}
    where = {"job": "verification", "kind": "verification", "set": "main", "model": name}
    return {**where, "status": "ok", "error": None, "result": result, "tables": [], "figures": []}


def found_in(models: Sequence[Document], evaluations: Sequence[Document]) -> Found:
    """Return what a section is made of."""
    document = {"models": list(models), "evaluations": list(evaluations), "execution": {}}
    return Found(document, verification_groups(document)[0], {}, Path())


def published() -> Found:
    """Return the publication."""
    models = [entry(full_name(m), tags_of(m), m.gflops, m.size_mb) for m in PUBLISHED]
    return found_in(models, [evaluation(full_name(m), m.tpr, m.auroc) for m in PUBLISHED])
