"""A classifier that sees metadata alone, cross-validated: of labels, and of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.audit.fields import Field
from evaljobs.audit.telling import LEAST

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

# With more classes, trees that hold a share of each of them take gigabytes, and pairs say it better.
MOST_CLASSES = 20
_TREES, _LEAST_IN_A_LEAF = 50, 5
# Values of a name that are seen one by one.
_MOST_NAMES = 32
# Of each kind, in each half.
_PAIRS = 2_000
_DIGITS = 4


def classify_labels(fields: Sequence[Field], labels: Int64, folds: Int64, *, seed: int = 0) -> float | None:
    """Return the cross-validated AUROC of a random forest that tells labels by all fields together.

    One class against all others, mean over classes weighted by images, within each fold; None where there are no
    fields, or not 2 to `MOST_CLASSES` classes with at least `telling.LEAST` images (the others are left out).

    Parameters
    ----------
    labels, folds
        ``[n]`` int64: copies of one image are to be in one fold.
    """
    kept = np.bincount(labels)[labels] >= LEAST
    classes, numbers = np.unique(labels[kept], return_inverse=True)
    if not fields or not 2 <= len(classes) <= MOST_CLASSES:
        return None
    seen = _features(fields)[kept]
    return _cross_validated(seen, numbers, folds[kept], len(classes), seed)


def classify_pairs(fields: Sequence[Field], labels: Int64, folds: Int64, *, seed: int = 0) -> float | None:
    """Return the cross-validated AUROC of a random forest that tells genuine from impostor pairs by all fields.

    It sees of a pair whether each field is equal, and of numbers how many classes of them lie between. It is fitted on
    pairs of one half of the images and judged on pairs of the other, and the other way round. Of many pairs a random
    part is taken. None where a half lacks genuine or impostor pairs.
    """
    rng = np.random.default_rng(seed)
    halves = [_pairs_of(np.flatnonzero(folds % 2 == half), labels, rng) for half in (0, 1)]
    if not fields or any(pairs is None for pairs in halves):
        return None
    known = [pairs for pairs in halves if pairs is not None]
    seen = [_pair_features(fields, a, b) for a, b in known]
    genuine = [(labels[a] == labels[b]).astype(np.int64) for a, b in known]
    parts = np.repeat([0, 1], [len(part) for part in genuine])
    return _cross_validated(np.concatenate(seen), np.concatenate(genuine), parts, 2, seed)


def _forest(seed: int) -> RandomForestClassifier:
    from sklearn.ensemble import RandomForestClassifier

    # One thread: several add up the trees in the order in which they end.
    return RandomForestClassifier(
        _TREES, min_samples_leaf=_LEAST_IN_A_LEAF, class_weight="balanced", n_jobs=1, random_state=seed
    )


def _cross_validated(seen: Float64, numbers: Int64, folds: Int64, n_classes: int, seed: int) -> float | None:
    from sklearn.metrics import roc_auc_score

    aurocs, weights = [], []
    for fold in np.unique(folds).tolist():
        inside = folds == fold
        if len(np.unique(numbers[~inside])) < n_classes or len(np.unique(numbers[inside])) < n_classes:
            continue
        scores = _forest(seed).fit(seen[~inside], numbers[~inside]).predict_proba(seen[inside])
        if n_classes == 2:
            found = roc_auc_score(numbers[inside], scores[:, 1])
        else:
            # Each class against all others, as `telling` has it.
            each = [roc_auc_score(numbers[inside] == label, scores[:, label]) for label in range(n_classes)]
            found = np.average(each, weights=np.bincount(numbers[inside], minlength=n_classes))
        aurocs.append(found)
        weights.append(int(inside.sum()))
    return round(float(np.average(aurocs, weights=weights)), _DIGITS) if aurocs else None


def _features(fields: Sequence[Field]) -> Float64:
    """Return ``[n, p]``: numbers by their rank, names one column for each of their values."""
    columns: list[Float64] = []
    for field in fields:
        if field.ranks is not None:
            columns.append(field.ranks)
            continue
        counts = np.bincount(field.codes, minlength=field.n_codes)
        most = np.argsort(-counts, kind="stable")[:_MOST_NAMES]
        columns += [(field.codes == value).astype(np.float64) for value in most.tolist()]
    return np.stack(columns, axis=1)


def _pair_features(fields: Sequence[Field], a: Int64, b: Int64) -> Float64:
    columns: list[Float64] = []
    for field in fields:
        left, right = field.codes[a], field.codes[b]
        columns.append((left == right).astype(np.float64))
        if field.ranks is not None:
            columns.append(np.abs(left - right).astype(np.float64))
    return np.stack(columns, axis=1)


def _pairs_of(rows: Int64, labels: Int64, rng: np.random.Generator) -> tuple[Int64, Int64] | None:
    """Return pairs of these rows, as many genuine as impostor, or fewer where there are not as many."""
    if len(rows) < 2:
        return None
    genuine = _genuine(rows, labels, rng)
    a, b = rng.choice(rows, 4 * _PAIRS), rng.choice(rows, 4 * _PAIRS)
    different = np.flatnonzero(labels[a] != labels[b])[: max(len(genuine[0]), LEAST)]
    if len(genuine[0]) < LEAST or len(different) < LEAST:
        return None
    return np.concatenate([genuine[0], a[different]]), np.concatenate([genuine[1], b[different]])


def _genuine(rows: Int64, labels: Int64, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Return genuine pairs, each drawn among all with the same chance, or all of them where they are few."""
    rows = rows[np.argsort(labels[rows], kind="stable")]
    _, starts, sizes = np.unique(labels[rows], return_index=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])
    total = int(before[-1])
    drawn = np.arange(total) if total <= _PAIRS else rng.integers(0, total, _PAIRS)
    group = np.searchsorted(before, drawn, "right") - 1
    # Pairs i < j of a group in the order (0, 1), (0, 2), (1, 2), (0, 3), ...
    within = drawn - before[group]
    j = ((1 + np.sqrt(1 + 8 * within)) // 2).astype(np.int64)
    i = within - j * (j - 1) // 2
    return rows[starts[group] + i], rows[starts[group] + j]
