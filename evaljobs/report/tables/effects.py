"""What each factor changes: the mean difference between two of its levels, over all models that differ in it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations, product
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text, legend
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.results import Document, result_of
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.factors import MOST_LEVELS, Block, Factor, Factors
from evaljobs.report.tables.flags import meanings
from evaljobs.report.tables.levels import Values, level_text
from evaljobs.report.tables.quality import Metric, Quality

_MEANS = (
    "B - A: the mean over all blocks of models that differ in this factor alone. Its interval says how it would differ "
    "on other images, for these very models; not what it would be had they been trained again"
)


def effects_table(found: Found, quality: Quality, factors: Factors) -> Table:
    """Return a row for each two levels of each factor; what could not be compared stands in its notes."""
    rows = [row for factor in factors.factors for row in _effects(found, quality, factor, factors)]
    many = [factor for factor in factors.factors if len(factor.levels) > MOST_LEVELS]
    notes = [
        *([_MEANS] if rows else []),
        *legend([row[quality.metric.name] for row in rows]),
        *meanings(flag for row in rows for side in "ab" for flag in row[quality.metric.name][f"flags_{side}"]),
        *(f"{f.name} has {len(f.levels):,} values: each is compared with {level_text(_usual(f))}" for f in many),
        *factors.notes,
    ]
    title = f"What each factor changes in {quality.title}"
    return Table("effects", title, _columns(quality.metrics), rows, notes)


def _effects(found: Found, quality: Quality, factor: Factor, factors: Factors) -> Iterator[dict[str, Any]]:
    """Yield the row of each two levels that some block has both of, in natural order; none that another factor has.

    Yields
    ------
    dict
        ``factor``, ``a`` and ``b`` (levels), ``n_blocks``, ``n_pairs`` of models, in how many of them B is higher
        (``n_higher``), how many have an interval (``n_known``) and are real (``n_real``), and by name of the metric the
        rows of `Quality.mean_differences`.
    """
    others = [set(other.tags) for other in factors.factors if other is not factor]
    for a, b in _pairs(factor):
        if {tag for tag, x, y in zip(factor.tags, a, b, strict=True) if x != y} in others:
            continue
        blocks = [(_results(found, quality, block, a), _results(found, quality, block, b)) for block in factor.blocks]
        blocks = [both for both in blocks if all(both)]
        if not blocks:
            continue
        single = [quality.difference(*pair) for both in blocks for pair in product(*both)]
        known = [row for row in single if row["verdict"] != Verdict.UNKNOWN]
        names = [metric.name for metric in quality.metrics]
        yield {
            "factor": factor,
            "a": a,
            "b": b,
            "n_blocks": len(blocks),
            "n_pairs": len(single),
            "n_higher": sum(1 for row in single if row["difference"] is not None and row["difference"] > 0),
            "n_known": len(known),
            "n_real": sum(1 for row in known if row["verdict"] == Verdict.REAL),
            **dict(zip(names, quality.mean_differences(blocks), strict=True)),
        }


def _pairs(factor: Factor) -> Sequence[tuple[Values, Values]]:
    levels = factor.levels
    if len(levels) <= MOST_LEVELS:
        return list(combinations(levels, 2))
    usual = _usual(factor)
    return [(usual, level) for level in levels if level != usual]


def _usual(factor: Factor) -> Values:
    """Return the level that most blocks have, the first of several."""
    return max(factor.levels, key=lambda level: sum(1 for block in factor.blocks if level in block.levels))


def _results(found: Found, quality: Quality, block: Block, level: Values) -> list[Document]:
    results = [result_of(found.group, model) for model in block.levels.get(level, ())]
    return [result for result in results if result is not None and quality.known(result)]


def _columns(metrics: Sequence[Metric]) -> list[Column]:
    (name, title), *others = metrics
    number, integer, text = Kind.NUMBER, Kind.INTEGER, Kind.TEXT
    return [
        Column("factor", "factor", lambda row: row["factor"].name, text),
        Column("a", "A", lambda row: level_text(row["a"]), text),
        Column("b", "B", lambda row: level_text(row["b"]), text),
        Column("blocks", "blocks", "n_blocks", integer, format=",d"),
        Column(f"{name}_a", f"{title} of A", f"{name}.a", number, format=".4f"),
        Column(f"{name}_b", f"{title} of B", f"{name}.b", number, format=".4f"),
        *_difference_columns(metrics[0], "B - A"),
        Column("flags_a", "flags of A", partial(_flags, name, "a"), text),
        Column("flags_b", "flags of B", partial(_flags, name, "b"), text),
        Column("n_higher", "B is higher in", "n_higher", integer, format=partial(_of, "n_pairs"), beside=(_PAIRS,)),
        Column("n_real", "real in", _real, integer, format=partial(_of, "n_known"), beside=(_KNOWN,)),
        *(column for metric in others for column in _difference_columns(metric, f"{metric.title}, B - A")),
    ]


_PAIRS = Column("n_pairs", "pairs of models", "n_pairs", Kind.INTEGER)
_KNOWN = Column("n_known", "pairs with an interval", "n_known", Kind.INTEGER)


def _difference_columns(metric: Metric, title: str) -> list[Column]:
    name = metric.name
    text = partial(_in, name, difference_text)
    return [
        Column(
            f"{name}_difference",
            f"{title} [95% interval]",
            f"{name}.difference",
            Kind.NUMBER,
            format=text,
            beside=end_columns(f"{name}_difference_ci", f"{name}.ci"),
        ),
        Column(f"{name}_verdict", f"difference in {metric.title} is", f"{name}.verdict", Kind.TEXT),
    ]


def _in(key: str, text: Callable[[Row], str], row: Row) -> str:
    return text(row[key])


def _flags(metric: str, side: str, row: Row) -> str | None:
    return " ".join(row[metric][f"flags_{side}"]) or None


def _real(row: Row) -> int | None:
    return row["n_real"] if row["n_known"] else None


def _of(total: str, row: Row) -> str:
    count = row["n_higher"] if total == "n_pairs" else row["n_real"]
    return f"{count:,} of {row[total]:,}"
