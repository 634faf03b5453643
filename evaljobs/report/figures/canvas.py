"""How every figure is made and saved: the same bytes each time, whatever the user's matplotlib settings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.tables.escape import visible

# Of the run's folder.
FOLDER = "figures"
MAX_NAME = 40
MAX_TITLE = 90
FONT = "DejaVu Sans"  # ships with matplotlib, so a picture does not depend on the machine's fonts
_SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "font.size": 9,
    "svg.hashsalt": "evaljobs",
    "svg.fonttype": "path",
    "text.parse_math": False,  # names are text, never mathematics
    "hatch.linewidth": 0.6,
}


class Written(NamedTuple):
    """The two files of a figure."""

    png: Path
    svg: Path


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's defaults whatever the user's, and reproducible identifiers; then put theirs back."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)  # type: ignore[arg-type]  # its keys are literals
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts find their places by themselves."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def settle(figure: Figure) -> None:
    """Find the places of a figure's parts once and for all, not anew for each file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        # Not "none": with a placeholder for an engine each file is drawn twice, for nothing.
        figure.set_layout_engine(None)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def _svg(figure: Figure, title: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    return stream.getvalue()


def save(figure: Figure, path_stem: Path, title: str) -> Written:
    """Write a figure as PNG and SVG, without a date or a version in them; within `own_settings`.

    Parameters
    ----------
    path_stem
        Path of the files without their suffix; its folder is made, not those above.
    title
        For those who do not see it.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    try:
        path_stem.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise RunFailedError(
            f"cannot make the folder {path_stem.parent}: {error.strerror or error}; name another --out"
        ) from None
    settle(figure)
    return Written(
        write_atomic(path_stem.with_name(f"{path_stem.name}.png"), _png(figure)),
        write_atomic(path_stem.with_name(f"{path_stem.name}.svg"), _svg(figure, title)),
    )


def short_name(name: str, most: int = MAX_NAME) -> str:
    """Return a name that fits the legend and that its font can draw; the middle of a long one is left out."""
    shown = "".join(c if _has_glyph(c) else f"\\u{ord(c):04x}" for c in visible(name))
    half = (most - 1) // 2
    return shown if len(shown) <= most else f"{shown[:half]}…{shown[-half:]}"


def _has_glyph(character: str) -> bool:
    return ord(character) in _glyphs()


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(FONT)).get_charmap())
