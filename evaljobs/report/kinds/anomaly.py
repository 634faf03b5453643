"""The section of anomaly jobs: boards by AUROC and by FPR, curves, labels, best and worst images of each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from evaljobs.report.comparing.anomalies import anomaly_rows, shown_fpr
from evaljobs.report.figures.found import targets_of
from evaljobs.report.figures.thumbnails import ANOMALY_MODELS
from evaljobs.report.kinds.anomaly_headline import headline
from evaljobs.report.kinds.anomaly_pictures import pictures_of, roc_of_all, scores_of
from evaljobs.report.kinds.weighing import Weighing
from evaljobs.report.results import ANOMALY, OK
from evaljobs.report.section import Finding, Found, Level, Part, Picture, Section, Table, worst_first
from evaljobs.report.tables.anomaly import MEANING, board, labels_table, points_table, rotations_table
from evaljobs.report.tables.anomaly_quality import AnomalyQuality
from evaljobs.report.tables.flags import flags
from evaljobs.report.tables.numbers import rate_text

AUROC = "AUROC"
# Below, anomalous images have lower scores than normal ones.
_CHANCE = 0.5


def anomaly_section(found: Found) -> Section:
    """Return the section of one anomaly job.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    group, fpr = found.group, shown_fpr(found.group)
    rows = anomaly_rows(found.results, group)
    names = [row["model"]["name"] for row in rows if row["status"] == OK]
    boards = _boards(found, fpr)
    roc = ([], []) if fpr is None else roc_of_all(found, fpr)
    drawn = {name: list(pictures_of(found, name, fpr, best=name == names[0])) for name in names[:ANOMALY_MODELS]}
    weighing = Weighing(found, AnomalyQuality())
    best = [table for name in names[:1] for table in [labels_table(found, name, fpr, f"Labels, by {name}")] if table]
    thresholds = points_table(rows, "Thresholds of all models")
    return Section(
        job=group.job,
        kind=ANOMALY,
        set=group.set,
        headline=headline(found, None),
        choice="by",
        boards=boards,
        chosen=AUROC,
        whole=Part(
            tables=[*weighing.shown(), *best],
            pictures=[*roc[0], *(drawn[names[0]] if names else ()), *weighing.pictures()],
            charts=[*roc[1], *weighing.charts()],
        ),
        models={name: _panel(found, name, fpr, drawn.get(name, []) if name != names[0] else []) for name in names},
        findings=worst_first(_findings(found, names)),
        headlines={text: headline(found, None if text == AUROC else _target(text)) for text in boards},
        data=[boards[AUROC], *([thresholds] if thresholds.rows else []), *weighing.files(), *best],
    )


def _boards(found: Found, shown: float | None) -> dict[str, Table]:
    """Return the leaderboards: by AUROC, and by the TPR at each target."""
    by_auroc = board(found, anomaly_rows(found.results, found.group), None, shown)
    by_target = {
        f"{_FPR}{rate_text(fpr)}": board(found, anomaly_rows(found.results, found.group, fpr), fpr, fpr)
        for fpr in targets_of(found)
    }
    return {AUROC: by_auroc, **by_target}


_FPR = "FPR "


def _target(text: str) -> float:
    return float(text.removeprefix(_FPR))


def _panel(found: Found, model: str, fpr: float | None, pictures: Sequence[Picture]) -> Part:
    result = found.group.evaluations[model]["result"]
    row = {"model": {"name": model}, "status": OK, "result": result}
    tables = [
        points_table([row], f"Thresholds of {model}", of_one=True),
        labels_table(found, model, fpr, f"Labels, by {model}"),
        rotations_table(model, result),
    ]
    return Part(
        tables=[table for table in tables if table is not None],
        charts=scores_of(found, model),
        pictures=pictures,
        findings=[Finding(Level.NOTE, note) for note in result["notes"]],
    )


def _findings(found: Found, names: Sequence[str]) -> Iterator[Finding]:
    entries = found.group.evaluations
    if failed := sum(entry["status"] != OK for entry in entries.values()):
        text = f"{failed:,} of {len(entries):,} models have no result here"
        yield Finding(Level.BAD, text, "They are listed below, with the reasons.")
    results = {name: entries[name]["result"] for name in names}
    for flag, meaning in MEANING.items():
        counts = Counter(float(p["target"]) for r in results.values() for p in r["points"] if flag in flags(p))
        if counts:
            targets = ", ".join(map(rate_text, sorted(counts)))
            level = Level.NOTE if flag == "tied" else Level.WARNING
            yield Finding(level, f"FPR {targets}: {flag.replace('_', ' ')}: {meaning}", _ADVICE.get(flag, ""))
    for name, result in results.items():
        if result["auroc"] < _CHANCE:
            yield Finding(
                Level.WARNING,
                f"{name}: anomalous images look more normal than normal ones (AUROC {result['auroc']:.4f})",
                "Look at what it was trained on" + ("." if result["rotations"] is None else ", and at its rotations."),
            )
    notes = Counter(note for result in results.values() for note in result["notes"])
    for note, n in notes.items():
        some = "" if n == len(results) else f" ({n:,} of {len(results):,} models)"
        yield Finding(Level.NOTE, f"{note}{some}")


_ADVICE = {
    "unresolved": "Use a higher FPR, or more normal images.",
    "few_errors": "Read its intervals before its rates, or use more normal images.",
    "nothing_accepted": "Scores that are all alike look like this.",
}
