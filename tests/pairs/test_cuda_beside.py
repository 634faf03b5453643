"""Intervals, hardest pairs and errors by label from a device; without a GPU, torch runs the same code on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evaljobs.pairs.bins import GROUP_SCALE, HALF_ROWS, HALF_SCALE, Bins, half_filter_error
from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.gpu.execute import verify_on
from evaljobs.pairs.gpu.rows import load
from evaljobs.pairs.gpu.sheet import Sheet, are_impostors, blocks_of
from evaljobs.pairs.gpu.tally import Tally
from evaljobs.pairs.intervals import group_of_labels, group_of_samples
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.rounds import Limits
from evaljobs.pairs.samples import prepare
from evaljobs.pairs.verification import Verification, conclude

pytestmark = pytest.mark.usefixtures("one_torch_thread")
Matrix = NDArray[np.float32]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
TARGETS = (0.001, 0.01, 0.1, 1.0)
WANTED = Wanted(hardest=15, by_label=True)
# One scan; small tiles; so little kept that more scans are needed.
WAYS = ({"tile": 512}, {"tile": 8}, {"tile": 64, "kept": 900})


def drawn(seed: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Return samples of 30 or of 5 labels, of very different sizes, some of them doubled."""
    rng = np.random.default_rng(seed)
    n, n_labels = int(rng.integers(60, 90)), (5, 30)[seed % 2]
    labels = np.minimum(rng.geometric(0.1, n), n_labels)
    rows = rng.standard_normal((n_labels + 1, 8))[labels] + rng.standard_normal((n, 8))
    if seed % 3 == 0:
        rows[: n // 4] = rows[n // 4 : 2 * (n // 4)]  # ties
    return rows.astype(np.float32), labels


def verified(device: str, rows: Matrix, labels: Any, tile: int, groups: int = 20, **limits: int) -> Verification:
    samples = prepare(rows, labels, for_filter=False, n_groups=groups)
    limits = {"collected": 0, **limits}
    outcome = verify_on(torch.device(device), samples, TARGETS, tile, 1, limits=Limits(**limits), wanted=WANTED)
    return conclude(samples, outcome)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_findings_are_those_of_the_cpu(verify_with: Any, device: str, seed: int, way: dict[str, int]) -> None:
    """The hardest pairs with their scores, and each count of each label and pair of labels; and no point changes."""
    rows, labels = drawn(seed)
    expected = verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED)
    found = verified(device, rows, labels, **way)
    a, b = found.findings, expected.findings
    assert a is not None
    assert len(b.hardest_impostor) == len(b.hardest_genuine) == 15
    assert (a.hardest_impostor, a.hardest_genuine) == (b.hardest_impostor, b.hardest_genuine)
    for mine, other, point in zip(found.points, expected.points, range(len(TARGETS)), strict=True):
        assert (mine.threshold, mine.false_positives, mine.true_positives, mine.tpr_balanced, mine.flags) == (
            other.threshold, other.false_positives, other.true_positives, other.tpr_balanced, other.flags,
        )  # fmt: skip
        assert a.spread(point) == b.spread(point) or (a.spread(point) is None and "kept" in way)
    if "kept" not in way:
        assert a.labels_table(found.points) == b.labels_table(expected.points)
        assert a.label_pairs_table(found.points) == b.label_pairs_table(expected.points)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tile", [8, 512])
def test_replicates_are_results_without_a_group(oracle: Any, device: str, seed: int, tile: int) -> None:
    """AUROC and TPR of what is left, up to the width of bins and the filter's error; labels or samples in groups."""
    rows, labels = drawn(seed)
    found = verified(device, rows, labels, tile)
    codes, names = factorise(labels)
    few = len(names) < 20
    groups = group_of_samples(codes, names, 20) if few else group_of_labels(names, 20)[codes]
    assert found.intervals is not None
    assert (found.intervals.unit, found.intervals.groups) == ("sample" if few else "label", 20)
    width = 1 / GROUP_SCALE + 2 * half_filter_error(rows.shape[1])
    for group in (0, 7, 19):
        truth = oracle(rows[groups != group], labels[groups != group])
        assert found.intervals.replicates_auroc[group] == pytest.approx(float(truth.auroc()), abs=5e-3)
        for point, replicates in zip(found.points, found.intervals.replicates_tpr, strict=True):
            blocker = truth.point(point.target).next_impostor_score
            blocker = -np.inf if blocker is None else blocker
            surely, perhaps = (int((truth.genuine > blocker + side).sum()) for side in (width, -width))
            assert surely - 1e-9 <= replicates[group] * len(truth.genuine) <= perhaps + 1e-9
    assert any(point.tpr_ci for point in found.points)
    assert found.auroc is not None
    assert found.auroc_ci is not None
    assert found.auroc_ci[0] < found.auroc < found.auroc_ci[1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_labels", [7, 60])
@pytest.mark.parametrize(("n", "groups", "tile"), [(300, 20, 512), (300, 20, 8), (301, 3, 64), (90, 2, 16)])
def test_each_pair_is_counted_for_the_groups_it_touches(
    device: str, n_labels: int, n: int, groups: int, tile: int
) -> None:
    """Whatever the tiles: all pairs once in all, and once for each of their groups, in the bin of its product."""
    rng = np.random.default_rng(n + tile)
    rows = rng.choice(np.array([-1, 1], np.float32), (n, 16))  # their products are exact in any order
    samples = prepare(rows, rng.integers(0, n_labels, n), for_filter=False, n_groups=groups)
    assert samples.n_groups == groups
    bins = Bins(16, HALF_SCALE, half=True)
    sheet = Sheet(load(samples, torch.device(device)), tile)
    tally = Tally(torch.device(device), bins, np.zeros((2, bins.count), np.uint8), 0, n_groups=groups)
    done: list[int] = []
    assert sum(1 for _ in sheet.tiles(tally, samples, done.append)) == len(done)
    assert sum(done) == samples.n_pairs
    i, j = np.triu_indices(n, 1)
    product = sheet.rows.product(slice(0, n), slice(0, n), torch.empty((n, n), dtype=torch.float16, device=device))
    scores = product.float().cpu().numpy()[i, j] / np.float32(HALF_ROWS**2)
    number = bins.of(scores)
    found, counts = tally.groups(), tally.counts()
    assert found is not None
    for same, mine, all_ in ((False, found.impostor, counts.impostor), (True, found.genuine, counts.genuine)):
        kind = (samples.labels[i] == samples.labels[j]) == same
        assert np.array_equal(np.bincount(number[kind], minlength=bins.count), all_)
        for group in range(groups):
            touches = kind & ((samples.groups[i] == group) | (samples.groups[j] == group))
            assert np.array_equal(np.bincount(number[touches] // bins.fold, minlength=mine.shape[1]), mine[group])


@pytest.mark.parametrize("unit", ["label", "sample"])
@pytest.mark.parametrize("size", [8, 64, 4096])
def test_blocks_hold_one_group_and_tell_impostors(unit: str, size: int) -> None:
    """Every position once, none above the size; and no genuine pair is taken for an impostor."""
    n, n_labels = 500, 90 if unit == "label" else 19
    rng = np.random.default_rng(size)
    samples = prepare(rng.standard_normal((n, 3)), rng.integers(0, n_labels, n), for_filter=False, n_groups=20)
    assert samples.unit_of_groups == unit
    blocks = blocks_of(samples, size)
    assert [place for block in blocks for place in range(block.first, block.last)] == list(range(n))
    assert all(
        block.size <= size and set(samples.groups[block.first : block.last]) == {block.group} for block in blocks
    )
    seen = set()
    for rows in blocks:
        for columns in blocks:
            shared = set(samples.labels[rows.first : rows.last]) & set(samples.labels[columns.first : columns.last])
            seen.add(told := are_impostors(samples, rows, columns))
            assert not (told and shared)
    assert seen == ({False, True} if unit == "label" or size == 8 else {False})


def test_a_set_that_is_scored_whole_has_everything(verify_with: Any) -> None:
    """Small sets are left to the CPU, intervals and findings included."""
    rows, labels = drawn(1)
    found, expected = (
        verified("cpu", rows, labels, 8, collected=10**6),
        verify_with(rows, labels, TARGETS, groups=20, wanted=WANTED),
    )
    assert found.intervals is not None
    assert (found, found.findings) == (expected, expected.findings)
