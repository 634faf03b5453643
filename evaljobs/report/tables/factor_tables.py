"""Tables of factors: models that differ in one tag alone, side by side, each against the best of its block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text, legend
from evaljobs.report.results import result_of, tag_keys
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.effects import effects_table
from evaljobs.report.tables.factors import Block, Factor, Factors, find_factors
from evaljobs.report.tables.flags import meanings
from evaljobs.report.tables.joined_runs import JOINED_RUN, runs_of_models
from evaljobs.report.tables.levels import Value, level_text
from evaljobs.report.tables.naming import file_name
from evaljobs.report.tables.quality import Quality
from evaljobs.report.tables.verification import COST_COLUMNS, TAG, tag_columns

BEST = "best"
_MOST_LETTERS = 100  # of a file's name


def factors_of(found: Found) -> Factors:
    """Return the factors among the models that have a result, and what could not be compared."""
    models = {m["name"]: m.get("tags") or {} for m in found.results["models"] if result_of(found.group, m["name"])}
    tags = {name: {key: str(value) for key, value in of.items() if value is not None} for name, of in models.items()}
    runs = {model: run for model, run in runs_of_models(found.results).items() if model in tags}
    return find_factors(tags, tag_keys(found.results), {JOINED_RUN: runs} if runs else {})


def factor_tables(found: Found, quality: Quality) -> list[Table]:
    """Return what each factor changes, then a table for each factor; none where no tag varies.

    Parameters
    ----------
    found
        The evaluations of one job on one set.
    quality
        By which models are compared.
    """
    factors = factors_of(found)
    if not factors.factors and not factors.notes:
        return []
    rows: dict[tuple[str, ...], list[Row]] = {factor.tags: [] for factor in factors.factors}
    for row in factor_rows(found, quality, factors):
        rows[row["factor"].tags].append(row)
    tables = [_factor_table(factor, rows[factor.tags], quality) for factor in factors.factors]
    return [effects_table(found, quality, factors), *tables]


def factors_table(found: Found, quality: Quality) -> Table:
    """Return all factors in one long table, for machines."""
    rows = list(factor_rows(found, quality, factors_of(found)))
    keys = tag_keys(found.results)
    columns = [
        Column("factor", "factor", lambda row: row["factor"].name, Kind.TEXT),
        Column("block", "block", "block", Kind.INTEGER),
        Column("fixed", "all with", lambda row: fixed_text(row["fixed"]), Kind.TEXT),
        Column("level", "value", lambda row: level_text(row["level"]), Kind.TEXT),
        Column("model", "model", "model.name", Kind.TEXT),
        *tag_columns(keys, TAG),
        *([] if quality.target is None else [Column("target", "target FPR", lambda _: quality.target, Kind.NUMBER)]),
        *_numbers(quality),
        Column("reason", "why there is no interval", partial(_of, "reason"), Kind.TEXT),
    ]
    return Table("factors", "Factors: models that differ in one tag alone", columns, rows)


def factor_rows(found: Found, quality: Quality, factors: Factors) -> Iterator[dict[str, Any]]:
    """Yield a row per factor, block and model: a row of the leaderboard, and what it is against the best of its block.

    Yields
    ------
    dict
        Beside the leaderboard's keys ``factor`` (`Factor`), ``block`` (its number, from 1), ``fixed`` (the tags that it
        shares), ``level`` (the values of the factor's tags), ``is_best`` (of the block), ``is_reference`` (the
        best that the others are compared with) and ``difference`` (the row of `Quality.difference`, or null).
    """
    ranked = {row["model"]["name"]: row for row in quality.rows(found)}
    for factor in factors.factors:
        for number, block in enumerate(factor.blocks, 1):
            yield from _block_rows(quality, ranked, {"factor": factor, "block": number}, block)


def _block_rows(
    quality: Quality, ranked: Mapping[str, Row], where: Mapping[str, Any], block: Block
) -> Iterator[dict[str, Any]]:
    place = {name: number for number, name in enumerate(ranked)}
    best = min(block.models, key=place.__getitem__)
    highest = quality.number(ranked[best])
    for level, models in block.levels.items():
        for model in sorted(models, key=place.__getitem__):
            number = quality.number(ranked[model])
            yield {
                **ranked[model],
                **where,
                "fixed": block.fixed,
                "level": level,
                "is_best": number is not None and number == highest,
                "is_reference": model == best and highest is not None,
                "difference": _difference(ranked[best], ranked[model], quality) if model != best else None,
            }


def _difference(reference: Row, row: Row, quality: Quality) -> dict[str, Any] | None:
    """Return the difference to a reference; None where one of them has no such number."""
    both = reference["result"], row["result"]
    return quality.difference(*both) if all(quality.known(result) for result in both) else None


def fixed_text(fixed: Mapping[str, Value]) -> str:
    """Write the tags that a block shares: ``norm=ln, loss=cos``; a tag that is not there is ``-``."""
    return ", ".join(f"{key}={level_text([value])}" for key, value in fixed.items())


def _factor_table(factor: Factor, rows: Sequence[Row], quality: Quality) -> Table:
    shared = {key: {row["fixed"][key] for row in rows} for key in rows[0]["fixed"]}
    varying = [key for key, values in shared.items() if len(values) > 1]
    columns = [
        *([Column("block", "block", "block", Kind.INTEGER)] if len(factor.blocks) > 1 else []),
        *(Column(f"{TAG}{key}", key, partial(_fixed, key), Kind.TEXT) for key in varying),
        *(Column(f"{TAG}{key}", key, partial(_level, i), Kind.TEXT) for i, key in enumerate(factor.tags)),
        Column("model", "model", "model.name", Kind.TEXT),
        *_numbers(quality),
    ]
    same = {key: rows[0]["fixed"][key] for key, values in shared.items() if len(values) == 1}
    notes = [
        f"Models that differ in {factor.name} alone, each against the best of its block",
        *([f"all with {fixed_text(same)}"] if same else []),
        *legend([row["difference"] for row in rows if row["difference"]]),
        *meanings(flag for row in rows for flag in quality.flags(row)),
    ]
    return Table(_file_name(factor), f"Factor {factor.name}: {quality.title}", columns, rows, notes)


def _file_name(factor: Factor) -> str:
    name = "-".join(["factor", *(file_name(tag) for tag in factor.tags)])
    return name if len(name) <= _MOST_LETTERS else f"factor-{file_name(name)}"


def _fixed(key: str, row: Row) -> Value:
    value: Value = row["fixed"][key]
    return value


def _level(index: int, row: Row) -> Value:
    value: Value = row["level"][index]
    return value


def _numbers(quality: Quality) -> list[Column]:
    """Return the columns of a model's numbers, and of its difference to the best of its block."""
    number, *others = quality.columns()
    best = Column("is_best", "best", "is_best", Kind.BOOLEAN)
    ends = end_columns("difference_ci", "difference.ci")
    return [
        replace(number, beside=(*number.beside, best), strong=_is_best),
        Column("difference", "against the best", _value, Kind.NUMBER, format=_difference_text, beside=ends),
        Column("verdict", "difference is", partial(_of, "verdict"), Kind.TEXT),
        *others,
        *COST_COLUMNS,
    ]


def _is_best(row: Row) -> bool:
    return bool(row["is_best"])


def _of(key: str, row: Row) -> Any:
    return (row["difference"] or {}).get(key) or None


def _value(row: Row) -> float | None:
    if row["is_reference"]:
        return 0.0
    found = row["difference"]
    return None if found is None or found["difference"] is None else float(found["difference"])


def _difference_text(row: Row) -> str:
    return BEST if row["is_reference"] else difference_text(row["difference"])
