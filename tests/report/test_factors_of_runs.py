"""Factors where several models have equal tags: trainings that were done twice, and runs that were joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaljobs.report.results import verification_groups
from evaljobs.report.runs.joining import join
from evaljobs.report.section import Found
from evaljobs.report.tables.factor_tables import factor_tables, factors_of
from evaljobs.report.tables.factors import find_factors
from evaljobs.report.tables.quality import TprQuality
from tests.report.runs import make_result, make_run


def test_models_of_equal_tags_are_named() -> None:
    """Nothing says which is which, and both stand in each comparison: people must know."""
    tags = {"a1": {"loss": "arc"}, "a2": {"loss": "arc"}, "c": {"loss": "cos"}}
    (note,) = find_factors(tags, ["loss"]).notes
    assert note == "equal in all tags that are compared, each against the models of other levels: a1 = a2"
    assert find_factors({name: tags[name] for name in ("a1", "c")}, ["loss"]).notes == ()


def night(day: int, **models: float) -> dict[str, Any]:
    """Return a run of models that were trained anew that night; `base` is one file in all of them."""
    run = make_run(
        {name: make_result(tpr, seed=day) for name, tpr in models.items()},
        day=day,
        name=f"night {day}",
        files={name: "base" if name == "base" else f"{name}{day}" for name in models},
    )
    for model in run["models"]:
        model["tags"] = {"loss": model["name"]}
    return run


def joined(*runs: dict[str, Any]) -> Found:
    document = join([(run["run"], run, {}) for run in runs]).document
    return Found(document, verification_groups(document)[0], {}, Path())


def test_models_of_two_nights_are_not_mixed() -> None:
    """Joined, arc of Monday is compared with cos of Monday: a change over nights is no effect of the loss."""
    found = joined(night(1, arc=0.91, cos=0.89), night(2, arc=0.96, cos=0.94))
    (factor,) = factors_of(found).factors
    assert [(dict(block.fixed), sorted(block.models)) for block in factor.blocks] == [
        ({"(run)": f"night {day}"}, [f"night {day}/arc", f"night {day}/cos"]) for day in (1, 2)
    ]
    assert factors_of(found).notes == ()
    effects, table = factor_tables(found, TprQuality(1e-4))
    (effect,) = effects.rows
    assert (effect["n_blocks"], effect["n_pairs"], effect["n_higher"]) == (2, 2, 0)
    assert effect["tpr"]["difference"] == pytest.approx(-0.02)
    assert [column.text(row) for column in table.columns for row in table.rows].count("best") == 2


def test_a_model_that_did_not_change_counts_to_the_newest_night() -> None:
    """It is one model; those of the last night are compared with it."""
    found = joined(night(1, arc=0.91, base=0.89), night(2, arc=0.96, base=0.89))
    (factor,) = factors_of(found).factors
    assert [sorted(block.models) for block in factor.blocks] == [["base", "night 2/arc"]]
    again = joined(night(1, base=0.89), {**night(2, arc=0.96), "run": "other"})
    assert [block.fixed for block in factors_of(again).factors[0].blocks] == [{}]
