"""Whether a property of files goes with the labels: as counting all pairs has it, and by chance as seldom as said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaljobs.audit.tie import LEVEL, tie_of


def test_shares_are_those_of_all_pairs() -> None:
    """Counted pair by pair; the AUROC is scikit-learn's, for the answer "the same" as a score."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    labels = [f"l{label}" for label in rng.integers(0, 4, 60)]
    values = [(int(v), "JPEG") for v in rng.integers(0, 3, 60)]
    pairs = list(itertools.combinations(range(60), 2))
    genuine = [labels[i] == labels[j] for i, j in pairs]
    same = [values[i] == values[j] for i, j in pairs]
    found = tie_of(values, labels)
    assert found.n_values == 3
    assert found.same_genuine == pytest.approx(np.mean([s for s, g in zip(same, genuine, strict=True) if g]))
    assert found.same_impostor == pytest.approx(np.mean([s for s, g in zip(same, genuine, strict=True) if not g]))
    assert found.auroc == pytest.approx(roc_auc_score(genuine, same))


def test_a_property_that_is_the_label_is_tied() -> None:
    """JPEG for one label and PNG for the other: as tied as can be."""
    labels = ["normal"] * 30 + ["defect"] * 30
    found = tie_of(["JPEG"] * 30 + ["PNG"] * 30, labels)
    assert found.tied
    assert found.auroc == 1.0
    assert found.p == pytest.approx(1 / 200)


def test_chance_is_seldom_tied() -> None:
    """Of 300 random splits no more than a few are called tied: the level is the share of permutations."""
    rng = np.random.default_rng(0)
    labels = [f"l{number // 10}" for number in range(80)]
    tied = sum(tie_of(rng.integers(0, 2, 80).tolist(), labels, seed).tied for seed in range(300))
    assert tied <= 3 * 300 * LEVEL


@pytest.mark.parametrize(
    ("values", "labels"), [(["PNG"] * 6, ["a", "a", "b", "b", "c", "c"]), (["PNG", "JPEG"], ["a", "b"])]
)
def test_what_cannot_be_tied_is_not(values: list[str], labels: list[str]) -> None:
    """One value, or no genuine pair: undefined, and never called tied."""
    found = tie_of(values, labels)
    assert found.auroc is None
    assert not found.tied
