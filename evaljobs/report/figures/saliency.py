"""Where a model looks: images beside themselves with their maps over them, in pairs where pairs are explained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save
from evaljobs.report.figures.sheet import short_label
from evaljobs.report.figures.thumbnails import pixels_of

Style = Literal["smooth", "blocks"]

# Dark blue to yellow: told apart with every common colour vision, and in grey by its lightness.
SCALE = "cividis"
# How much of the picture is left under the map.
_OPACITY = 0.6
# In inches.
_SIDE, _GAP, _BETWEEN, _ABOVE, _BELOW, _HEAD = 0.98, 0.04, 0.3, 0.22, 0.3, 0.62
_ACROSS = {1: 4, 2: 2}
_DPI = 150
# Of a picture with its map over it, in pixels.
_LEAST = 96
_LONGEST = 26


class Explained(NamedTuple):
    """One image and its map.

    Attributes
    ----------
    picture
        PNG of the image as the model sees it; None where it is not there.
    values
        ``[H, W]`` float, from 0 to 1.
    label
        Of the image.
    said
        What its map explains, and how much of it there is.
    """

    picture: bytes | None
    values: NDArray[np.floating]
    label: str
    said: str


def saliency_figure(cells: Sequence[Sequence[Explained]], stem: Path, title: str, style: Style) -> Written:
    """Draw images beside themselves with their maps.

    Parameters
    ----------
    cells
        Each of one image, or of two that are explained together; all alike.
    stem
        Of the files.
    style
        ``smooth`` interpolates between the places of a map, ``blocks`` shows each as it is.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    images = max(map(len, cells))
    columns = min(_ACROSS.get(images, 1), len(cells))
    cell = images * 2 * (_SIDE + _GAP) + _BETWEEN, _SIDE + _ABOVE + _BELOW
    width, height = columns * cell[0], _HEAD + -(-len(cells) // columns) * cell[1]
    with own_settings():
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        figure.set_dpi(_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.text(0.1, height - 0.22, short_label(title) if len(title) < _LONGEST else title, fontsize=9)
        _scale(figure, height)
        for number, several in enumerate(cells):
            down, across = divmod(number, columns)
            for place, one in enumerate(several):
                left = across * cell[0] + 0.1 + place * 2 * (_SIDE + _GAP)
                _draw(axes, one, left, height - _HEAD - down * cell[1], style)
        axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        return save(figure, stem, title)


def _scale(figure: Figure, height: float) -> None:
    """Draw what the colours mean."""
    width = figure.get_size_inches()[0]
    axes = figure.add_axes((0.1 / width, (height - 0.42) / height, 1.2 / width, 0.09 / height))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), SCALE), cax=axes, orientation="horizontal", ticks=[0, 1])
    nothing, most = bar.ax.set_xticklabels(["nothing", "most"], fontsize=6.5)
    nothing.set_horizontalalignment("left")
    most.set_horizontalalignment("right")
    bar.ax.tick_params(length=0, pad=1.5)
    bar.outline.set_visible(False)


def _draw(axes: Axes, one: Explained, left: float, top: float, style: Style) -> None:
    """Draw an image, and beside it the same in grey with its map over it."""
    text: dict[str, Any] = {"fontsize": 6.8, "parse_math": False}
    axes.text(left, top - 0.15, short_label(one.label, _LONGEST), **text)
    bottom = top - _ABOVE - _SIDE
    axes.text(left, bottom - 0.15, short_label(one.said, 2 * _LONGEST), **text)
    pixels = pixels_of(one.picture)
    for number in range(2):
        x = left + number * (_SIDE + _GAP)
        if pixels is None:
            axes.add_patch(Rectangle((x, bottom), _SIDE, _SIDE, facecolor="#F0F0F0", edgecolor="#B0B0B0", hatch="///"))
            continue
        box = _within(pixels, x, bottom)
        if number == 0:
            axes.imshow(pixels, extent=box, interpolation="antialiased", zorder=2)
        else:
            axes.imshow(overlay(pixels, one.values, style), extent=box, interpolation="antialiased", zorder=2)


def _within(pixels: NDArray[np.uint8], left: float, bottom: float) -> tuple[float, float, float, float]:
    """Return where a picture lies in the middle of its square, as matplotlib takes it."""
    height, width = pixels.shape[:2]
    across, up = _SIDE * width / max(height, width), _SIDE * height / max(height, width)
    x, y = left + (_SIDE - across) / 2, bottom + (_SIDE - up) / 2
    return x, x + across, y, y + up


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.floating], style: Style = "smooth") -> NDArray[np.uint8]:
    """Return an image in grey with a map over it in colours.

    Parameters
    ----------
    pixels
        uint8 [h, w, 3].
    values
        ``[H, W]`` from 0 to 1, of any number of places.

    Returns
    -------
    uint8 [n h, n w, 3]: each pixel n times as large, so that a small picture neither loses places nor cuts what is
    smooth into pixels.
    """
    wanted = max(_LEAST, *values.shape)
    times = -(-wanted // min(pixels.shape[:2]))
    large = np.repeat(np.repeat(pixels, times, axis=0), times, axis=1).astype(np.float64)
    grey = large @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    at = resized(values, large.shape[0], large.shape[1], style)
    colours = mpl.colormaps[SCALE](at)[..., :3] * 255
    mixed = (1 - _OPACITY) * grey[..., None] + _OPACITY * colours
    return np.asarray(np.rint(mixed), np.uint8)


def resized(values: NDArray[np.floating], height: int, width: int, style: Style) -> NDArray[np.float64]:
    """Return a map, ``[H, W]``, as ``[height, width]``: in blocks, or interpolated linearly between their middles."""
    found = values.astype(np.float64)
    for axis, size in ((0, height), (1, width)):
        places = found.shape[axis]
        at = (np.arange(size) + 0.5) * places / size - 0.5
        if style == "blocks":
            found = found.take(np.clip(np.rint(at), 0, places - 1).astype(np.int64), axis=axis)
            continue
        at = np.clip(at, 0, places - 1)
        low = np.floor(at).astype(np.int64)
        share = (at - low).reshape(-1, 1) if axis == 0 else at - low
        found = (1 - share) * found.take(low, axis=axis) + share * found.take(np.minimum(low + 1, places - 1), axis)
    return found
