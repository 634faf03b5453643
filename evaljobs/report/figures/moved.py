"""One number of several models, before and after something was changed: dots on a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.style import COLORS, bare

MOST = 30
_MARKERS = ("s", "D", "^", "v", "P", "X")


class Moving(NamedTuple):
    """A model, its number as it is, and by what was changed the number that it has then; None where there is none."""

    name: str
    before: float | None
    after: Mapping[str, float | None]


def moved_figure(models: Sequence[Moving], path_stem: Path, x_title: str) -> Written:
    """Draw the numbers of the first 30 models and write them as PNG and SVG.

    Parameters
    ----------
    models
        At least one. What a model was not changed by is not drawn for it.
    path_stem
        Path of the files without their suffix.
    x_title
        Of the axis: what the number is.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    shown = models[:MOST]
    titles = list(dict.fromkeys(title for model in shown for title in model.after))
    with own_settings():
        figure = new_figure(7.2, 1.5 + 0.28 * len(shown))
        axes = figure.add_subplot()
        for y, model in enumerate(shown):
            known = [value for value in [model.before, *model.after.values()] if value is not None]
            if known:
                axes.plot([min(known), max(known)], [y, y], color="#B0B0B0", linewidth=1, zorder=1)
        series = [("as they are", [model.before for model in shown], "o", "black")]
        for number, title in enumerate(titles):
            style = _MARKERS[number % len(_MARKERS)], COLORS[number % len(COLORS)]
            series.append((f"all {title}", [model.after.get(title) for model in shown], *style))
        for label, values, marker, color in series:
            places = [(value, y) for y, value in enumerate(values) if value is not None]
            axes.scatter(
                [x for x, _ in places], [y for _, y in places], marker=marker, s=26, facecolor="white",
                edgecolor=color, linewidth=1.3, label=label, zorder=2,
            )  # fmt: skip
        axes.set_yticks(range(len(shown)), [short_name(model.name) for model in shown], fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(x_title)
        bare(axes, "x")
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        return save(figure, path_stem, x_title)
