"""A tensor that still knows places: its form, and its values as a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Form = Literal["nchw", "nhwc", "tokens"]
# Class tokens, tokens of a teacher, registers.
_MOST_SKIPPED = 16


class Grid(NamedTuple):
    """A grid of tokens, row after row, behind some that are no place."""

    skipped: int
    height: int
    width: int


def grid_of(tokens: int, image: tuple[int, int]) -> Grid | None:
    """Return the grid that so many tokens are, with as few as can be in front of it; None where they are none.

    Parameters
    ----------
    image
        Height and width of the image, whose proportions the grid has.
    """
    for skipped in range(min(_MOST_SKIPPED, tokens - 3)):
        places = tokens - skipped
        height = math.isqrt(places * image[0] // image[1])
        if height < 2 or places % height:
            continue
        width = places // height
        if width > 1 and height * image[1] == width * image[0]:
            return Grid(skipped, height, width)
    return None


def has_one_stride(height: int, width: int, image: tuple[int, int]) -> bool:
    """Say whether one stride makes that grid of an image, both axes rounded down or both rounded up.

    Parameters
    ----------
    height, width
        Places, 2 or more of each.
    image
        Its height and width.
    """
    least, exact, most = ([n / (g - d) for n, g in zip(image, (height, width), strict=True)] for d in (-1, 0, 1))
    return max(least) < min(exact) or max(exact) < min(most)


@dataclass(frozen=True)
class Layer:
    """A tensor with a value of each channel at each place of a grid.

    Attributes
    ----------
    tensor
        Its name in the graph.
    form
        ``nchw``: [N, C, H, W]; ``nhwc``: [N, H, W, C]; ``tokens``: [N, skipped + H * W, C], row after row.
    skipped
        Tokens in front that are no place, such as a class token.
    dtype
        As ONNX numbers it: 1 is float32.
    """

    tensor: str
    form: Form
    channels: int
    height: int
    width: int
    skipped: int = 0
    dtype: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes behind the batch."""
        if self.form == "nchw":
            return self.channels, self.height, self.width
        if self.form == "nhwc":
            return self.height, self.width, self.channels
        return self.skipped + self.height * self.width, self.channels

    def describe(self) -> str:
        """Return name and grid for a message."""
        front = f" behind {self.skipped} token{'s' if self.skipped > 1 else ''}" if self.skipped else ""
        return f"{self.tensor!r}: {self.channels} channels at {self.height} x {self.width} places{front}"

    def grid(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a view of its values, [n, C, H, W]."""
        if self.form == "nchw":
            return values
        if self.form == "nhwc":
            return np.moveaxis(values, -1, 1)
        places = values[:, self.skipped :].reshape(len(values), self.height, self.width, self.channels)
        return np.moveaxis(places, -1, 1)

    def without_places(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of its values, [n, *shape], with 0 at every place; tokens that are no place stay."""
        blank = np.zeros_like(values)
        if self.form == "tokens":
            blank[:, : self.skipped] = values[:, : self.skipped]
        return blank

    def without_channels(self, values: NDArray[Any], channels: NDArray[np.int64]) -> NDArray[Any]:
        """Return the values of one image once for each of some channels, with that channel at 0 at every place.

        Parameters
        ----------
        values
            [1, *shape].
        channels
            ``[n]`` numbers.

        Returns
        -------
        [n, *shape]; tokens that are no place stay as they are.
        """
        copies = np.repeat(values, len(channels), axis=0)
        which = np.arange(len(channels))
        if self.form == "nchw":
            copies[which, channels] = 0
        elif self.form == "nhwc":
            copies[which, :, :, channels] = 0
        else:
            copies[which, self.skipped :, channels] = 0
        return copies
