"""On a device everything is as on the CPU; without a GPU, torch runs the same code on the CPU."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaljobs.errors import InputError, UsageError
from evaljobs.pairs.bins import HALF_ROWS, HALF_SCALE, Bins, filter_error, half_filter_error
from evaljobs.pairs.gpu.device import open_device
from evaljobs.pairs.gpu.execute import verify_on
from evaljobs.pairs.gpu.passes import Climber
from evaljobs.pairs.gpu.rows import Rows, load, score_by_columns
from evaljobs.pairs.gpu.tally import Tally
from evaljobs.pairs.keys import to_keys
from evaljobs.pairs.refine import Ladder, Refine, climb
from evaljobs.pairs.rounds import Limits
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.tiles import Tiles
from evaljobs.pairs.verification import Verification, conclude, verify

pytestmark = pytest.mark.usefixtures("one_torch_thread")
Matrix = NDArray[np.float32]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# Small sets take the ways of large ones: scanned, scanned again, or refined.
WAYS: tuple[dict[str, int], ...] = ({"collected": 0}, {"collected": 0, "kept": 20}, {"collected": 0, "kept": 0})
TARGETS = (1e-5, 0.001, 0.01, 0.1, 0.29, 0.5, 0.999, 1.0)


def integers(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """Few values: ties and duplicates."""
    return rng.integers(-2, 3, (n, d)).astype(np.float32)


def plain(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """Scores all over the range."""
    return rng.standard_normal((n, d)).astype(np.float32)


def collapsed(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """One vector, up to some units in the last place."""
    return (np.tile(plain(rng, 1, d), (n, 1)) * (1 + rng.integers(-2, 3, (n, d)) * 2.0**-23)).astype(np.float32)


def antipodal(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """One vector and its opposite."""
    return np.tile(plain(rng, 1, d), (n, 1)) * rng.choice(np.array([-1, 1], np.float32), (n, 1))


def lopsided(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """Components and norms from the subnormal to the huge: float16 loses most of them."""
    return (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-20, 18, (n, d))).astype(np.float32)


def clustered(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """Three heaps closer than float16 can tell, and gaps between them."""
    return (rng.standard_normal((3, d))[rng.integers(0, 3, n)] + 1e-5 * rng.standard_normal((n, d))).astype(np.float32)


KINDS: tuple[Callable[[np.random.Generator, int, int], Matrix], ...] = (
    integers, plain, collapsed, antipodal, lopsided, clustered,
)  # fmt: skip


def drawn(kind: Callable[..., Matrix], seed: int, n: int, d: int, n_labels: int) -> tuple[Matrix, list[int]]:
    rng = np.random.default_rng(seed)
    rows = kind(rng, n, d)
    rows[~rows.any(axis=1)] = 1
    return rows, rng.integers(0, n_labels, n).tolist()


def verified(
    device: str, rows: Matrix, labels: Any, targets: tuple[float, ...], tile: int, **limits: int
) -> Verification:
    samples = prepare(rows, labels)
    return conclude(samples, verify_on(open_device(device), samples, targets, tile, 1, limits=Limits(**limits)))


@pytest.mark.parametrize("device", DEVICES)
def test_points_are_exact_on_a_device(oracle: Any, device: str) -> None:
    """Ties, duplicates, collapsed, antipodal, lopsided and clustered vectors; any tile and way: as the definition."""

    @settings(max_examples=120, deadline=None)
    @given(
        st.sampled_from(KINDS), st.integers(0, 2**32), st.integers(2, 28), st.sampled_from((1, 2, 3, 5, 17)),
        st.sampled_from((1, 2, 4, 20, 1000)), st.sampled_from(WAYS), st.sampled_from((8, 16, 64)),
        st.sets(st.sampled_from(TARGETS), min_size=1).map(lambda targets: tuple(sorted(targets))),
    )  # fmt: skip
    def check(kind: Any, seed: int, n: int, d: int, k: int, way: dict[str, int], tile: int, targets: Any) -> None:
        data = drawn(kind, seed, n, d, k)
        oracle(*data).check(verified(device, *data, targets, tile, **way))

    check()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_gives_the_points_of_the_cpu(verify_with: Any, device: str, kind: Any) -> None:
    """Larger sets, full and partial tiles, tiles without genuine pairs: the same points, counts and flags."""
    data = drawn(kind, 7, 700, 40, 90)
    expected = verify_with(*data, TARGETS, collected=0)
    for tile, way in ((64, {"collected": 0}), (128, {"collected": 0}), (256, {"collected": 0, "kept": 500})):
        found = verified(device, *data, TARGETS, tile, **way)
        assert found.points == expected.points
        assert (found.n_genuine, found.n_impostor) == (expected.n_genuine, expected.n_impostor)
        low, high = found.auroc_bounds or (2.0, 2.0)
        exact = verify_with(*data, TARGETS).auroc
        assert low <= exact <= high


def test_the_door_takes_a_device() -> None:
    """`verify` with a device gives what it gives without, and tells the progress of every pair."""
    data = drawn(plain, 3, 4600, 8, 900)  # more pairs than are scored whole
    told: list[tuple[int, int]] = []
    found = verify(*data, (1e-4, 0.01), device=DEVICES[-1], progress=lambda *pairs: told.append(pairs))
    expected = verify(*data, (1e-4, 0.01))
    assert expected.points
    assert [dataclasses.replace(p, tpr_ci=None) for p in found.points] == [
        dataclasses.replace(p, tpr_ci=None) for p in expected.points
    ]
    assert not expected.auroc_exact
    assert told[-1][0] == told[-1][1] >= 4600 * 4599 // 2
    small = drawn(plain, 3, 50, 8, 9)
    beside = {"hardest": 5, "by_label": True}
    assert verify(*small, device="cpu", **beside) == verify(*small, **beside)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed: what is missing, and what to install."""
    data = drawn(plain, 3, 50, 8, 9)
    for name in ("tpu", "", "meta"):
        with pytest.raises(InputError, match="expected 'cuda'"):
            verify(*data, device=name)
    with pytest.raises(UsageError, match="CUDA device"):
        verify(*data, device="cuda:99")
    for tile, said in ((0, "found tile=0; expected at least 1"), (2**15, "found a tile of 32768; expected 1 to 16384")):
        with pytest.raises(InputError, match=said):
            verify(*data, device="cpu", tile=tile)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"needs torch.*evaljobs\[torch\]"):
        verify(*data, device="cuda")


def loaded(rows: Matrix, device: str) -> tuple[Samples, Rows]:
    samples = prepare(rows, range(len(rows)))
    return samples, load(samples, torch.device(device))


def lossy(d: int) -> Matrix:
    """Return rows of length one: float16 rounds their components down by half a unit, or their sums lose."""

    def completed(component: float, *others: float) -> list[float]:
        shared = [*others, *[component] * (d - 1 - len(others))]
        return [*shared, math.sqrt(1 - sum(v * v for v in shared))]

    halfway = 2.0 ** -math.ceil(math.log2(math.sqrt(d))) * (1 + 0.999 * 2.0**-11)
    lost = math.sqrt(2.0**-25 * 0.999)
    return np.array([completed(halfway), completed(lost, math.sqrt(0.5))] * 2, np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("d", [1, 3, 16, 256, 512, 2048])
def test_the_bound_holds_on_a_device(oracle: Any, device: str, d: int) -> None:
    """Lossy, plain, positive, lopsided and equal rows, through the device's own product."""
    rng = np.random.default_rng(d)
    matrices = [plain(rng, 64, d), np.abs(plain(rng, 64, d)), lopsided(rng, 64, d), collapsed(rng, 64, d)]
    if d > 3:
        matrices.append(lossy(d))
    for matrix in matrices:
        matrix[~matrix.any(axis=1)] = 1
        samples, rows = loaded(matrix, device)
        out = torch.empty((len(rows.half),) * 2, dtype=torch.float16, device=device)
        everything = slice(None)
        exact = oracle(matrix, range(samples.n)).matrix
        for product, factor, bound in (
            (rows.product(everything, everything, out), HALF_ROWS**2, half_filter_error(d)),
            (rows.product(everything, everything, out.float()), 1.0, filter_error(d)),
        ):
            found = product.double().cpu().numpy()[: samples.n, : samples.n] / factor
            assert np.abs(found - exact).max() <= bound


def test_the_bound_is_nearly_reached(oracle: Any) -> None:
    """At the edge: rows that float16 rounds as badly as it can come to half of the bound."""
    d = 256
    samples, rows = loaded(lossy(d), "cpu")
    product = rows.product(slice(4), slice(4), torch.empty((4, 4), dtype=torch.float16)).double().numpy()
    error = np.abs(product / HALF_ROWS**2 - oracle(samples.rows, range(4)).matrix).max()
    assert 0.5 * half_filter_error(d) < error <= half_filter_error(d)


def test_the_bound_is_known() -> None:
    """Its size, as the documentation states it; it grows with the dimensions, and is wider than that of float32."""
    assert [f"{half_filter_error(d):.2e}" for d in (128, 256, 512)] == ["1.54e-03", "1.60e-03", "1.73e-03"]
    assert all(half_filter_error(d) < half_filter_error(d + 1) for d in range(1, 3000))
    assert all(half_filter_error(d) > filter_error(d) for d in range(1, 3000))


@pytest.mark.parametrize("d", [1, 128, 2048, 2**20])
def test_a_bin_of_halves_encloses_its_scores(d: int) -> None:
    """All float16 products that can occur lie in a bin whose bounds enclose all scores they can have."""
    bins = Bins(d, HALF_SCALE, half=True)
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = np.sort(halves[np.isfinite(halves)]).astype(np.float32) / np.float32(HALF_ROWS**2)
    values = values[np.abs(values) <= 1 + half_filter_error(d)]
    assert len(values) > 30_000
    found = bins.of(values)
    assert found.min() >= 0
    assert found.max() < bins.count
    assert ((found - bins.zero) / HALF_SCALE - bins.error <= values - half_filter_error(d)).all()
    assert ((found + 1 - bins.zero) / HALF_SCALE + bins.error >= values + half_filter_error(d)).all()
    for b in (0, bins.zero, bins.count - 2 * bins.reach - 2):
        assert bins.low(b + bins.reach + 1) > bins.high(b)
        assert bins.low(b + bins.reach) <= bins.high(b)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_on_a_device_are_the_definition_to_the_last_bit(device: str, kind: Any) -> None:
    """Compiled or plain, in float64, in index order, and never fused."""
    for d in (1, 2, 7, 64, 301):
        rows, _ = drawn(kind, d, 40, d, 1)
        samples, on_device = loaded(rows, device)
        i, j = np.triu_indices(samples.n, 1)
        expected = samples.score_pairs(i, j).view(np.int64)
        pairs = [torch.tensor(p, dtype=torch.int32, device=device) for p in (i, j)]
        assert np.array_equal(on_device.score(*pairs).cpu().numpy().view(np.int64), expected)
        plainly = torch.empty(len(i), dtype=torch.float64, device=device)
        score_by_columns(on_device.unit, *pairs, plainly)
        assert np.array_equal(plainly.cpu().numpy().view(np.int64), expected)


def contents(tally: Tally) -> tuple[Any, ...]:
    counts, n_kept = tally.counts(), tally.n_kept
    kept = tally.take().cpu().numpy()
    assert tally.n_kept == 0
    return counts.impostor.tolist(), counts.genuine.tolist(), n_kept, sorted(map(tuple, kept.T.tolist()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("h", "w"), [(64, 64), (64, 40), (37, 61), (1, 1), (70, 5000)])
@pytest.mark.parametrize("place", [(0, 0), (640, 1280)])
@pytest.mark.parametrize("half", [True, False])
def test_a_tile_is_counted_pair_by_pair(device: str, h: int, w: int, place: tuple[int, int], half: bool) -> None:
    """Every pair in its bin and kind, and every pair of a flagged bin listed once; the kernel as torch does."""
    rng = np.random.default_rng(h + w)
    bins = Bins(64, HALF_SCALE if half else 2**14, half=half)
    factor = HALF_ROWS**2 if half else 1.0
    values = (rng.uniform(-1, 1, (h, -(-w // 8) * 8)) * factor).astype(np.float16 if half else np.float32)
    row_labels, column_labels = np.sort(rng.integers(0, 9, h)), np.sort(rng.integers(0, 9, w))
    flags = np.zeros((2, bins.count), np.uint8)
    flags[:, 5000:5200] = flags[:, 6001] = flags[1, 6010:6500] = flags[0, 7000:] = 1
    found = bins.of(values[:, :w].astype(np.float32) / np.float32(factor))
    i, j = np.mgrid[place[0] : place[0] + h, place[1] : place[1] + w]
    for triangle, impostors in ((True, False), (False, False), (False, True)):
        counted = i < j if triangle else np.ones_like(i, np.bool_)
        labels = (row_labels, column_labels + (100 if impostors else 0))
        same = np.equal.outer(*labels)
        near = counted & (np.where(same, flags[1][found], flags[0][found]) == 1)
        expected = (
            *(np.bincount(found[counted & kind], minlength=bins.count).tolist() for kind in (~same, same)),
            int(near.sum()),
            sorted(zip(i[near].tolist(), j[near].tolist(), found[near].tolist(), strict=True)),
        )
        tally = Tally(torch.device(device), bins, flags, h * w, ((0, 5000), (5200, 6001)))
        on_device = [torch.tensor(e, dtype=torch.int32, device=device) for e in labels]
        product = torch.tensor(values, device=device)
        tally.count(product, place, *on_device, triangle=triangle, impostors=impostors)
        assert contents(tally) == expected


@pytest.mark.parametrize("device", DEVICES)
def test_a_full_tally_still_counts(device: str) -> None:
    """Beyond the capacity pairs are counted, not written; after it was emptied there is room again."""
    bins = Bins(64, HALF_SCALE, half=True)
    labels = torch.zeros(16, dtype=torch.int32, device=device)
    product = torch.zeros((16, 16), dtype=torch.float16, device=device)
    for capacity in (0, 1, 100, 256, 300):
        tally = Tally(torch.device(device), bins, np.ones((2, bins.count), np.uint8), capacity)
        for _ in range(2):
            tally.count(product, (0, 0), labels, labels, triangle=False)
            assert tally.n_kept == 256
            assert tally.take().shape == (3, min(256, capacity))
        assert tally.counts().genuine.sum() == 512


@pytest.mark.parametrize("device", DEVICES)
def test_the_ladder_is_climbed_as_on_the_cpu(device: str) -> None:
    """The same counts and extreme keys for the same pairs, in one go or in pieces."""
    samples, rows = loaded(drawn(plain, 1, 60, 5, 1)[0], device)
    i, j = np.triu_indices(samples.n, 1)
    keys = to_keys(samples.score_pairs(i, j))
    ordered = np.sort(keys)
    low, high = ordered[[10, 500, 900]], ordered[[300, 700, 900]]
    work = Refine(Tiles(samples.n, 8), Bins(5, HALF_SCALE, half=True), low, high)
    expected = Ladder.empty(3)
    climb(keys, samples.labels[i] == samples.labels[j], low, high, work.shift, expected)
    near = torch.tensor(np.stack((i, j, i)), dtype=torch.int32, device=device)
    for at_a_time in (10**6, 100):
        climber = Climber(work, rows)
        climber.climb(near[:, :0])
        climber.climb(near, at_a_time)
        found = climber.ladder()
        for name in vars(expected):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("device", DEVICES)
def test_collapsed_models_stay_within_their_buffers(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """All pairs in one bin, more than are held at a time: refined in pieces, and right."""
    rows = np.ones((300, 4), np.float32)
    rows[::3] += np.float32(1e-6)
    labels = np.arange(300) // 2
    taken: list[int] = []
    take = Tally.take

    @functools.wraps(take)
    def counted(tally: Tally) -> torch.Tensor:
        kept = take(tally)
        taken.append(kept.shape[1])
        return kept

    monkeypatch.setattr(Tally, "take", counted)
    found = verified(device, rows, labels, (0.01, 0.5, 1.0), 64, collected=0, kept=4096)
    monkeypatch.undo()
    assert len(taken) > 10
    assert max(taken) <= 4096
    assert found.points == verify(rows, labels, (0.01, 0.5, 1.0), groups=0).points
