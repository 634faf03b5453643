"""The section of classifications: leaderboards by measure, confusion, calibration, and a panel for each model."""

from __future__ import annotations

from evaljobs.report.comparing.measures import ACCURACY, class_rows, measures_of
from evaljobs.report.kinds.classification_findings import model_findings, section_findings
from evaljobs.report.kinds.classification_headline import headline_by
from evaljobs.report.kinds.classification_pictures import pictures
from evaljobs.report.kinds.classification_tables import (
    calibration_table,
    classes_table,
    confused_table,
    mistakes_table,
    model_classes_table,
)
from evaljobs.report.kinds.weighing import Weighing
from evaljobs.report.results import CLASSIFICATION, OK
from evaljobs.report.section import Found, Part, Section, Table
from evaljobs.report.tables.class_boards import class_table
from evaljobs.report.tables.class_quality import ClassQuality


def classification_section(found: Found) -> Section:
    """Return what is shown of classifications of one job on one set; its pictures are written.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    ranked = [row["model"]["name"] for row in class_rows(found.results, found.group) if row["status"] == OK]
    measures = measures_of(found.group)
    weighing = Weighing(found, ClassQuality(ACCURACY))
    tables = _tables(found, ranked)
    return Section(
        job=found.group.job,
        kind=CLASSIFICATION,
        set=found.group.set,
        headline=headline_by(found, ACCURACY),
        choice="measure",
        boards={measure.title: class_table(found, measure, rates=True) for measure in measures},
        chosen=ACCURACY.title,
        whole=Part(
            tables=[*weighing.shown(), *tables],
            pictures=[*pictures(found, ranked), *weighing.pictures()],
            charts=weighing.charts(),
        ),
        models={name: _panel(found, name) for name in ranked},
        findings=section_findings(found, ranked),
        headlines={measure.title: headline_by(found, measure) for measure in measures},
        data=[class_table(found, ACCURACY, rates=False), *weighing.files(), *tables],
    )


def _tables(found: Found, ranked: list[str]) -> list[Table]:
    """Return what is shown of all models: how sure they are, which classes are hard, what the best one mistakes."""
    made = [calibration_table(found, ranked), classes_table(found, ranked)]
    made += [make(found, name) for name in ranked[:1] for make in (confused_table, mistakes_table)]
    return [table for table in made if table is not None and table.rows]


def _panel(found: Found, model: str) -> Part:
    result = found.group.evaluations[model]["result"]
    made = [make(found, model) for make in (model_classes_table, confused_table, mistakes_table)]
    return Part(tables=[t for t in made if t is not None and t.rows], findings=model_findings(result))
