"""The section of verifications: leaderboards by FPR, curves, factors, fronts, and a panel for each model."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from evaljobs.report.figures.charts import front_chart, roc_chart, scores_chart
from evaljobs.report.figures.contact_sheet import hardest_rows, hardest_sheet
from evaljobs.report.figures.det import det_picture
from evaljobs.report.figures.found import targets_of
from evaljobs.report.figures.front import Titles, front_picture
from evaljobs.report.figures.lines import chart_picture
from evaljobs.report.figures.overlay import roc_picture
from evaljobs.report.figures.scores import scores_picture
from evaljobs.report.kinds.verification_findings import model_findings, section_findings
from evaljobs.report.kinds.verification_headline import headline_at
from evaljobs.report.results import OK, VERIFICATION
from evaljobs.report.runs.checkpoints import series_chart, series_tables
from evaljobs.report.runs.history import history_chart, history_table
from evaljobs.report.section import Chart, Found, Part, Picture, Section, Table
from evaljobs.report.tables.boards import leaderboard_table, threshold_table, thresholds_table
from evaljobs.report.tables.factor_tables import factor_tables, factors_table
from evaljobs.report.tables.front import Cost, front_rows, front_table
from evaljobs.report.tables.leaderboard import PREFERRED_FPR, chosen_fpr, leaderboard_rows
from evaljobs.report.tables.numbers import rate_text

# Parameters say nearly the same as the size: theirs is a file.
_SHOWN = (Cost.GFLOPS, Cost.SIZE, Cost.TIME)
# Models whose hardest pairs are a picture, too.
_SHEETS = 1


def verification_section(found: Found) -> Section:
    """Return what is shown of verifications of one job on one set; its pictures are written.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    fpr = chosen_fpr(found.group) or PREFERRED_FPR
    targets = targets_of(found) or [fpr]
    ranked = [row["model"]["name"] for row in leaderboard_rows(found.results, found.group, fpr) if row["status"] == OK]
    factors = factor_tables(found, fpr)
    series = series_tables(found, fpr)
    costs = _differing(found, fpr)
    return Section(
        job=found.group.job,
        kind=VERIFICATION,
        set=found.group.set,
        headline=headline_at(found, fpr),
        choice="FPR",
        boards={rate_text(target): leaderboard_table(found, target, rates=True) for target in targets},
        chosen=rate_text(fpr),
        whole=Part(
            tables=[
                *factors,
                *_fronts(found, fpr, [cost for cost in _SHOWN if cost in costs]),
                *series,
                *_history(found, fpr),
            ],
            pictures=_pictures(found, fpr, costs),
            charts=_charts(found, fpr, costs),
        ),
        models={name: _panel(found, name, sheet=place < _SHEETS) for place, name in enumerate(ranked)},
        findings=section_findings(found, ranked),
        headlines={rate_text(target): headline_at(found, target) for target in targets},
        data=[
            leaderboard_table(found, fpr, rates=False),
            thresholds_table(found, fpr),
            *factors,
            *([factors_table(found, fpr)] if factors else []),
            *_fronts(found, fpr, [cost for cost in costs if not cost.varies]),
            *series,
        ],
    )


def _fronts(found: Found, fpr: float, costs: Iterable[Cost]) -> list[Table]:
    """Return quality against each cost."""
    return [front_table(found, fpr, cost) for cost in costs]


def _differing(found: Found, fpr: float) -> list[Cost]:
    """Return the costs in which models differ: against others there is nothing to weigh."""
    return [cost for cost in Cost if len({row["x"] for row in front_rows(found, fpr, cost)}) > 1]


def _history(found: Found, fpr: float) -> list[Table]:
    table = history_table(found, fpr)
    return [] if table is None else [table]


def _titles(fpr: float, cost: Cost) -> Titles:
    return Titles(f"{cost.label} [{cost.unit}]" if cost.unit else cost.label, f"TPR at FPR {rate_text(fpr)}")


def _charts(found: Found, fpr: float, costs: Collection[Cost]) -> list[Chart]:
    made = [roc_chart(found, fpr)]
    for cost in (cost for cost in _SHOWN if cost in costs):
        titles = _titles(fpr, cost)
        made.append(front_chart(f"front-{cost}", f"Quality against {cost.label}", front_rows(found, fpr, cost), titles))
    made += [series_chart(found, fpr), history_chart(found, fpr)]
    return [chart for chart in made if chart is not None]


def _pictures(found: Found, fpr: float, costs: Collection[Cost]) -> list[Picture]:
    made = [make(found, fpr) for make in (roc_picture, det_picture, scores_picture)]
    for cost in (cost for cost in _SHOWN if cost in costs and not cost.varies):
        name, title = f"front-{cost}", f"Quality against {cost.label}"
        made.append(front_picture(found, name, title, front_rows(found, fpr, cost), _titles(fpr, cost)))
    lines = [series_chart(found, fpr), history_chart(found, fpr)]
    made += [chart_picture(found, chart) for chart in lines if chart is not None]
    return [picture for picture in made if picture is not None]


def _panel(found: Found, model: str, *, sheet: bool) -> Part:
    result = found.group.evaluations[model]["result"]
    chart = scores_chart(found, model)
    pairs = hardest_sheet(found, model) if sheet else None
    return Part(
        tables=[threshold_table(found, model)],
        charts=[] if chart is None else [chart],
        pictures=[] if pairs is None else [pairs],
        pairs=hardest_rows(found, model),
        findings=model_findings(result),
    )
