"""The section of uncertainty: boards by measure, who is sure and unsure, foreign images, and a panel for each model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.comparing.uncertainties import (
    foreign_auroc,
    measures_of,
    ranked,
    set_names,
    title_of,
    uncertainty_rows,
)
from evaljobs.report.kinds.leading import certainty, verdict_of
from evaljobs.report.kinds.uncertainty_pictures import pictures
from evaljobs.report.kinds.weighing import Weighing
from evaljobs.report.results import OK, UNCERTAINTY
from evaljobs.report.section import Fact, Finding, Found, Headline, Level, Part, Section, Table, worst_first
from evaljobs.report.tables.uncertainty import (
    BOARD_NOTES,
    DETECTION_COLUMNS,
    MEASURE_COLUMNS,
    SPLIT_COLUMNS,
    board_columns,
    detection_rows,
    measure_rows,
    split_notes,
    split_rows,
)
from evaljobs.report.tables.uncertainty_quality import UncertaintyQuality
from evaljobs.report.text.uncertainty_words import sentence, threshold_text

# Models that have pictures, and rows in the tables of the whole.
_DRAWN, _LISTED = 3, 10
# Below, foreign images look more certain than known ones.
_CHANCE = 0.5


def uncertainty_section(found: Found) -> Section:
    """Return the section of one uncertainty job.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    group = found.group
    names, measures = ranked(found.results, group), measures_of(group)
    boards = {title_of(measure): _board(found, measure) for measure in measures}
    drawn = {name: list(pictures(found, name)) for name in names[:_DRAWN]}
    tables = _tables(found, names[:_LISTED], measures[:1])
    leading_measure = measures[0] if measures else ""
    leading = title_of(leading_measure)
    quality = UncertaintyQuality(found, leading_measure)
    weighing = Weighing(found, quality)
    return Section(
        job=group.job,
        kind=UNCERTAINTY,
        set=group.set,
        headline=_headline(found, leading_measure),
        choice="measure",
        boards=boards,
        chosen=leading,
        whole=Part(
            tables=[*weighing.shown(), *tables],
            pictures=[*(drawn[names[0]] if names else ()), *weighing.pictures()],
            charts=weighing.charts(),
        ),
        models={
            name: Part(
                tables=_tables(found, [name], measures), pictures=drawn.get(name, ()) if name != names[0] else ()
            )
            for name in names
        },
        findings=worst_first(_findings(found, names)),
        headlines={title_of(measure): _headline(found, measure) for measure in measures},
        data=[*(boards[leading] for _ in measures[:1]), *weighing.files(), *_tables(found, names, measures)],
    )


def _board(found: Found, measure: str) -> Table:
    rows = uncertainty_rows(found.results, found.group, measure)
    notes = [*BOARD_NOTES, *split_notes(found.group)]
    return Table("leaderboard", f"By {title_of(measure)}", board_columns(found.results, found.group), rows, notes)


def _tables(found: Found, models: Sequence[str], measures: Sequence[str]) -> list[Table]:
    group = found.group
    several = [
        Table("splits", "Sure and unsure", SPLIT_COLUMNS, split_rows(group, models, measures), split_notes(group)),
        Table("foreign", "Foreign images", DETECTION_COLUMNS, detection_rows(group, models, measures), [_POSITIVE]),
    ]
    if len(models) == 1:
        rows = measure_rows(group, models[0])
        several.append(Table("measures", f"All measures of {models[0]}", MEASURE_COLUMNS, rows, [_AURC]))
    return [table for table in several if table.rows]


_POSITIVE = (
    "Foreign images are the positives: flagged is whatever is at least as uncertain as a threshold. AUPR of "
    "in-distribution: those as the positives, by certainty. FPR at 95% TPR: the share of in-distribution images that "
    "are flagged where 95% of the foreign ones are."
)
_AURC = (
    "AURC: the mean share of wrong images among the surest, over all coverages; the least it could be: if each wrong "
    "image were less certain than each right one. AUROC of mistakes: the chance that a wrong image is less certain "
    "than a right one."
)


def _headline(found: Found, measure: str) -> Headline:
    rows = [row for row in uncertainty_rows(found.results, found.group, measure) if row["found"] is not None]
    if not rows:
        return Headline(None, "No model has a result.", Verdict.UNKNOWN)
    best, others = rows[0], rows[1:]
    quality = UncertaintyQuality(found, measure)
    against = [quality.difference(row["result"], best["result"]) for row in others]
    said = f"{sentence(best, measure, set_names(found.group))}."
    if others:
        second = others[0]["model"]["name"]
        said += f" The best of {len(rows):,} models; second is {second}. {certainty(others, against)}"
    return Headline(best["model"]["name"], said, verdict_of(against), _facts(best))


def _facts(row: Any) -> list[Fact]:
    found = row["found"]
    facts = [Fact("threshold", threshold_text(found), repr(found["threshold"]["value"]))]
    if row["auroc"] is not None:
        facts.append(Fact("AUROC of foreign images", f"{row['auroc']:.4f}", repr(row["auroc"])))
    if row["aurc"] is not None:
        facts.append(Fact("AURC", f"{row['aurc']:.3g}", repr(row["aurc"])))
    return facts


def _findings(found: Found, names: Sequence[str]) -> Iterator[Finding]:
    failed = [entry for entry in found.group.evaluations.values() if entry["status"] != OK]
    if failed:
        text = f"{len(failed):,} of {len(found.group.evaluations):,} models have no result here"
        yield Finding(Level.BAD, text, "They are listed below, with the reasons.")
    for name in names:
        result = found.group.evaluations[name]["result"]
        yield from (Finding(Level.NOTE, f"{name}: {note}") for note in result["notes"])
        leading = result["measures"][result["measure"]]
        area = foreign_auroc(leading)
        if area is not None and area < _CHANCE:
            yield Finding(
                Level.WARNING,
                f"{name}: foreign images look more certain than known ones (AUROC {area:.4f})",
                "Do not tell them apart by this measure; see the other ones.",
            )
        if leading["threshold"]["value"] is None:
            yield Finding(Level.WARNING, f"{name}: {threshold_text(leading)}", "Take a larger `share`.")
