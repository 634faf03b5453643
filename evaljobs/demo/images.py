"""The handwritten digits of scikit-learn as image files.

1,797 digits of 8 x 8 pixels with values 0 to 16, from the test part of "Optical Recognition of Handwritten Digits"
(E. Alpaydin and C. Kaynak, UCI Machine Learning Repository).
"""

from __future__ import annotations

import io
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SEEN: Final = frozenset({0, 1, 2, 3, 4})
"""The labels that the demo's models are fitted on; they are judged on the others."""


class Digits(NamedTuple):
    """Images and labels: ``pixels`` uint8 [n, 8, 8], 0 (paper) to 255 (ink), and ``labels`` int64 [n], 0 to 9."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def seen(self) -> Digits:
        """Return the images that models may be fitted on."""
        mask = np.isin(self.labels, sorted(SEEN))
        return Digits(self.pixels[mask], self.labels[mask])

    def unseen(self) -> Digits:
        """Return the images that models are judged on."""
        mask = ~np.isin(self.labels, sorted(SEEN))
        return Digits(self.pixels[mask], self.labels[mask])


def load() -> Digits:
    """Return all digits, the values 0 to 16 put on 0 to 255."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    pixels = np.rint(values.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return Digits(pixels, labels.astype(np.int64))


def image_files(digits: Digits) -> dict[str, bytes]:
    """Return the PNG files by path: ``images/seen/3/0042.png`` is digit 42 of the set, a three."""
    return {
        f"images/{'seen' if label in SEEN else 'unseen'}/{label}/{index:04d}.png": _png(pixels)
        for index, (pixels, label) in enumerate(zip(digits.pixels, digits.labels.tolist(), strict=True))
    }


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
