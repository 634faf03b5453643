"""The demo's models: an ablation over method, dimension and normalisation, fitted on the digits 0 to 4 alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from evaljobs.config import Preprocessing, canonical_json
from evaljobs.demo.graph import Step, evaluate, layer_norm, scale, shift, to_onnx
from evaljobs.demo.images import SEEN, Digits
from evaljobs.demo.methods import METHODS, Floats

PATTERN = "{method}-d{dim}-{norm}"
PREPROCESSING = Preprocessing(
    size=(8, 8), color="gray", resize="stretch", interpolation="bilinear", divisor=255, mean=(0,), std=(1,)
)


class Spec(NamedTuple):
    """One model of the ablation; its name follows `PATTERN`."""

    method: str
    dim: int
    norm: str

    @property
    def name(self) -> str:
        """The name of the file, without ``.onnx``."""
        return f"{self.method}-d{self.dim}-{self.norm}"


# norm: none; c, less the mean of the seen embeddings; z, divided by their standard deviation too; ln, each embedding
# brought to mean 0 and variance 1 by itself.
SPECS = (
    Spec("raw", 64, "none"),
    Spec("raw", 64, "c"),
    Spec("rp", 8, "none"),
    Spec("rp", 16, "none"),
    Spec("rp", 32, "none"),
    Spec("rp", 32, "c"),
    Spec("pca", 8, "none"),
    Spec("pca", 16, "none"),
    Spec("pca", 32, "none"),
    Spec("pca", 32, "z"),
    Spec("pca", 32, "ln"),
    Spec("lda", 4, "none"),
    Spec("nca", 16, "none"),
    Spec("mlp", 32, "none"),
    Spec("edges", 16, "none"),
    Spec("edges", 32, "none"),
    Spec("edges", 72, "none"),
    Spec("edges", 72, "c"),
)


def network_input(digits: Digits) -> Floats:
    """Return what the network sees of each image, float64 [n, 64], from 0 to 1, in the precision of float32."""
    seen = digits.pixels.astype(np.float32) / np.float32(PREPROCESSING.divisor or 1)
    return seen.reshape(len(seen), -1).astype(np.float64)


def model_files(digits: Digits) -> dict[str, bytes]:
    """Fit every model on the seen digits and return the ONNX files by path.

    Takes a few seconds. One thread, so that sums are made in one order and the files are the same every time.
    """
    fitted_on = digits.seen()
    pixels = network_input(fitted_on)
    with threadpool_limits(1):
        return {f"models/{spec.name}.onnx": _build(spec, pixels, fitted_on.labels) for spec in SPECS}


def _build(spec: Spec, pixels: Floats, labels: NDArray[np.int64]) -> bytes:
    steps = METHODS[spec.method](pixels, labels, spec.dim)
    steps += _normalisation(spec, steps, pixels)
    fitted_on = ", ".join(str(label) for label in sorted(SEEN))
    metadata = {
        "evaljobs.preprocessing": canonical_json(PREPROCESSING.model_dump(mode="json", exclude_none=True)),
        "signature": f"evaljobs demo: {spec.name}, fitted on the digits {fitted_on}",
    }
    return to_onnx(spec.name, steps, spec.dim, metadata)


def _normalisation(spec: Spec, steps: list[Step], pixels: Floats) -> list[Step]:
    if spec.norm == "none":
        return []
    if spec.norm == "ln":
        return [layer_norm(spec.dim)]
    images = pixels.reshape(-1, 1, 8, 8).astype(np.float32)
    seen = evaluate(to_onnx(spec.name, steps, spec.dim, {}), images).astype(np.float64)
    centred = [shift(seen.mean(0))]
    return [*centred, scale(seen.std(0))] if spec.norm == "z" else centred
