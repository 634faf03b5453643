"""The tables that are written: leaderboard, thresholds of a model, and every operating point in one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from evaljobs.report.results import OK
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.flags import error_kind, flags_text, why_no_auroc, why_no_rate
from evaljobs.report.tables.numbers import (
    count_text,
    digits_text,
    interval_text,
    next_text,
    rate_text,
    share_text,
    threshold_text,
)
from evaljobs.report.tables.views import view_text

TAG = "tag."  # before the names of tags where other columns stand beside them


def _tag(key: str, row: Row) -> str | None:
    # Not a dotted path: a tag's key may hold dots itself.
    value = (row["model"].get("tags") or {}).get(key)
    return None if value is None else str(value)


def tag_columns(keys: Sequence[str], prefix: str = "") -> list[Column]:
    """Return one column per tag."""
    return [Column(f"{prefix}{key}", key, partial(_tag, key), Kind.TEXT) for key in keys]


def _half_scale(score: float | None) -> float | None:
    """Put a cosine on the scale (cosine + 1) / 2."""
    return None if score is None else (score + 1) / 2


def _point(row: Row, key: str) -> Any:
    return (row.get("point") or {}).get(key)


def half_threshold(row: Row) -> float | None:
    """Return the threshold of a row's point on the scale (cosine + 1) / 2."""
    return _half_scale(_point(row, "threshold"))


def _threshold_text(row: Row) -> str:
    return threshold_text(_point(row, "threshold"), _point(row, "next_impostor_score"))


def _next_text(row: Row) -> str:
    return next_text(_point(row, "next_impostor_score"), _point(row, "threshold"))


def _half_threshold_text(row: Row) -> str:
    return threshold_text((_point(row, "threshold") + 1) / 2, _half_scale(_point(row, "next_impostor_score")))


def _share_text(count: str, total: str, row: Row) -> str:
    return f"{_point(row, count):,} / {row['result'][total]:,}"


def _share_column(count: str, total: str, title: str) -> Column:
    """Return the column of the counts behind a rate, such as ``32 / 320,914``."""
    whole = Column(total, title.split(" / ")[1], f"result.{total}", Kind.INTEGER)
    text = partial(_share_text, count, total)
    return Column(count, title, f"point.{count}", Kind.INTEGER, format=text, beside=(whole,))


def _fpr_text(row: Row) -> str:
    return share_text(_point(row, "fpr"))


def _tpr_text(row: Row) -> str:
    return interval_text(_point(row, "tpr"), _point(row, "tpr_ci"))


def _auroc_text(row: Row) -> str:
    return interval_text(row["result"]["auroc"], row["result"].get("auroc_ci"))


def _params_text(row: Row) -> str:
    return count_text(row["model"]["cost"]["params"])


def _cost_text(key: str, row: Row) -> str:
    return digits_text(row["model"]["cost"][key])


def _status_text(row: Row) -> str:
    return OK if row["status"] == OK else f"{row['status']}: {error_kind(row)}"


def _flags_or_none(row: Row) -> str | None:
    return flags_text(row) or None


def _end(path: tuple[str, str], index: int, row: Row) -> float | None:
    """Return the lower (0) or upper (1) end of an interval; None where there is no interval."""
    ends = (row.get(path[0]) or {}).get(path[1])
    return None if ends is None else float(ends[index])


def _ends(name: str, path: tuple[str, str]) -> list[Column]:
    return [
        Column(f"{name}_{end}", f"{name} {end}", partial(_end, path, index), Kind.NUMBER)
        for index, end in enumerate(("lower", "upper"))
    ]


_AUROC = Column(
    "auroc",
    "AUROC",
    "result.auroc",
    Kind.NUMBER,
    format=_auroc_text,
    reason=why_no_auroc,
    beside=tuple(_ends("auroc_ci", ("result", "auroc_ci"))),
)
_GFLOPS = Column("gflops", "GFLOPs", "model.cost.gflops", Kind.NUMBER, format=partial(_cost_text, "gflops"))
_PARAMS = Column("params", "parameters", "model.cost.params", Kind.INTEGER, format=",d")
_SIZE = Column("size_mb", "size", "model.cost.size_mb", Kind.NUMBER, "MB", partial(_cost_text, "size_mb"))
_FLAGS = Column("flags", "flags", _flags_or_none, Kind.TEXT)
_MODEL = Column("model", "model", "model.name", Kind.TEXT)
COST_COLUMNS = [_GFLOPS, _PARAMS, _SIZE]
STATUS_COLUMN = Column("status", "status", _status_text, Kind.TEXT)


def _tpr_column(title: str) -> Column:
    ends = tuple(_ends("tpr_ci", ("point", "tpr_ci")))
    return Column("tpr", title, "point.tpr", Kind.NUMBER, format=_tpr_text, reason=why_no_rate, beside=ends)


def quality_columns(fpr: float) -> list[Column]:
    """Return what says how good a model is at one target FPR: TPR, flags, AUROC."""
    return [_tpr_column(f"TPR at FPR {rate_text(fpr)}"), _FLAGS, _AUROC]


def measured_text(value: float, *, earlier: bool) -> str:
    """Write what was measured of a model, and whether that was in an earlier run."""
    return f"{digits_text(value)}{' (earlier)' if earlier else ''}"


def _rate_text(rates: Mapping[str, float], earlier: Collection[str], row: Row) -> str:
    name = row["model"]["name"]
    return measured_text(rates[name], earlier=name in earlier)


def _rate_of(rates: Mapping[str, float], row: Row) -> float | None:
    return rates.get(row["model"]["name"])


EARLIER_NOTE = (
    "(earlier): not measured in this run but remembered by the store, which does not know on which machine; "
    "numbers of different machines may stand side by side"
)
RATE_NOTE = f"Images per second: in batches, of one session, without decoding. {EARLIER_NOTE}."


def rate_column(rates: Mapping[str, float], earlier: Collection[str] = ()) -> Column:
    """Return the column of the images that a model takes in a second, which differs from run to run.

    Parameters
    ----------
    rates
        By model.
    earlier
        The models whose rate was measured in an earlier run.
    """
    text = partial(_rate_text, rates, earlier)
    return Column("images_per_s", "images", partial(_rate_of, rates), Kind.NUMBER, "1/s", text)


def leaderboard_columns(tags: Sequence[str], fpr: float) -> list[Column]:
    """Return the columns of the leaderboard at one target FPR."""
    return [
        Column("rank", "rank", "rank", Kind.INTEGER),
        _MODEL,
        *tag_columns(tags, TAG),
        *quality_columns(fpr),
        *COST_COLUMNS,
        STATUS_COLUMN,
    ]


def terminal_columns(fpr: float, *, intervals: bool) -> list[Column]:
    """Return the columns of the leaderboard for a terminal of 80 columns: short headings, no tags (names have them).

    An interval takes the room of the parameters; that of AUROC has none.
    """
    short = {"rank": "#", "tpr": f"TPR@{rate_text(fpr)}", "params": "params", "size_mb": ""}
    left_out = {"status", "params"} if intervals else {"status"}
    columns = [
        replace(c, title=short.get(c.name, c.title)) for c in leaderboard_columns((), fpr) if c.name not in left_out
    ]
    formats: dict[str, str | Callable[[Row], str]] = {"params": _params_text, "auroc": ".4f"}
    return [replace(c, format=formats.get(c.name, c.format)) for c in columns]


def _target_text(row: Row) -> str:
    return rate_text(float(row["point"]["target"]))


THRESHOLD_COLUMNS = [
    Column("target", "target FPR", "point.target", Kind.NUMBER, format=_target_text),
    Column("fpr", "FPR", "point.fpr", Kind.NUMBER, format=_fpr_text, reason=why_no_rate),
    _tpr_column("TPR"),
    Column("threshold", "threshold (cosine)", "point.threshold", Kind.NUMBER, "", _threshold_text, why_no_rate),
    Column("threshold_half", "threshold ((cosine + 1) / 2)", half_threshold, Kind.NUMBER, "", _half_threshold_text),
    Column("next_impostor_score", "next impostor", "point.next_impostor_score", Kind.NUMBER, format=_next_text),
    Column("allowed", "allowed", "point.allowed", Kind.INTEGER, format=",d"),
    _share_column("false_positives", "n_impostor", "false positives / impostor pairs"),
    _share_column("true_positives", "n_genuine", "true positives / genuine pairs"),
    _FLAGS,
]

# Shown where it is far from the TPR, and so says something else.
BALANCED_COLUMN = Column("tpr_balanced", "TPR, labels alike", "point.tpr_balanced", Kind.NUMBER, format=".4f")

# For one verification on a terminal; how many pairs there are stands above.
SCORE_COLUMNS = [
    replace(column, title=title)
    for column, title in zip(
        [
            *THRESHOLD_COLUMNS[:5],
            Column("false_positives", "", "point.false_positives", Kind.INTEGER, format=",d"),
            Column("true_positives", "", "point.true_positives", Kind.INTEGER, format=",d"),
            _FLAGS,
        ],
        ["target", "FPR", "TPR", "cosine", "(cos+1)/2", "FP", "TP", "flags"],
        strict=True,
    )
]


def threshold_columns(tags: Sequence[str]) -> list[Column]:
    """Return the columns of the thresholds of several models: a row per model and operating point."""
    return [_MODEL, *tag_columns(tags, TAG), *THRESHOLD_COLUMNS]


def _counts(key: str, row: Row) -> str | None:
    """Return counts by name in one cell, most first: ``12 damaged, 1 empty``."""
    counts: Mapping[str, int] = row.get(key) or {}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in ordered) or None


def _notices(row: Row) -> str | None:
    """Return what happened to how many images in one cell: ``12 alpha, 1 animated``."""
    return ", ".join(f"{notice['n_images']:,} {notice['kind']}" for notice in row.get("notices") or ()) or None


SET_COLUMNS = [
    Column("set", "set", "name", Kind.TEXT),
    Column("n_samples", "images", "n_samples", Kind.INTEGER, format=",d"),
    Column("n_labels", "labels", "n_labels", Kind.INTEGER, format=",d"),
    Column("n_single_labels", "labels with one image", "n_single_labels", Kind.INTEGER, format=",d"),
    Column("excluded", "excluded", "excluded", Kind.INTEGER, format=",d"),
    Column("excluded_by_kind", "reasons", partial(_counts, "excluded_by_kind"), Kind.TEXT),
    Column("notices", "conversions to know of", _notices, Kind.TEXT),
    Column("view", "view", view_text, Kind.TEXT),
]

FAILURE_COLUMNS = [
    Column("model", "model", "model.name", Kind.TEXT),
    Column("job", "job", "job", Kind.TEXT),
    Column("set", "set", "set", Kind.TEXT),
    Column("kind", "kind", error_kind, Kind.TEXT),
    Column("message", "what was found", "error.message", Kind.TEXT),
]
