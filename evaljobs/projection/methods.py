"""The two projections, principal components and t-SNE. Reproducible: one thread, random numbers from a seed alone."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from evaljobs.errors import NonFiniteError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_NAMED = 5
# t-SNE looks at three times the perplexity as many neighbours (van der Maaten 2014): there must be so many.
_NEIGHBOURS = 3
# Of fewer, or fewer different, images there is nothing that it could arrange.
LEAST_FOR_TSNE = 5
# The spread of the first arrangement, as scikit-learn has it, and of what parts points that coincide.
_START, _NOISE = 1e-4, 1e-6
_ROWS = 1024


class Method(enum.StrEnum):
    """How embeddings come into the plane."""

    PCA = "pca"
    TSNE = "tsne"


class Pca(NamedTuple):
    """Places on the first two principal components.

    Attributes
    ----------
    xy
        ``[n, 2]`` float64.
    explained_variance
        The share of the total variance on each of the two; None where nothing varies.
    """

    xy: Float64
    explained_variance: tuple[float, float] | None


class Tsne(NamedTuple):
    """Places that t-SNE found.

    Attributes
    ----------
    xy
        ``[n, 2]`` float64, without unit.
    perplexity
        That was used.
    kl_divergence
        At the end: of the neighbourhoods in the plane from those of the embeddings; the lower, the truer.
    iterations
        That it took.
    """

    xy: Float64
    perplexity: float
    kl_divergence: float
    iterations: int


class Nearest(NamedTuple):
    """The nearest other image of each: its row, ``[n]`` int64, and the cosine, ``[n]`` float64."""

    rows: NDArray[np.int64]
    scores: Float64


def lengths(rows: NDArray[np.floating]) -> Float64:
    """Return the lengths of ``[n, d]`` rows, ``[n]`` float64, some rows at a time.

    Raises
    ------
    NonFiniteError
        If a row is not finite, or all zero.
    """
    found = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        wide = rows[start : start + _ROWS].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            found[start : start + _ROWS] = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    bad = np.flatnonzero(~np.isfinite(found) | (found == 0))
    if len(bad):
        message = f"{len(bad)} of {len(rows)} embeddings are not finite, or all zero"
        raise NonFiniteError(message, count=len(bad), rows=tuple(bad[:_NAMED].tolist()))
    return found


def unit_rows(rows: NDArray[np.floating], lengths: Float64) -> Float32:
    """Return rows of length 1, ``[n, d]`` float32: between them, squared distance is 2 - 2 cosine."""
    return (rows.astype(np.float64) / lengths[:, None]).astype(np.float32)


def pca(unit: Float32) -> Pca:
    """Project on the first two principal components (Pearson 1901; Hotelling 1933), computed in float64.

    Parameters
    ----------
    unit
        ``[n, d]``, n at least 1. The sign of a component is scikit-learn's: the largest loading is positive.
    """
    n, d = unit.shape
    xy = np.zeros((n, 2))
    components = min(2, d, n)
    wide = unit.astype(np.float64)
    if n < 2 or not _varies(unit):
        return Pca(xy, None)
    from sklearn.decomposition import PCA

    with threadpool_limits(1):
        # Both solvers are exact; the covariance is the smaller matrix where there are more images than dimensions.
        found = PCA(components, svd_solver="covariance_eigh" if n > d else "full")
        xy[:, :components] = found.fit_transform(wide)
    shares = [*np.asarray(found.explained_variance_ratio_, np.float64).tolist(), 0.0][:2]
    return Pca(xy, (shares[0], shares[1]))


def tsne(unit: Float32, perplexity: float, seed: int) -> Tsne | None:
    """Arrange images so that neighbours stay neighbours (van der Maaten and Hinton 2008), from their PCA on.

    The same on one kind of machine for any number of workers; another CPU or library may arrange them otherwise.

    Parameters
    ----------
    unit
        ``[n, d]``.
    perplexity
        How many neighbours count, about; (n - 1) / 3 where that is less.
    seed
        Of the noise that parts equal points at the start.

    Returns
    -------
    None where there are fewer than five different images: there is nothing to arrange.
    """
    n = len(unit)
    if n < LEAST_FOR_TSNE or len(np.unique(unit, axis=0)) < LEAST_FOR_TSNE:
        return None
    from sklearn.manifold import TSNE

    used = min(perplexity, (n - 1) / _NEIGHBOURS)
    with threadpool_limits(1):
        # All that is random is in the start.
        found = TSNE(2, perplexity=used, init=_start(unit, seed), random_state=0, n_jobs=1)
        xy = np.asarray(found.fit_transform(unit), np.float64)
    return Tsne(xy, used, float(found.kl_divergence_), int(found.n_iter_))


def nearest(unit: Float32) -> Nearest | None:
    """Find the nearest other image of each; of equally near ones the first. None where there is one image alone."""
    n = len(unit)
    if n < 2:
        return None
    rows, scores = np.empty(n, np.int64), np.empty(n)
    with threadpool_limits(1):
        for start in range(0, n, _ROWS):
            some = np.arange(start, min(start + _ROWS, n))
            cosines = unit[some] @ unit.T
            cosines[some - start, some] = -np.inf
            rows[some] = cosines.argmax(1)
            scores[some] = cosines[some - start, rows[some]]
    return Nearest(rows, scores)


def _start(unit: Float32, seed: int) -> Float32:
    """Return the first arrangement: principal components, which keeps what lies far apart far apart (Kobak 2019)."""
    xy = pca(unit).xy
    noise = np.random.default_rng(seed).standard_normal(xy.shape)
    start: Float32 = (xy / xy[:, 0].std() * _START + noise * _NOISE).astype(np.float32)
    return start


def _varies(unit: Float32) -> bool:
    """Whether there are two different rows."""
    return bool((unit != unit[0]).any())
