"""Ways to make an embedding of an 8 x 8 image, fitted on a few labels with scikit-learn.

Each function takes pixels float64 [n, 64] as a network sees them (0 to 1) and labels, and returns the steps of a
network that gives ``dim`` numbers per image. All are deterministic.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.random_projection import GaussianRandomProjection

from evaljobs.demo.graph import Step, affine, average_pool, conv, flatten, relu, shift, square_root

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Method = Callable[[Floats, Labels, int], list[Step]]

DIRECTIONS = 8
EDGE_FEATURES = DIRECTIONS * 3 * 3
FLOOR = 1e-3  # keeps the square root away from 0, where it would blow up rounding errors


def raw(_pixels: Floats, _labels: Labels, _dim: int) -> list[Step]:
    """Take the pixels themselves."""
    return [flatten()]


def random_projection(pixels: Floats, _labels: Labels, dim: int) -> list[Step]:
    """Project on directions drawn at random."""
    fitted = GaussianRandomProjection(dim, random_state=0).fit(pixels)
    return [flatten(), affine(fitted.components_.T)]


def pca(pixels: Floats, _labels: Labels, dim: int) -> list[Step]:
    """Project on the directions of greatest variance."""
    return [flatten(), *_pca_steps(pixels, dim)]


def _pca_steps(features: Floats, dim: int) -> list[Step]:
    fitted = PCA(dim, svd_solver="full").fit(features)
    return [shift(fitted.mean_), affine(fitted.components_.T)]


def lda(pixels: Floats, labels: Labels, dim: int) -> list[Step]:
    """Project on the directions that separate the labels best: at most one fewer than labels."""
    fitted = LinearDiscriminantAnalysis(n_components=dim).fit(pixels, labels)
    return [flatten(), shift(fitted.xbar_), affine(fitted.scalings_[:, :dim])]


def nca(pixels: Floats, labels: Labels, dim: int) -> list[Step]:
    """Project so that neighbours share a label (neighbourhood components analysis)."""
    with _stopped_early():
        fitted = NeighborhoodComponentsAnalysis(dim, init="pca", max_iter=30, random_state=0).fit(pixels, labels)
    return [flatten(), affine(fitted.components_.T)]


def mlp(pixels: Floats, labels: Labels, dim: int) -> list[Step]:
    """Take the layer before the last of a classifier with the layers 64, 64, ``dim`` and softmax."""
    with _stopped_early():
        fitted = MLPClassifier((64, dim), alpha=1e-3, max_iter=60, random_state=0).fit(pixels, labels)
    steps = [flatten()]
    for weight, bias in zip(fitted.coefs_[:-1], fitted.intercepts_[:-1], strict=True):
        steps += [affine(weight, bias), relu()]
    return steps


def edges(pixels: Floats, _labels: Labels, dim: int) -> list[Step]:
    """Count edges of eight directions in nine places; their greatest variance where fewer numbers are wanted."""
    features = [conv(edge_kernels()), relu(), average_pool(3, 2), shift([-FLOOR]), square_root(), flatten()]
    if dim == EDGE_FEATURES:
        return features
    return [*features, *_pca_steps(edge_features(pixels), dim)]


def edge_kernels() -> Floats:
    """Return Sobel's operator turned in eight directions, float64 [8, 1, 3, 3]."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    return np.stack([np.cos(angle) * across + np.sin(angle) * across.T for angle in angles])[:, None]


def edge_features(pixels: Floats) -> Floats:
    """Return what the steps of `edges` compute before any projection, float64 [n, 72]."""
    padded = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    found = np.maximum(np.einsum("nijab,kab->nkij", patches, edge_kernels()[:, 0]), 0)
    pooled = np.lib.stride_tricks.sliding_window_view(found, (3, 3), axis=(2, 3))[:, :, ::2, ::2].mean((4, 5))
    return np.asarray(np.sqrt(pooled + FLOOR).reshape(len(pixels), -1), np.float64)


@contextmanager
def _stopped_early() -> Iterator[None]:
    """Accept that a fit stops before it has converged: the demo wants models of different quality within seconds."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        yield


METHODS: dict[str, Method] = {
    "raw": raw,
    "rp": random_projection,
    "pca": pca,
    "lda": lda,
    "nca": nca,
    "mlp": mlp,
    "edges": edges,
}
