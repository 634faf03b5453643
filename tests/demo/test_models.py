"""The demo's models compute what scikit-learn fitted, and differ in quality on digits that they never met."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.random_projection import GaussianRandomProjection

from evaljobs.config import Preprocessing
from evaljobs.demo.images import Digits
from evaljobs.demo.models import SPECS, model_files

Floats = NDArray[np.float64]
Transform = Callable[[Floats], Floats]
NAMES = [spec.name for spec in SPECS]


def seen_by_network(digits: Digits) -> Floats:
    """Return pixels as ToTensor gives them: float32, divided by 255."""
    return (digits.pixels.astype(np.float32) / np.float32(255)).reshape(len(digits.pixels), 64).astype(np.float64)


def run(model: bytes, digits: Digits) -> Floats:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = seen_by_network(digits).reshape(-1, 1, 8, 8).astype(np.float32)
    (embedding,) = session.run(["embedding"], {"image": images})
    return np.asarray(embedding, np.float64)


def slow_edges(pixels: Floats) -> Floats:
    """Return edge strengths by plain loops: eight directions, mean over 3 x 3 windows at every other place, root."""
    found = np.zeros((len(pixels), 8, 3, 3))
    padded = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    for k in range(8):
        kernel = np.cos(k * np.pi / 4) * sobel + np.sin(k * np.pi / 4) * sobel.T
        response = np.zeros((len(pixels), 8, 8))
        for i in range(8):
            for j in range(8):
                response[:, i, j] = np.maximum((padded[:, i : i + 3, j : j + 3] * kernel).sum((1, 2)), 0)
        for i in range(3):
            for j in range(3):
                found[:, k, i, j] = response[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].mean((1, 2))
    return np.sqrt(found + 0.001).reshape(len(pixels), 72)


def mlp_hidden(fitted: MLPClassifier) -> Transform:
    """Return the layer before the last of a classifier."""

    def transform(pixels: Floats) -> Floats:
        for weight, bias in zip(fitted.coefs_[:-1], fitted.intercepts_[:-1], strict=True):
            pixels = np.maximum(pixels @ weight + bias, 0)
        return pixels

    return transform


def fit(method: str, dim: int, x: Floats, labels: NDArray[np.int64]) -> Transform:
    """Fit a method anew and return the estimator's own transform."""
    if method == "mlp":
        return mlp_hidden(MLPClassifier((64, dim), alpha=1e-3, max_iter=60, random_state=0).fit(x, labels))
    edges = FunctionTransformer(slow_edges)
    estimators = {
        "raw": FunctionTransformer(),
        "rp": GaussianRandomProjection(dim, random_state=0),
        "pca": PCA(dim, svd_solver="full"),
        "lda": LinearDiscriminantAnalysis(n_components=dim),
        "nca": NeighborhoodComponentsAnalysis(dim, init="pca", max_iter=30, random_state=0),
        "edges": edges if dim == 72 else make_pipeline(edges, PCA(dim, svd_solver="full")),
    }
    return estimators[method].fit(x, labels).transform


def normalise(norm: str, seen: Floats, unseen: Floats) -> Floats:
    match norm:
        case "none":
            return unseen
        case "c":
            return unseen - seen.mean(0)
        case "z":
            return StandardScaler().fit(seen).transform(unseen)
        case "ln":
            return (unseen - unseen.mean(1, keepdims=True)) / np.sqrt(unseen.var(1, keepdims=True) + 1e-5)
    raise AssertionError(norm)


# The fits stop early on purpose; a few names have the same fit, each is as quick as it is clear.
@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_a_model_computes_what_scikit_learn_fitted(
    spec: tuple[str, int, str], models: dict[str, bytes], digits: Digits
) -> None:
    """Embeddings of unseen digits by onnxruntime equal the transform of an estimator fitted on the seen ones."""
    method, dim, norm = spec
    seen, unseen = seen_by_network(digits.seen()), seen_by_network(digits.unseen())
    transform = fit(method, dim, seen, digits.seen().labels)
    wanted = normalise(norm, transform(seen), transform(unseen))
    found = run(models[f"{method}-d{dim}-{norm}"], digits.unseen())
    assert found.shape == (896, dim)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_there_is_an_ablation(models: dict[str, bytes]) -> None:
    """At least a dozen models, each named by method, dimension and normalisation, with several of each."""
    assert sorted(models) == sorted(NAMES)
    parts = [re.fullmatch(r"([a-z]+)-d(\d+)-([a-z]+)", name) for name in models]
    assert len(parts) >= 12
    for place, least in [(1, 5), (2, 5), (3, 4)]:
        assert len({part[place] for part in parts if part}) >= least


def test_every_model_says_how_its_pixels_are_made(models: dict[str, bytes]) -> None:
    """The metadata holds a valid preprocessing object and a signature; batch size is open."""
    assert models
    for name, data in models.items():
        model = onnx.load_model_from_string(data)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        found = Preprocessing.model_validate(json.loads(metadata["evaljobs.preprocessing"]))
        assert (found.size, found.color, found.divisor, found.mean, found.std) == ((8, 8), "gray", 255, (0,), (1,))
        assert metadata["signature"] == f"evaljobs demo: {name}, fitted on the digits 0, 1, 2, 3, 4"
        (image,) = model.graph.input
        batch, *shape = image.type.tensor_type.shape.dim
        assert batch.dim_param
        assert [axis.dim_value for axis in shape] == [1, 8, 8]


def test_a_row_does_not_depend_on_its_batch(models: dict[str, bytes], digits: Digits) -> None:
    """One image alone has the embedding that it has among others."""
    assert models
    some = Digits(digits.pixels[:7], digits.labels[:7])
    for model in models.values():
        alone = [run(model, Digits(some.pixels[i : i + 1], some.labels[i : i + 1])) for i in range(7)]
        np.testing.assert_allclose(np.concatenate(alone), run(model, some), rtol=1e-4, atol=1e-4)


def test_unseen_digits_have_no_part_in_the_fit(models: dict[str, bytes], digits: Digits) -> None:
    """With every unseen digit replaced by noise the files are the same: evaluation on them is zero-shot.

    It also shows that a second fit gives the same bytes.
    """
    noise = np.random.default_rng(0).integers(0, 256, digits.pixels.shape, np.uint8)
    pixels = np.where((digits.labels <= 4)[:, None, None], digits.pixels, noise)
    assert not np.array_equal(pixels, digits.pixels)
    again = model_files(Digits(pixels, digits.labels))
    assert again == {f"models/{name}.onnx": models[name] for name in NAMES}


def test_quality_differs_and_no_model_is_broken(models: dict[str, bytes], digits: Digits) -> None:
    """On unseen digits TPR at FPR 1e-4 goes from nearly nothing to over a tenth; every model beats chance."""
    unseen = digits.unseen()
    i, j = np.triu_indices(len(unseen.labels), 1)
    genuine = unseen.labels[i] == unseen.labels[j]
    allowed = int((~genuine).sum()) // 10_000
    tprs: dict[str, float] = {}
    for name, model in models.items():
        embedding = run(model, unseen)
        norms = np.linalg.norm(embedding, axis=1, keepdims=True)
        assert np.isfinite(embedding).all()
        assert norms.min() > 1e-3
        unit = embedding / norms
        scores = (unit @ unit.T)[i, j]
        tprs[name] = float((scores[genuine] > np.sort(scores[~genuine])[-allowed - 1]).mean())
        assert roc_auc_score(genuine[::10], scores[::10]) > 0.6
    assert min(tprs.values()) < 0.005
    assert max(tprs.values()) > 0.1
    assert tprs["pca-d8-none"] < tprs["pca-d16-none"] < tprs["pca-d32-none"]
    assert len({round(tpr, 3) for tpr in tprs.values()}) > 12
