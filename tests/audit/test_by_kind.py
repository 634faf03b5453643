"""Pairs counted by their kinds: the same integers as counting one by one, however the work is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.audit.by_format import OTHER, by_format
from evaljobs.audit.finding import Checked, Verdict
from evaljobs.pairs.by_kind import Counted, count_by_kind
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import Verification, verify

FPR = ("1e-2", "0.1", "1")


def data(n: int, d: int, seed: int) -> tuple[NDArray[np.float32], list[str]]:
    """Return vectors of small integers, many of whose scores are equal, and labels."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (n, d)).astype(np.float32)
    rows[:, 0] += 3 * (np.arange(n) % 5 == 0)
    rows[np.abs(rows).sum(axis=1) == 0, 0] = 1
    return rows, [f"label{label}" for label in rng.integers(0, 6, n)]


def one_by_one(samples: Samples, kinds: NDArray[np.int64], n_kinds: int, thresholds: list[float]) -> NDArray[np.int64]:
    """Score each pair by the definition and count it: slow, and obviously right."""
    found = np.zeros((n_kinds, n_kinds, 2, len(thresholds) + 1), np.int64)
    for i, j in itertools.combinations(range(samples.n), 2):
        score = samples.score_pairs(np.array([i]), np.array([j]))[0]
        kind = sorted(kinds[samples.order[[i, j]]].tolist())
        genuine = int(samples.labels[i] == samples.labels[j])
        found[kind[0], kind[1], genuine, sum(score >= threshold for threshold in thresholds)] += 1
    return found


@pytest.mark.parametrize(("n", "d", "groups"), [(60, 3, 0), (90, 5, 4)])
def test_counts_are_those_of_the_definition(n: int, d: int, groups: int) -> None:
    """Every pair is counted once, by its kinds and by the thresholds that its exact score reaches; ties included."""
    rows, labels = data(n, d, n)
    samples = prepare(rows, labels, n_groups=groups)
    kinds = np.random.default_rng(1).integers(0, 3, n)
    points = verify(rows, labels, FPR, groups=0).points
    thresholds = sorted({p.threshold for p in points if p.threshold is not None})
    found = run_rounds(count_by_kind(samples, kinds, 3, tuple(thresholds)), samples, 2)
    assert isinstance(found, Counted)
    np.testing.assert_array_equal(found.levels, one_by_one(samples, kinds, 3, thresholds))
    for point in points:
        assert point.threshold is not None
        accepted = found.accepted(thresholds.index(point.threshold)).sum(axis=(0, 1)).tolist()
        assert accepted == [point.false_positives, point.true_positives]


def test_any_cut_gives_the_same_counts() -> None:
    """Tasks of a cluster, one or many, add up to the same integers."""
    rows, labels = data(700, 8, 3)
    samples = prepare(rows, labels)
    kinds = np.arange(700) % 2
    (work,) = [next(count_by_kind(samples, kinds, 2, (0.2, 0.9)))]
    totals = []
    for at_least in (1, 5, 100):
        parts = work.parts(at_least)
        assert sum(work.pairs(part) for part in parts) == samples.n_pairs
        total = work.run(samples, parts[0])
        for part in parts[1:]:
            total = total + work.run(samples, part)
        totals.append(total.levels)
    assert totals[0].sum() == samples.n_pairs
    np.testing.assert_array_equal(totals[0], totals[1])
    np.testing.assert_array_equal(totals[0], totals[2])


# By the formats of files


def checked(rows: NDArray[np.float32], labels: list[str], formats: list[str | None]) -> tuple[Checked, Verification]:
    samples = prepare(rows, labels)
    whole = verify(rows, labels, FPR, groups=0)
    return run_rounds(by_format(samples, formats, whole.points), samples, 1), whole


def test_parts_add_up_to_the_whole() -> None:
    """At each target the pairs of all formats together are those of the whole set, at its threshold."""
    rows, labels = data(300, 6, 5)
    formats: list[str | None] = ["JPEG" if number % 3 else "PNG" for number in range(300)]
    found, whole = checked(rows, labels, formats)
    table = found.tables["by_format"].to_pylist()
    assert {(row["format_a"], row["format_b"]) for row in table} == {("JPEG", "JPEG"), ("JPEG", "PNG"), ("PNG", "PNG")}
    for point in whole.points:
        own = [row for row in table if row["target"] == point.target]
        assert sum(row["true_positives"] for row in own) == point.true_positives
        assert sum(row["false_positives"] for row in own) == point.false_positives
        assert sum(row["n_genuine"] for row in own) == whole.n_genuine
        assert sum(row["n_impostor"] for row in own) == whole.n_impostor
        assert {row["threshold"] for row in own} == {point.threshold}
        assert all(row["fpr"] == row["false_positives"] / row["n_impostor"] for row in own)
    assert found.findings[0].verdict is Verdict.CLEAN


def test_a_model_that_sees_formats_is_suspicious() -> None:
    """Impostors of one format that are accepted many times as often as those of two are said, with both rates."""
    rng = np.random.default_rng(0)
    formats: list[str | None] = ["JPEG" if number % 2 else "PNG" for number in range(400)]
    rows = rng.standard_normal((400, 8)).astype(np.float32)
    rows[:, 0] += np.where([name == "JPEG" for name in formats], 2, -2)
    found, _ = checked(rows, [f"label{number // 8}" for number in range(400)], formats)
    (finding,) = found.findings
    assert finding.verdict is Verdict.SUSPICIOUS
    assert finding.evidence["fpr_same"] > 3 * finding.evidence["fpr_mixed"]
    assert "of one format" in finding.claim


def test_formats_that_are_the_labels_leave_nothing_to_compare() -> None:
    """Where every impostor pair is of two formats, no number tells what a model sees: said, and not called clean."""
    rows, _ = data(100, 6, 1)
    formats: list[str | None] = ["JPEG"] * 50 + ["PNG"] * 50
    found, _ = checked(rows, ["normal"] * 50 + ["defect"] * 50, formats)
    assert found.findings[0].verdict is Verdict.SUSPICIOUS
    assert "Every impostor pair is of two formats" in found.findings[0].claim


def test_one_format_is_said() -> None:
    """A set of one format has nothing to split, and says so; a format that is not known is one, too."""
    rows, labels = data(60, 4, 2)
    found, _ = checked(rows, labels, ["PNG"] * 60)
    assert found.findings[0].verdict is Verdict.CLEAN
    assert "All 60 files are PNG" in found.findings[0].claim
    assert found.tables["by_format"].num_rows == 0


def test_rare_formats_are_one() -> None:
    """With many formats the rare ones stand together, so that the table stays one that can be read."""
    rows, labels = data(200, 4, 4)
    names = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO"]
    formats: list[str | None] = [names[min(number % 20, 7)] for number in range(200)]
    found, whole = checked(rows, labels, formats)
    table = found.tables["by_format"].to_pylist()
    assert len({row["format_a"] for row in table}) == 6
    assert OTHER in {row["format_b"] for row in table}
    assert sum(row["n_impostor"] for row in table if row["target"] == 1.0) == whole.n_impostor
