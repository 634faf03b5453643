"""What makes models better, what that costs, and how it went on, as the sections of all kinds of jobs show it."""

from __future__ import annotations

from collections.abc import Iterable

from evaljobs.report.figures.charts import front_chart
from evaljobs.report.figures.front import Titles, front_picture
from evaljobs.report.figures.lines import chart_picture
from evaljobs.report.runs.checkpoints import series_chart, series_tables
from evaljobs.report.runs.history import history_chart, history_table
from evaljobs.report.section import Chart, Found, Picture, Table
from evaljobs.report.tables.factor_tables import factor_tables, factors_table
from evaljobs.report.tables.front import Cost, front_rows, front_table
from evaljobs.report.tables.quality import Quality

# Parameters say nearly the same as the size: theirs is a file.
_SHOWN = (Cost.GFLOPS, Cost.SIZE, Cost.TIME)


class Weighing:
    """Factor tables, a front for each cost in which models differ, lines of checkpoints, history of joined runs.

    There are no fronts where less is better, since the best corner of one is above.

    Parameters
    ----------
    found, quality
        The evaluations of one job on one set, and what they are compared by.
    """

    def __init__(self, found: Found, quality: Quality) -> None:
        self._found, self._quality = found, quality
        self._factors = factor_tables(found, quality)
        self._series = series_tables(found, quality)
        lines = series_chart(found, quality), history_chart(found, quality)
        self._lines = [chart for chart in lines if chart is not None]
        rows = {} if quality.less_is_better else {cost: front_rows(found, quality, cost) for cost in Cost}
        # Against a cost in which models do not differ there is nothing to weigh.
        self._rows = {cost: several for cost, several in rows.items() if len({row["x"] for row in several}) > 1}

    def shown(self) -> list[Table]:
        """Return the tables of the page."""
        history = history_table(self._found, self._quality)
        return [*self._factors, *self._fronts(_SHOWN), *self._series, *([] if history is None else [history])]

    def files(self) -> list[Table]:
        """Return the tables that are written: what differs between equal runs has no place in them."""
        long = [factors_table(self._found, self._quality)] if self._factors else []
        return [*self._factors, *long, *self._fronts(cost for cost in Cost if not cost.varies), *self._series]

    def charts(self) -> list[Chart]:
        """Return the charts of the page."""
        made = [
            front_chart(f"front-{cost}", _title(cost), self._rows[cost], self._titles(cost))
            for cost in _SHOWN
            if cost in self._rows
        ]
        return [*(chart for chart in made if chart is not None), *self._lines]

    def pictures(self) -> list[Picture]:
        """Draw the pictures.

        Raises
        ------
        RunFailedError
            If a picture cannot be written.
        """
        made = [
            front_picture(self._found, f"front-{cost}", _title(cost), self._rows[cost], self._titles(cost))
            for cost in _SHOWN
            if cost in self._rows and not cost.varies
        ]
        made += [chart_picture(self._found, chart) for chart in self._lines]
        return [picture for picture in made if picture is not None]

    def _fronts(self, costs: Iterable[Cost]) -> list[Table]:
        return [front_table(self._found, self._quality, cost) for cost in costs if cost in self._rows]

    def _titles(self, cost: Cost) -> Titles:
        return Titles(f"{cost.label} [{cost.unit}]" if cost.unit else cost.label, self._quality.title)


def _title(cost: Cost) -> str:
    return f"Quality against {cost.label}"
