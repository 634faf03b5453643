"""Probes against a gallery, and listed pairs: the same exactness, flags, intervals and findings as all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import evaljobs
from evaljobs.errors import InputError, NonFiniteError
from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.cross import prepare_cross
from evaljobs.pairs.rounds import Limits, rounds
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import Verification, conclude

TARGETS = (0.001, 0.01, 0.29, 1.0)
WAYS = ({}, {"collected": 0}, {"collected": 0, "tile": 7}, {"collected": 0, "kept": 300})
WANTED = Wanted(hardest=12, by_label=True)


class Chosen:
    """The oracle of all pairs, with some of them chosen."""

    def __new__(cls, oracle: Any, rows: NDArray[Any], labels: Any, chosen: list[tuple[int, int]]) -> Any:
        truth = oracle(rows, labels)
        i, j = np.array(chosen).T
        truth.scores, truth.same = truth.matrix[i, j], np.asarray(labels)[i] == np.asarray(labels)[j]
        truth.genuine, truth.impostor = truth.scores[truth.same], truth.scores[~truth.same]
        return truth


def drawn(seed: int, n: int = 70) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.1, n), (4, 25)[seed % 2])
    rows = (rng.standard_normal((26, 6))[labels] + rng.standard_normal((n, 6))).astype(np.float32)
    rows[:10] = rows[20:30]
    return rows, labels


def cross(rows: Any, labels: Any, n_probes: int, ids: list[str] | None, **limits: int) -> Verification:
    samples = prepare_cross(
        rows[:n_probes], labels[:n_probes], rows[n_probes:], labels[n_probes:],
        ids and ids[:n_probes], ids and ids[n_probes:], n_groups=20,
    )  # fmt: skip
    return conclude(samples, run_rounds(rounds(samples, TARGETS, Limits(**limits), WANTED), samples, 2))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("way", WAYS)
def test_every_probe_meets_every_sample_of_the_gallery_but_itself(oracle: Any, seed: int, way: dict[str, int]) -> None:
    """Points, AUROC and findings are those of brute force over the rectangle, without pairs of equal ids."""
    rows, labels = drawn(seed)
    n_probes = (1, 9, 35, 60)[seed % 4]
    ids = [f"p{k}" for k in range(n_probes)] + [f"g{k}" for k in range(n_probes, len(rows))]
    if seed % 2:
        for k in range(0, min(n_probes, len(rows) - n_probes), 2):
            ids[n_probes + k] = ids[k]
    chosen = [(a, b) for a in range(n_probes) for b in range(n_probes, len(rows)) if ids[a] != ids[b]]
    truth = Chosen(oracle, rows, labels, chosen)
    found = cross(rows, labels, n_probes, ids, **way)
    truth.check(found)
    assert found.protocol == "cross"
    assert found.findings is not None
    hardest = sorted(
        (-s, a, b - n_probes) for s, (a, b), same in zip(truth.scores, chosen, truth.same, strict=True) if not same
    )
    if found.findings.hardest_impostor is not None:
        assert [(-p.score, p.a, p.b) for p in found.findings.hardest_impostor] == hardest[:12]
    else:
        assert way.get("kept") == 300
    table = found.findings.labels_table(found.points).to_pylist()
    i, j = np.array(chosen).T
    for row in table:
        point = next(p for p in found.points if p.target == row["target"])
        accepted = truth.scores >= (np.inf if point.threshold is None else point.threshold)
        genuine = truth.same & (labels[i] == int(row["label"]))
        assert (row["n_genuine"], row["true_positives"]) == (genuine.sum(), (genuine & accepted).sum())
        if row["false_positives"] is not None:
            touched = ~truth.same & accepted & ((labels[i] == int(row["label"])) | (labels[j] == int(row["label"])))
            assert row["false_positives"] == touched.sum()
    assert bool(table) == bool(found.n_genuine and found.n_impostor)


@pytest.mark.parametrize("seed", range(6))
def test_listed_pairs_are_compared_as_they_are_listed(oracle: Any, seed: int) -> None:
    """In any order, several times, either way round; genuine by the labels or by a column of their own."""
    rows, labels = drawn(seed)
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, len(rows), (400, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    truth = Chosen(oracle, rows, labels, [tuple(pair) for pair in pairs.tolist()])
    found = evaljobs.verify_pairs(rows, pairs, labels, TARGETS, hardest=9, by_label=True)
    truth.check(found)
    assert found.protocol == "pairs"
    assert found.auroc_exact
    assert found.findings is not None
    assert found.findings.hardest_genuine is not None
    worst = sorted((s, k) for k, s in enumerate(truth.scores.tolist()) if truth.same[k])[:9]
    assert [(p.score, p.a, p.b) for p in found.findings.hardest_genuine] == [(s, *pairs[k].tolist()) for s, k in worst]
    same = evaljobs.verify_pairs(rows, pairs, None, TARGETS, genuine=truth.same)
    assert same.points == tuple(
        type(p)(**{**vars(p), "tpr_balanced": None, "tpr_ci": q.tpr_ci})
        for p, q in zip(found.points, same.points, strict=True)
    )
    assert any("stand in the list again" in note for note in found.notes)
    contrary = evaljobs.verify_pairs(rows, pairs, labels, TARGETS, genuine=~truth.same)
    assert (contrary.n_genuine, contrary.n_impostor) == (found.n_impostor, found.n_genuine)
    assert any(f"otherwise than the labels for {len(pairs)} of {len(pairs)}" in note for note in contrary.notes)


def test_all_pairs_listed_are_all_pairs() -> None:
    """The list of every pair i < j gives the points, AUROC, intervals and hardest pairs of `verify`."""
    rows, labels = drawn(1, n=120)
    pairs = np.stack(np.triu_indices(120, 1), axis=1)
    listed = evaljobs.verify_pairs(rows, pairs, labels, TARGETS, hardest=20, by_label=True)
    whole = evaljobs.verify(rows, labels, TARGETS, hardest=20, by_label=True)
    for name in ("n_genuine", "n_impostor", "auroc", "auroc_bounds", "n_labels"):
        assert getattr(listed, name) == getattr(whole, name)
    assert listed.findings is not None
    assert whole.findings is not None
    assert listed.findings.hardest_genuine == whole.findings.hardest_genuine
    assert listed.findings.labels_table(listed.points) == whole.findings.labels_table(whole.points)
    assert listed.findings.label_pairs_table(listed.points) == whole.findings.label_pairs_table(whole.points)
    assert listed.intervals is not None
    assert whole.intervals is not None
    assert listed.intervals.unit == whole.intervals.unit == "label"
    assert listed.intervals.replicates_auroc == pytest.approx(whole.intervals.replicates_auroc, abs=1e-4)


def test_replicates_leave_out_both_sides() -> None:
    """A probe that is also in the gallery is in one group; a replicate has no pair that touches its group."""
    rows, labels = drawn(1, n=60)
    ids = [f"{k}" for k in range(60)]
    found = evaljobs.verify_cross(rows, labels, rows, labels, (0.1,), probe_ids=ids, gallery_ids=ids)
    whole = evaljobs.verify(rows, labels, (0.1,))
    assert (found.n_genuine, found.n_impostor) == (2 * whole.n_genuine, 2 * whole.n_impostor)
    assert found.auroc == whole.auroc
    assert found.intervals is not None
    assert whole.intervals is not None
    assert found.intervals.replicates_auroc == pytest.approx(whole.intervals.replicates_auroc, abs=1e-12)


@pytest.mark.parametrize(
    ("pairs", "genuine", "message"),
    [
        ([[0, 1], [2, 2]], None, "1 pairs of a sample with itself, rows 2"),
        ([[0, 1], [2, 70]], None, r"no such row in 1 pairs, first \[2, 70\]; expected 0 to 69"),
        ([[0, -1]], None, "no such row"),
        ([], None, "at least one pair"),
        ([[0.0, 1.0]], None, "expected integers"),
        ([[0, 1]], [2], "expected true or false"),
        ([[0, 1]], [True, False], "2 values in the genuine column for 1 pairs"),
    ],
)
def test_unusable_pairs_are_refused(pairs: Any, genuine: Any, message: str) -> None:
    """The message says what was found and what is expected."""
    rows, labels = drawn(0)
    with pytest.raises(InputError, match=message):
        evaljobs.verify_pairs(rows, pairs, labels, genuine=genuine)


def test_unusable_probes_and_galleries_are_refused() -> None:
    """No samples, other dimensions, ids on one side, ids that stand twice, not a single pair, numbers and text."""
    rows, labels = drawn(0)
    with pytest.raises(InputError, match="no sample among the gallery"):
        evaljobs.verify_cross(rows, labels, rows[:0], [])
    with pytest.raises(InputError, match="6 and 5 dimensions"):
        evaljobs.verify_cross(rows, labels, rows[:, :5], labels)
    with pytest.raises(InputError, match="of the probes or of the gallery alone"):
        evaljobs.verify_cross(rows, labels, rows, labels, probe_ids=list(range(70)))
    with pytest.raises(InputError, match="'a' more than once in gallery_ids"):
        evaljobs.verify_cross(rows[:1], labels[:1], rows[:2], labels[:2], probe_ids=["b"], gallery_ids=["a", "a"])
    with pytest.raises(InputError, match="no pair"):
        evaljobs.verify_cross(rows[:1], labels[:1], rows[:1], labels[:1], probe_ids=["b"], gallery_ids=["b"])
    with pytest.raises(InputError, match="text and integers"):
        evaljobs.verify_cross(rows[:1], ["1"], rows[:1], [1])
    with pytest.raises(NonFiniteError, match="row 70"):
        evaljobs.verify_cross(rows, labels, np.full((1, 6), np.nan), [1])
    with pytest.raises(InputError, match="neither labels nor a genuine column"):
        evaljobs.verify_pairs(rows, [[0, 1]])
