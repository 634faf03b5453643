"""Tables of factors: models that differ in one tag alone, side by side, each against the best of its block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text, legend
from evaljobs.report.comparing.differences import differences
from evaljobs.report.results import result_of, tag_keys
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.effects import effects_table
from evaljobs.report.tables.factors import Block, Factor, Factors, find_factors
from evaljobs.report.tables.flags import flags, meanings
from evaljobs.report.tables.joined_runs import JOINED_RUN, runs_of_models
from evaljobs.report.tables.leaderboard import leaderboard_rows
from evaljobs.report.tables.levels import Value, level_text
from evaljobs.report.tables.naming import file_name
from evaljobs.report.tables.numbers import rate_text
from evaljobs.report.tables.verification import COST_COLUMNS, TAG, quality_columns, tag_columns

BEST = "best"
_MOST_LETTERS = 100  # of a file's name


def factors_of(found: Found) -> Factors:
    """Return the factors among the models that have a result, and what could not be compared."""
    models = {m["name"]: m.get("tags") or {} for m in found.results["models"] if result_of(found.group, m["name"])}
    tags = {name: {key: str(value) for key, value in of.items() if value is not None} for name, of in models.items()}
    runs = {model: run for model, run in runs_of_models(found.results).items() if model in tags}
    return find_factors(tags, tag_keys(found.results), {JOINED_RUN: runs} if runs else {})


def factor_tables(found: Found, fpr: float) -> list[Table]:
    """Return what each factor changes at one target FPR, then a table for each factor; none where no tag varies.

    Parameters
    ----------
    found
        Verifications.
    fpr
        The target at which models are compared.
    """
    factors = factors_of(found)
    if not factors.factors and not factors.notes:
        return []
    rows: dict[tuple[str, ...], list[Row]] = {factor.tags: [] for factor in factors.factors}
    for row in factor_rows(found, fpr, factors):
        rows[row["factor"].tags].append(row)
    tables = [_factor_table(factor, rows[factor.tags], fpr) for factor in factors.factors]
    return [effects_table(found, fpr, factors), *tables]


def factors_table(found: Found, fpr: float) -> Table:
    """Return all factors in one long table, for machines."""
    rows = list(factor_rows(found, fpr, factors_of(found)))
    keys = tag_keys(found.results)
    columns = [
        Column("factor", "factor", lambda row: row["factor"].name, Kind.TEXT),
        Column("block", "block", "block", Kind.INTEGER),
        Column("fixed", "all with", lambda row: fixed_text(row["fixed"]), Kind.TEXT),
        Column("level", "value", lambda row: level_text(row["level"]), Kind.TEXT),
        Column("model", "model", "model.name", Kind.TEXT),
        *tag_columns(keys, TAG),
        Column("target", "target FPR", lambda _: fpr, Kind.NUMBER),
        *_numbers(fpr),
        Column("reason", "why there is no interval", partial(_of, "reason"), Kind.TEXT),
    ]
    return Table("factors", "Factors: models that differ in one tag alone", columns, rows)


def factor_rows(found: Found, fpr: float, factors: Factors) -> Iterator[dict[str, Any]]:
    """Yield a row per factor, block and model: a row of the leaderboard, and what it is against the best of its block.

    Yields
    ------
    dict
        Beside the leaderboard's keys ``factor`` (`Factor`), ``block`` (its number, from 1), ``fixed`` (the tags that it
        shares), ``level`` (the values of the factor's tags), ``is_best`` (of the block, by TPR), ``is_reference`` (the
        best that the others are compared with) and ``difference`` (the row of `differences` of TPR, or null).
    """
    ranked = {row["model"]["name"]: row for row in leaderboard_rows(found.results, found.group, fpr)}
    for factor in factors.factors:
        for number, block in enumerate(factor.blocks, 1):
            yield from _block_rows(fpr, ranked, {"factor": factor, "block": number}, block)


def _block_rows(
    fpr: float, ranked: Mapping[str, Row], where: Mapping[str, Any], block: Block
) -> Iterator[dict[str, Any]]:
    place = {name: number for number, name in enumerate(ranked)}
    best = min(block.models, key=place.__getitem__)
    highest = (ranked[best]["point"] or {}).get("tpr")
    for level, models in block.levels.items():
        for model in sorted(models, key=place.__getitem__):
            tpr = (ranked[model]["point"] or {}).get("tpr")
            yield {
                **ranked[model],
                **where,
                "fixed": block.fixed,
                "level": level,
                "is_best": tpr is not None and tpr == highest,
                "is_reference": model == best and highest is not None,
                "difference": _difference(ranked[best], ranked[model], fpr) if model != best else None,
            }


def _difference(reference: Row, row: Row, fpr: float) -> dict[str, Any] | None:
    """Return the difference of TPR to a reference; None where one of them has no such target."""
    if reference["point"] is None or row["point"] is None:
        return None
    return next(differences(reference["result"], row["result"], [fpr]))


def fixed_text(fixed: Mapping[str, Value]) -> str:
    """Write the tags that a block shares: ``norm=ln, loss=cos``; a tag that is not there is ``-``."""
    return ", ".join(f"{key}={level_text([value])}" for key, value in fixed.items())


def _factor_table(factor: Factor, rows: Sequence[Row], fpr: float) -> Table:
    shared = {key: {row["fixed"][key] for row in rows} for key in rows[0]["fixed"]}
    varying = [key for key, values in shared.items() if len(values) > 1]
    columns = [
        *([Column("block", "block", "block", Kind.INTEGER)] if len(factor.blocks) > 1 else []),
        *(Column(f"{TAG}{key}", key, partial(_fixed, key), Kind.TEXT) for key in varying),
        *(Column(f"{TAG}{key}", key, partial(_level, i), Kind.TEXT) for i, key in enumerate(factor.tags)),
        Column("model", "model", "model.name", Kind.TEXT),
        *_numbers(fpr),
    ]
    same = {key: rows[0]["fixed"][key] for key, values in shared.items() if len(values) == 1}
    notes = [
        f"Models that differ in {factor.name} alone, each against the best of its block",
        *([f"all with {fixed_text(same)}"] if same else []),
        *legend([row["difference"] for row in rows if row["difference"]]),
        *meanings(flag for row in rows for flag in flags(row["point"])),
    ]
    return Table(_file_name(factor), f"Factor {factor.name}: TPR at FPR {rate_text(fpr)}", columns, rows, notes)


def _file_name(factor: Factor) -> str:
    name = "-".join(["factor", *(file_name(tag) for tag in factor.tags)])
    return name if len(name) <= _MOST_LETTERS else f"factor-{file_name(name)}"


def _fixed(key: str, row: Row) -> Value:
    value: Value = row["fixed"][key]
    return value


def _level(index: int, row: Row) -> Value:
    value: Value = row["level"][index]
    return value


def _numbers(fpr: float) -> list[Column]:
    """Return the columns of a model's numbers, and of its difference to the best of its block."""
    tpr, *others = quality_columns(fpr)
    best = Column("is_best", "best", "is_best", Kind.BOOLEAN)
    ends = end_columns("difference_ci", "difference.ci")
    return [
        replace(tpr, beside=(*tpr.beside, best), strong=_is_best),
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
