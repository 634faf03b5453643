"""What the network sees: the float stage of preprocessing, bit for bit torchvision's ToTensor and Normalize."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32 | np.float16]

# Looked up at a time: what is read and written stays in a core's own cache.
_CACHED_PIXELS = 2**17


@dataclass(frozen=True)
class Normalisation:
    """``(value / divisor - mean) / std``, channel by channel, each step rounded to float32.

    Attributes
    ----------
    divisor
        255 for ToTensor.
    mean, std
        One value for all channels, or one a channel.

    Raises
    ------
    ValueError
        If a number is not finite, or the divisor or a std is not above 0.
    """

    divisor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or not self.std:
            raise ValueError("mean and std hold at least one value")
        # Rounded first: a std of 1e-60 is above 0, and is 0 in float32.
        for name, values in (("divisor", (self.divisor,)), ("mean", self.mean), ("std", self.std)):
            rounded = [_float32(value) for value in values]
            if not all(math.isfinite(value) for value in rounded):
                raise ValueError(f"{name} is {values}; expected finite numbers")
            if name != "mean" and min(rounded) <= 0:
                raise ValueError(f"{name} is {values}; expected numbers above 0")

    def key(self) -> dict[str, float | list[float]]:
        """Return all that determines the result: JSON."""
        return {"divisor": self.divisor, "mean": list(self.mean), "std": list(self.std)}

    def apply(
        self,
        block: npt.NDArray[np.uint8],
        layout: Literal["nchw", "nhwc"] = "nchw",
        dtype: type[np.float32] | type[np.float16] = np.float32,
    ) -> Floats:
        """Normalise a block of pixels.

        Parameters
        ----------
        block
            uint8 [n, h, w, c].
        layout
            Order of the result's axes.
        dtype
            float16 is rounded once, from the float32 result.

        Returns
        -------
        float [n, c, h, w] or [n, h, w, c], C-contiguous.

        Raises
        ------
        ValueError
            If the channels are neither those of mean and std, or a value leaves the range of float16.
        """
        n, height, width, channels = block.shape
        table = _table(self, channels, np.dtype(dtype).name)
        shape = (n, channels, height, width) if layout == "nchw" else block.shape
        out = np.empty(shape, dtype)
        # A view of either layout in the order of the block; a few images at a time stay in the processor's cache.
        ordered = out if layout == "nhwc" else out.transpose(0, 2, 3, 1)
        step = max(1, _CACHED_PIXELS // (height * width))
        for start in range(0, n, step):
            images = block[start : start + step]
            for c in range(channels):
                ordered[start : start + step, ..., c] = np.take(table[c], images[..., c], mode="clip")
        return out


@functools.lru_cache(maxsize=16)
def _table(normalisation: Normalisation, channels: int, dtype: str) -> Floats:
    """Return what each of the 256 values becomes: [channels, 256]."""
    mean, std = _spread("mean", normalisation.mean, channels), _spread("std", normalisation.std, channels)
    values = np.arange(256, dtype=np.float32) / np.float32(normalisation.divisor)
    with np.errstate(over="ignore"):
        exact = (values - mean[:, None]) / std[:, None]
        table: Floats = exact.astype(dtype, copy=False)
    if not np.isfinite(table).all():
        raise ValueError(
            f"normalised values reach {np.abs(exact).max():g}, beyond {dtype}; check divisor, mean and std"
        )
    return table


def _float32(value: float) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value))


def _spread(name: str, values: tuple[float, ...], channels: int) -> npt.NDArray[np.float32]:
    if len(values) not in {1, channels}:
        raise ValueError(f"{name} has {len(values)} values, the images have {channels} channel(s)")
    return np.broadcast_to(np.array(values, np.float32), channels)
