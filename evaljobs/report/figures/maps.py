"""Maps of embeddings: every image as a point, told apart by colour and shape, and thumbnails that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.coloring import COLORS, GREY, MARKERS, OTHERS, UNKNOWN, UNKNOWN_GREY, Categories, Scale
from evaljobs.report.figures.placing import Spot, Window
from evaljobs.report.figures.style import legend_beside

Pixels = NDArray[np.uint8]

# Light at one end, dark at the other: told apart with every common colour vision, and in grey.
_SCALE = "cividis"
_DPI = 150  # of the pixels of thumbnails in SVG too
_PANEL = 5.4  # inches
_OTHERS_MARKER, _UNKNOWN_MARKER = ".", "x"
_NAMELESS = (_OTHERS_MARKER, _UNKNOWN_MARKER)
_LAYERS = 8
# More points are pixels in SVG too, or the file would have megabytes.
_MANY = 5000
_EDGE = "#404040"
# Whole numbers below it stand on a scale with all their digits.
_WRITTEN_OUT = 1e12
# Of a cell: what a picture takes, and what is white around it; the rest is for frames, so that neighbours do not touch.
_PICTURE, _WHITE = 0.83, 0.03
# Of all thumbnails together, in pixels: about as many as a panel of the PNG has.
_SIDE = 820


class Map(NamedTuple):
    """What is drawn.

    Attributes
    ----------
    xy
        ``[n, 2]`` float64: where images lie; not finite where they lie nowhere.
    coloring
        How points are told apart; None where all have the same value.
    window
        The part of the plane that is drawn.
    spots
        Where thumbnails lie.
    thumbnails
        By number of the point: uint8 ``[height, width, 3]``; of a spot without one, an empty box is drawn.
    axes
        What the two axes are, with their units.
    shown
        What is shown of how many: the title.
    """

    xy: NDArray[np.float64]
    coloring: Categories | Scale | None
    window: Window
    spots: Sequence[Spot]
    thumbnails: Mapping[int, Pixels]
    axes: tuple[str, str]
    shown: str


class _Style(NamedTuple):
    """How a point looks."""

    color: Any
    marker: str


def map_figure(drawn: Map, path_stem: Path, title: str) -> Written:
    """Draw a map: all points on the left, thumbnails on the right; points alone where there is no thumbnail.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    with own_settings():
        pictured = bool(drawn.spots) and bool(drawn.thumbnails)
        width = (2 if pictured else 1) * _PANEL + 2.2
        figure = new_figure(width, _PANEL + 0.7)
        figure.set_dpi(_DPI)
        panels = figure.subplots(1, 2 if pictured else 1, squeeze=False)[0]
        for axes in panels:
            _frame(axes, drawn)
        styles = _styles(drawn)
        _points(panels[0], drawn, styles)
        _title(panels[0], drawn.shown)
        if pictured:
            _thumbnails(panels[1], drawn, styles)
            _title(panels[1], f"{len(drawn.spots):,} of them as thumbnails, each within a cell of its point")
        _legend(figure, panels[-1], drawn.coloring)
        return save(figure, path_stem, title)


def _frame(axes: Axes, drawn: Map) -> None:
    x, y, half = drawn.window
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)
    axes.set_aspect("equal")
    axes.set_xlabel(drawn.axes[0])
    axes.set_ylabel(drawn.axes[1])
    axes.tick_params(labelsize=7, color="#9A9A9A", labelcolor="#606060")
    for spine in axes.spines.values():
        spine.set_color("#C8C8C8")


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=8.5, loc="left")


def _styles(drawn: Map) -> list[_Style]:
    """Return how each point looks."""
    match drawn.coloring:
        case Categories() as categories:
            return [_style(int(code)) for code in categories.codes]
        case Scale() as scale:
            shades = _mappable(scale).to_rgba(np.nan_to_num(scale.values, nan=1.0))
            known = np.isfinite(scale.values)
            return [
                _Style(tuple(shade), "o") if there else _style(UNKNOWN)
                for shade, there in zip(shades, known, strict=True)
            ]
        case _:
            return [_Style(COLORS[0], "o")] * len(drawn.xy)


def _style(code: int) -> _Style:
    if code == UNKNOWN:
        return _Style(UNKNOWN_GREY, _UNKNOWN_MARKER)
    return _Style(GREY, _OTHERS_MARKER) if code == OTHERS else _Style(COLORS[code], MARKERS[code])


def _mappable(scale: Scale) -> ScalarMappable:
    low, high = float(np.nanmin(scale.values)), float(np.nanmax(scale.values))
    return ScalarMappable(LogNorm(low, high) if scale.logarithmic else Normalize(low, high), _SCALE)


def _points(axes: Axes, drawn: Map, styles: Sequence[_Style]) -> None:
    """Draw all points: those without a name below, the others in layers, so that no name lies on top of all others."""
    size = _point_size(len(styles))
    there = np.isfinite(drawn.xy).all(1)
    places: dict[tuple[int, str], list[int]] = {}
    for number in np.flatnonzero(there).tolist():
        marker = styles[number].marker
        layer = 0 if marker in _NAMELESS else 1 + number % _LAYERS
        places.setdefault((layer, marker), []).append(number)
    for (layer, marker), some in sorted(places.items()):
        more: dict[str, Any] = {"edgecolors": _EDGE} if layer else {}
        more |= {"linewidths": 0.3, "rasterized": len(styles) > _MANY}
        colors = [styles[number].color for number in some]
        x, y = drawn.xy[some].T
        axes.scatter(x, y, s=size, c=colors, marker=marker, zorder=2 + layer, **more)


def _point_size(n: int) -> float:
    """Return the area of a marker, in square points: small where there are many."""
    return float(np.clip(18_000 / max(n, 1), 3, 30))


def _thumbnails(axes: Axes, drawn: Map, styles: Sequence[_Style]) -> None:
    """Draw the thumbnails as one picture, since hundreds take seconds, and a frame around each."""
    axes.set_facecolor("#FAFAFA")
    x, y, half = drawn.window
    axes.imshow(_mosaic(drawn), extent=(x - half, x + half, y - half, y + half), zorder=3, interpolation="nearest")
    for spot in drawn.spots:
        _frame_of(axes, spot, drawn.thumbnails.get(spot.point), styles[spot.point])
    for marker, some in _by_marker(drawn.spots, styles).items():
        across, up = zip(*(_corner(spot, drawn.thumbnails.get(spot.point)) for spot in some), strict=True)
        colors = [styles[spot.point].color for spot in some]
        edge: dict[str, Any] = {} if marker == _UNKNOWN_MARKER else {"edgecolors": "white", "linewidths": 0.6}
        axes.scatter(across, up, c=colors, marker=marker, s=28, zorder=4, **edge)
    # Pictures move the limits.
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)


def _mosaic(drawn: Map) -> Pixels:
    """Return the thumbnails at their places, uint8 ``[side, side, 4]``, transparent where there is none."""
    x, y, half = drawn.window
    scale = _SIDE / (2 * half)
    whole = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    for spot in drawn.spots:
        pixels = drawn.thumbnails.get(spot.point)
        if pixels is None:
            continue
        left, bottom, width, height = fitted(spot, pixels.shape[:2])
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        column, row = round((left - x + half) * scale), round((y + half - bottom - height) * scale)
        whole[row : row + rows, column : column + columns, :3] = scaled(pixels, rows, columns)
        whole[row : row + rows, column : column + columns, 3] = 255
    return whole


def scaled(pixels: Pixels, rows: int, columns: int) -> Pixels:
    """Return pixels at another size: the mean of 3 x 3 points of each new pixel."""
    down, across = (
        np.minimum((np.arange(3 * n) + 0.5) * length // (3 * n), length - 1).astype(np.int64)
        for n, length in zip((rows, columns), pixels.shape, strict=False)
    )
    points = pixels[down[:, None], across].reshape(rows, 3, columns, 3, 3)
    mean: Pixels = np.rint(points.mean((1, 3))).astype(np.uint8)
    return mean


def _by_marker(spots: Sequence[Spot], styles: Sequence[_Style]) -> dict[str, list[Spot]]:
    found: dict[str, list[Spot]] = {}
    for spot in spots:
        found.setdefault(styles[spot.point].marker, []).append(spot)
    return found


def _frame_of(axes: Axes, spot: Spot, pixels: Pixels | None, style: _Style) -> None:
    """Draw a frame; what is white inside it parts a dark picture from a dark frame."""
    left, bottom, width, height = fitted(spot, None if pixels is None else pixels.shape[:2])
    border = _WHITE * spot.width
    inside: dict[str, Any] = {"facecolor": "#F0F0F0", "hatch": "///"} if pixels is None else {"facecolor": "white"}
    box = (left - border, bottom - border), width + 2 * border, height + 2 * border
    axes.add_patch(Rectangle(*box, edgecolor=style.color, linewidth=1.4, zorder=2, **inside))


def _corner(spot: Spot, pixels: Pixels | None) -> tuple[float, float]:
    """Return where the shape stands that says in grey what the frame says in colour."""
    left, bottom, _, height = fitted(spot, None if pixels is None else pixels.shape[:2])
    return left + 0.06 * spot.width, bottom + height - 0.06 * spot.width


def fitted(spot: Spot, shape: tuple[int, ...] | None) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height of a picture of (height, width) pixels in the middle of its cell."""
    height, width = (1, 1) if shape is None else (shape[0], shape[1])
    scale = _PICTURE * spot.width / max(height, width)
    across, up = width * scale, height * scale
    return spot.left + (spot.width - across) / 2, spot.bottom + (spot.width - up) / 2, across, up


def _legend(figure: Figure, axes: Axes, coloring: Categories | Scale | None) -> None:
    if isinstance(coloring, Scale):
        _bar(figure, axes, coloring)
    if not isinstance(coloring, Categories):
        return
    codes = [*range(len(coloring.names)), OTHERS, UNKNOWN]
    handles: list[Artist] = []
    labels: list[str] = []
    for code in codes:
        count = coloring.count(code)
        if count:
            style = _style(code)
            edge = style.color if code < 0 else _EDGE
            handles.append(
                Line2D([], [], linestyle="none", marker=style.marker, color=style.color, markeredgecolor=edge,
                       markeredgewidth=0.4, markersize=6)
            )  # fmt: skip
            labels.append(f"{_name(coloring, code)} ({count:,})")
    legend_beside(axes, handles, labels, coloring.title, handlelength=1)


def _bar(figure: Figure, axes: Axes, scale: Scale) -> None:
    place: dict[str, Any] = {"shrink": 0.7, "fraction": 0.05, "pad": 0.03}
    known = scale.values[np.isfinite(scale.values)]
    whole = bool((known == np.rint(known)).all()) and float(np.abs(known).max()) < _WRITTEN_OUT
    locator = LogLocator(10, subs=(1, 2, 5)) if scale.logarithmic else MaxNLocator(6, integer=whole)
    text = FuncFormatter(lambda value, _: f"{value:,.0f}" if whole else f"{value:.4g}")
    bar = figure.colorbar(_mappable(scale), ax=axes, label=scale.title, ticks=locator, format=text, **place)
    bar.minorticks_off()


def _name(coloring: Categories, code: int) -> str:
    if code == UNKNOWN:
        return "unknown"
    return f"{coloring.n_others:,} others" if code == OTHERS else short_name(coloring.names[code])
