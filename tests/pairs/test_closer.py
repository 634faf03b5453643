"""Hardest pairs, errors by label, and replicates: what brute force finds, on every way a set can take."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs import verify_pairs
from evaljobs.pairs import closer
from evaljobs.pairs.bins import GROUP_SCALE
from evaljobs.pairs.closer import LISTED, Wanted
from evaljobs.pairs.findings import Findings
from evaljobs.pairs.intervals import group_of_labels, group_of_samples
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.verification import Verification

BIN = 1 / GROUP_SCALE + 1e-5  # of the groups' counts
TARGETS = (0.001, 0.01, 0.1, 1.0)
WANTED = Wanted(hardest=15, by_label=True)
# All scored at once; scanned; scanned in small tiles; with so little kept that more scans are needed.
WAYS = ({}, {"collected": 0}, {"collected": 0, "tile": 7, "threads": 2}, {"collected": 0, "kept": 900})


def drawn(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return samples of 30 or of 5 labels, of very different sizes, some of them doubled."""
    rng = np.random.default_rng(seed)
    n, n_labels = int(rng.integers(60, 90)), (5, 30)[seed % 2]
    labels = np.minimum(rng.geometric(0.1, n), n_labels)
    rows = rng.standard_normal((n_labels + 1, 8))[labels] + rng.standard_normal((n, 8))
    if seed % 3 == 0:
        rows[: n // 4] = rows[n // 4 : 2 * (n // 4)]  # ties
    return rows.astype(np.float32), labels


def listed(truth: Any, rows: int) -> list[tuple[float, int, int]]:
    i, j = np.triu_indices(rows, 1)
    return list(zip(truth.scores.tolist(), i.tolist(), j.tolist(), strict=True))


def table_of(table: list[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    return [row for row in table if row["target"] == target]


def look(found: Verification) -> Findings:
    assert found.findings is not None
    return found.findings


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_hardest_pairs_are_those_of_a_sort(oracle: Any, verify_with: Any, seed: int, way: dict[str, int]) -> None:
    """Impostors by falling, genuine pairs by rising score, ties by row: with the score to the last bit."""
    rows, labels = drawn(seed)
    truth = oracle(rows, labels)
    found = look(verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED, **way))
    pairs = listed(truth, len(rows))
    impostor = sorted((-s, a, b) for (s, a, b), same in zip(pairs, truth.same, strict=True) if not same)[:15]
    genuine = sorted(pair for pair, same in zip(pairs, truth.same, strict=True) if same)[:15]
    for expected, hardest, sign in ((impostor, found.hardest_impostor, -1), (genuine, found.hardest_genuine, 1)):
        assert hardest is not None
        assert [(sign * p.score, p.a, p.b) for p in hardest] == expected
        assert [(p.label_a, p.label_b) for p in hardest] == [(labels[p.a], labels[p.b]) for p in hardest]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_errors_by_label_are_those_of_counting(oracle: Any, verify_with: Any, seed: int, way: dict[str, int]) -> None:
    """For every label its genuine pairs and those accepted; for every pair of labels its false accepts."""
    rows, labels = drawn(seed)
    truth = oracle(rows, labels)
    found = verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED, **way)
    i, j = np.triu_indices(len(rows), 1)
    table = look(found).labels_table(found.points).to_pylist()
    pairs = look(found).label_pairs_table(found.points).to_pylist()
    for number, point in enumerate(found.points):
        accepted = truth.scores >= (np.inf if point.threshold is None else point.threshold)
        is_listed = table_of(table, point.target)[0]["false_positives"] is not None
        assert is_listed or point.false_positives > way.get("kept", LISTED) // 2
        shares = []
        for row in table_of(table, point.target):
            label = int(row["label"])
            genuine = truth.same & (labels[i] == label)
            expected = (int((labels == label).sum()), int(genuine.sum()), int((genuine & accepted).sum()))
            assert (row["n_samples"], row["n_genuine"], row["true_positives"]) == expected
            assert row["tpr"] == (expected[2] / expected[1] if expected[1] else None)
            touched = accepted & ~truth.same & ((labels[i] == label) | (labels[j] == label))
            assert row["false_positives"] == (int(touched.sum()) if is_listed else None)
            shares += [Fraction(expected[2], expected[1])] if expected[1] else []
        assert len(shares) > 3
        assert point.tpr_balanced == pytest.approx(float(sum(shares) / len(shares)), abs=1e-15)
        wrong = np.sort(np.stack((labels[i], labels[j])), axis=0)[:, accepted & ~truth.same].T
        names, counts = np.unique(wrong, axis=0, return_counts=True)
        expected_pairs = sorted((-int(c), int(a), int(b)) for (a, b), c in zip(names, counts, strict=True))
        mine = [row for row in pairs if row["target"] == point.target]
        expected_pairs = expected_pairs if is_listed else []
        assert [(-r["false_positives"], int(r["label_a"]), int(r["label_b"])) for r in mine] == expected_pairs[:20]
        spread = look(found).spread(number)
        assert (spread is None) == (not expected_pairs)
        if spread is not None:
            assert spread["n_label_pairs"] == len(expected_pairs)
            assert spread["largest"]["false_positives"] == -expected_pairs[0][0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_replicates_are_results_without_a_group(oracle: Any, verify_with: Any, seed: int, way: dict[str, int]) -> None:
    """AUROC and TPR of what is left, up to the width of bins; groups of labels, or of samples where labels are few."""
    rows, labels = drawn(seed)
    found = verify_with(rows, labels, TARGETS, groups=20, **way)
    codes, names = factorise(labels)
    few = len(names) < 20
    groups = group_of_samples(codes, names, 20) if few else group_of_labels(names, 20)[codes]
    assert found.intervals.unit == ("sample" if few else "label")
    assert found.intervals.groups == 20
    assert len(found.intervals.replicates_auroc) == 20
    for group in (0, 7, 19):
        left = groups != group
        truth = oracle(rows[left], labels[left])
        assert found.intervals.replicates_auroc[group] == pytest.approx(float(truth.auroc()), abs=1e-3)
        for point, replicates in zip(found.points, found.intervals.replicates_tpr, strict=True):
            expected = truth.point(point.target)
            # In one bin with the blocker, a share of the pairs is taken for accepted; none where there are ties.
            blocker = -np.inf if expected.next_impostor_score is None else expected.next_impostor_score
            surely, perhaps = (int((truth.genuine > blocker + width).sum()) for width in (BIN, -BIN))
            assert surely - 1e-9 <= replicates[group] * len(truth.genuine) <= perhaps + 1e-9
    for point, replicates in zip(found.points, found.intervals.replicates_tpr, strict=True):
        assert point.tpr_ci is None or point.tpr_ci[0] <= point.tpr <= point.tpr_ci[1]
        assert point.tpr_ci is None or len(set(replicates)) > 1
    assert any(point.tpr_ci for point in found.points)
    assert found.auroc_ci[0] < found.auroc < found.auroc_ci[1]


def test_what_is_beside_changes_no_point(verify_with: Any) -> None:
    """With and without groups, hardest pairs and labels: the same points and AUROC."""
    for seed in range(3):
        rows, labels = drawn(seed)
        for way in WAYS:
            bare = verify_with(rows, labels, TARGETS, **way)
            full = verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED, **way)
            keys = ("target", "allowed", "tpr", "fpr", "threshold", "next_impostor_score", "flags")
            for a, b in zip(bare.points, full.points, strict=True):
                assert [getattr(a, key) for key in keys] == [getattr(b, key) for key in keys]
            assert bare.auroc_bounds == full.auroc_bounds
            assert bare.intervals is bare.findings is None


def test_more_equal_pairs_than_can_be_kept_leave_out_the_hardest(
    verify_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collapsed model: which pairs are hardest nobody can say; errors by label are counted all the same."""
    monkeypatch.setattr(closer, "_MOST_SCORED", 1000)
    rows, labels = np.ones((200, 4), np.float32), np.arange(200) // 4
    for kept in (500, 10**6):
        found = verify_with(rows, labels, (0.1, 1.0), groups=20, wanted=WANTED, collected=0, kept=kept)
        assert look(found).hardest_impostor is None
        assert found.points[0].true_positives == 0
        accepted = look(found).labels_table(found.points).to_pylist()
        assert {row["tpr"] for row in accepted if row["target"] == 1.0} == {1.0}
        assert found.points[1].tpr_ci is None, "no replicate varies"


def test_tables_are_whole_where_there_is_nothing_to_tell(verify_with: Any) -> None:
    """Without genuine pairs, without impostors, with two samples: columns without rows, nulls, no interval."""
    for labels in ([0, 1, 2], [0, 0, 0], [0, 1], [0, 0]):
        rows = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
        for way in WAYS:
            found = verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED, **way)
            tables = found.tables()
            assert set(tables) == {"roc", "scores", "hardest", "labels", "label_pairs"}
            assert tables["hardest"].num_rows == found.n_genuine + found.n_impostor
            assert found.intervals is None
            assert tables["labels"].column_names[0] == "target"


@pytest.mark.parametrize("kept", [200, 400, 2000, 10**6])
def test_hardest_pairs_are_all_or_none(oracle: Any, verify_with: Any, kept: int) -> None:
    """Most impostors tie below a few duplicates, which alone can be kept: no list, rather than a short one."""
    n = 60
    rows = np.zeros((n, n + 1), np.float32)
    rows[:, 0] = rows[np.arange(n), np.arange(n) + 1] = 1
    rows[1:4] = rows[0]
    labels = np.arange(n)
    labels[-1] = labels[-2]
    truth = oracle(rows, labels)
    found = verify_with(rows, labels, (0.002, 1.0), wanted=WANTED, collected=0, kept=kept)
    truth.check(found)
    hardest = look(found).hardest_impostor
    assert (hardest is None) == (kept < truth.impostor.size)
    if hardest is not None:
        assert [pair.score for pair in hardest] == np.sort(truth.impostor)[::-1][:15].tolist()


def test_false_accept_within_a_label_counts_once_for_it() -> None:
    """A list may call a pair of one label an impostor: that is one false positive of the label, not two."""
    rows = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    found = verify_pairs(rows, [[0, 1], [2, 3], [0, 2]], list("aabbcc"), (1.0,), genuine=[0, 1, 1], by_label=True)
    assert {row["label"]: row["false_positives"] for row in look(found).labels_table(found.points).to_pylist()} == {
        "a": 1,
        "b": 0,
        "c": 0,
    }
