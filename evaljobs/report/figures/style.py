"""How models and kinds of pairs are told apart: by colour, and in black and white by dashes, markers and hatches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from evaljobs.report.figures.canvas import short_name

# So many models have a colour and a name; the others are grey.
MAX_NAMED = 8

# Okabe and Ito (2008), Color Universal Design: told apart with every common colour vision. Their yellow is too light
# for a line on white and gives way to a violet; grey is kept for the models without a name.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F3C8D")
DASHES = (
    (0, ()),
    (0, (6, 2)),
    (0, (1.5, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (3, 1.5)),
    (0, (7, 2, 1.5, 2, 1.5, 2)),
    (0, (1, 3)),
    (0, (10, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY, HAIRLINE, GRID = "#B8B8B8", "#9A9A9A", "#E6E6E6"
GENUINE, IMPOSTOR = COLORS[0], COLORS[1]


def line_style(place: int) -> dict[str, Any]:
    """Return colour and dashes of the model at a place, from 0, the best."""
    return {"color": COLORS[place], "linestyle": DASHES[place]}


def mark_style(place: int) -> dict[str, Any]:
    """Return colour and marker of the model at a place, without a line."""
    return {"color": COLORS[place], "marker": MARKERS[place], "markersize": 4.5, "linestyle": "none"}


def bare(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Leave out what frames the data without saying anything; draw a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=GRID, linewidth=0.6)


def log_axis(axis: Axis, text: Callable[[float], str], *, between: bool = True, steps: Sequence[float] = (1,)) -> None:
    """Write powers of ten, times the steps, along a logarithmic axis; between them stand ticks alone, or nothing."""
    axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(float(f"{value:.6g}"))))
    axis.set_minor_formatter(NullFormatter())
    if not between:
        axis.set_minor_locator(NullLocator())


def named_handles(names: Sequence[str], what: str = "model") -> tuple[list[Artist], list[str]]:
    """Return the legend of models, best first: those with a name, and how many are grey."""
    named = names[:MAX_NAMED]
    handles: list[Artist] = [
        Line2D([], [], marker=MARKERS[i], markersize=4.5, linewidth=1.5, **line_style(i)) for i in range(len(named))
    ]
    labels = [short_name(name) for name in named]
    if others := len(names) - len(named):
        handles.append(Line2D([], [], color=GREY, linewidth=1.5))
        labels.append(f"{others:,} more {what}{'s' if others > 1 else ''}")
    return handles, labels


def best_title(names: Sequence[str], how: str = "") -> str | None:
    """Return the title of such a legend; `how` says by what the models are ordered."""
    if len(names) > MAX_NAMED:
        return f"best {MAX_NAMED} of {len(names):,}" + (f" {how}" if how else "")
    return f"best first, {how}" if how and len(names) > 1 else None


def best_legend(axes: Axes, names: Sequence[str], how: str, more: Sequence[Artist] = ()) -> None:
    """Put the legend of models beside the axes, and what else is drawn, by its label.

    Parameters
    ----------
    names
        Of the models, best first.
    how
        By what they are ordered; empty where nobody says it.
    """
    handles, labels = named_handles(names)
    labels += [str(one.get_label()) for one in more]
    legend_beside(axes, [*handles, *more], labels, best_title(names, how))


def legend_beside(
    axes: Axes, handles: Sequence[Artist], labels: Sequence[str], title: str | None = None, **options: Any
) -> Legend:
    """Put a legend at the right of the axes; a label is text, never mathematics.

    Parameters
    ----------
    options
        Of matplotlib's legend, over those that are set here.
    """
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0, "handlelength": 4}
    legend = axes.legend(
        list(handles), [""] * len(handles), title=title, frameon=False, alignment="left", **{**place, **options}
    )
    # Set afterwards: a label that starts with an underscore is shown too.
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
    return legend
