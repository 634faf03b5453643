"""The section of verifications: leaderboards by FPR, curves, factors, fronts, and a panel for each model."""

from __future__ import annotations

from evaljobs.report.figures.charts import roc_chart, scores_chart
from evaljobs.report.figures.contact_sheet import hardest_rows, hardest_sheet
from evaljobs.report.figures.det import det_picture
from evaljobs.report.figures.found import targets_of
from evaljobs.report.figures.overlay import roc_picture
from evaljobs.report.figures.scores import scores_picture
from evaljobs.report.kinds.verification_findings import model_findings, section_findings
from evaljobs.report.kinds.verification_headline import headline_at
from evaljobs.report.kinds.weighing import Weighing
from evaljobs.report.results import OK, VERIFICATION
from evaljobs.report.section import Found, Part, Section
from evaljobs.report.tables.boards import leaderboard_table, threshold_table, thresholds_table
from evaljobs.report.tables.leaderboard import PREFERRED_FPR, chosen_fpr, leaderboard_rows
from evaljobs.report.tables.numbers import rate_text
from evaljobs.report.tables.quality import TprQuality

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
    weighing = Weighing(found, TprQuality(fpr))
    curves = roc_chart(found, fpr)
    drawn = [make(found, fpr) for make in (roc_picture, det_picture, scores_picture)]
    return Section(
        job=found.group.job,
        kind=VERIFICATION,
        set=found.group.set,
        headline=headline_at(found, fpr),
        choice="FPR",
        boards={rate_text(target): leaderboard_table(found, target, rates=True) for target in targets},
        chosen=rate_text(fpr),
        whole=Part(
            tables=weighing.shown(),
            pictures=[*(picture for picture in drawn if picture is not None), *weighing.pictures()],
            charts=[*([] if curves is None else [curves]), *weighing.charts()],
        ),
        models={name: _panel(found, name, sheet=place < _SHEETS) for place, name in enumerate(ranked)},
        findings=section_findings(found, ranked),
        headlines={rate_text(target): headline_at(found, target) for target in targets},
        data=[
            leaderboard_table(found, fpr, rates=False),
            thresholds_table(found, fpr),
            *weighing.files(),
        ],
    )


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
