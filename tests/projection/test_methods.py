"""Principal components and t-SNE against scikit-learn and the definition; what cannot be projected is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from evaljobs.errors import NonFiniteError
from evaljobs.projection.methods import lengths, nearest, pca, tsne, unit_rows


@pytest.fixture(scope="module")
def unit(digits: Any) -> np.ndarray:
    return unit_rows(digits.rows, lengths(digits.rows))


def test_rows_have_length_one(digits: Any, unit: np.ndarray) -> None:
    """Squared distance is 2 - 2 cosine, whatever the lengths of the embeddings."""
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-6)
    longer = digits.rows * np.float32(8)
    assert np.array_equal(unit_rows(longer, lengths(longer)), unit)


@pytest.mark.parametrize("shape", [(300, 64), (40, 64), (64, 64), (2, 64), (300, 2)])
def test_principal_components_are_those_of_the_svd(unit: np.ndarray, shape: tuple[int, int]) -> None:
    """Places and shares of variance equal the definition: centred rows times the first two right singular vectors."""
    rows = unit[: shape[0], 20 : 20 + shape[1]]
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    found = pca(rows)
    expected = np.zeros((len(rows), 2))
    expected[:, : min(2, len(s))] = (u * s)[:, :2]
    assert np.abs(found.xy) == pytest.approx(np.abs(expected), abs=1e-6)
    shares = s**2 / (s**2).sum()
    assert found.explained_variance == pytest.approx(shares[:2].tolist(), abs=1e-9)


def test_principal_components_are_those_of_scikit_learn(unit: np.ndarray) -> None:
    """The second opinion, signs included."""
    theirs = PCA(2, svd_solver="full").fit(unit.astype(np.float64))
    ours = pca(unit)
    assert ours.xy == pytest.approx(theirs.transform(unit.astype(np.float64)), abs=1e-9)
    assert ours.explained_variance == pytest.approx(theirs.explained_variance_ratio_.tolist(), abs=1e-12)


def test_tsne_is_as_good_as_scikit_learn_by_itself(unit: np.ndarray) -> None:
    """From the exact components on, neighbourhoods come out as true as from its own start."""
    ours = tsne(unit, 30, seed=0)
    theirs = TSNE(2, perplexity=30, random_state=0)
    with threadpool_limits(1):
        theirs.fit_transform(unit)
    assert ours is not None
    assert ours.perplexity == 30
    assert ours.kl_divergence < 1.05 * theirs.kl_divergence_
    assert trustworthiness(unit, ours.xy, n_neighbors=10) > 0.95


def test_tsne_is_the_same_each_time(unit: np.ndarray) -> None:
    """The same bytes again, also where other threads are allowed; another seed arranges otherwise."""
    first = tsne(unit[:120], 20, seed=3)
    with threadpool_limits(2):
        second = tsne(unit[:120], 20, seed=3)
    other = tsne(unit[:120], 20, seed=4)
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.xy.tobytes() == second.xy.tobytes()
    assert first[1:] == second[1:]
    assert not np.array_equal(first.xy, other.xy)


def test_few_images_get_a_smaller_perplexity(unit: np.ndarray) -> None:
    """A third of the others at most, as the method needs; what was used is said."""
    found = tsne(unit[:10], 30, seed=2**63 - 1)
    assert found is not None
    assert found.perplexity == 3
    assert np.isfinite(found.xy).all()


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_few_images_are_not_arranged(unit: np.ndarray, n: int) -> None:
    """Of one, two or four images t-SNE says nothing; their components stand all the same."""
    assert tsne(unit[:n], 30, seed=0) is None
    found = pca(unit[:n])
    assert found.xy.shape == (n, 2)
    assert np.isfinite(found.xy).all()
    assert (found.explained_variance is None) == (n == 1)


def test_equal_embeddings_have_one_place(unit: np.ndarray) -> None:
    """A collapsed model ends in one point and no share of a variance, not in NaN."""
    collapsed = np.repeat(unit[:1], 50, axis=0)
    found = pca(collapsed)
    assert not found.xy.any()
    assert found.explained_variance is None
    assert tsne(collapsed, 30, seed=0) is None


def test_copies_do_not_disturb(unit: np.ndarray) -> None:
    """Images that are there many times are no trouble for either method."""
    rows = np.repeat(unit[:30], 4, axis=0)
    found = tsne(rows, 30, seed=0)
    assert found is not None
    assert np.isfinite(found.xy).all()


def test_one_dimension_is_enough() -> None:
    """The second component of embeddings on a line is 0, and t-SNE has two axes all the same."""
    rows = np.random.default_rng(0).standard_normal((40, 1)).astype(np.float32)
    found = pca(rows)
    assert not found.xy[:, 1].any()
    assert found.explained_variance == (pytest.approx(1), 0)
    arranged = tsne(rows, 5, seed=0)
    assert arranged is not None
    assert np.isfinite(arranged.xy).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 3e38])
def test_unusable_rows_are_counted_and_named(digits: Any, bad: float) -> None:
    """What is NaN, infinite or all zero is an error of the model; what is only large is not."""
    rows = digits.rows.copy()
    rows[[7, 1100 % 300]] = bad
    if bad == 3e38:
        assert np.isfinite(unit_rows(rows, lengths(rows))).all()
        return
    with pytest.raises(NonFiniteError) as error:
        lengths(rows)
    assert error.value.count == 2
    assert error.value.rows == (7, 200)


def test_nearest_is_that_of_all_pairs(unit: np.ndarray) -> None:
    """The largest cosine in float64, the image itself aside."""
    cosines = unit.astype(np.float64) @ unit.astype(np.float64).T
    np.fill_diagonal(cosines, -np.inf)
    found = nearest(unit)
    assert found is not None
    assert cosines[np.arange(300), found.rows] == pytest.approx(cosines.max(1), abs=1e-6)
    assert found.scores == pytest.approx(cosines.max(1), abs=1e-6)
    assert nearest(unit[:1]) is None
