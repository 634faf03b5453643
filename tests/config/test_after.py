"""Jobs that come after others: what a configuration may ask for, and what it means."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from evaljobs import config, jobs
from evaljobs.errors import UsageError
from evaljobs.jobs.job import After, Job
from evaljobs.jobs.order import in_order
from evaljobs.jobs.verification import VerificationJob, VerificationParameters
from evaljobs.report.results import OK, Group
from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows


def built(*entries: dict[str, Any]) -> tuple[Job, ...]:
    data = {"sets": {name: {"images": {"folder": name}} for name in ("main", "other")}, "models": ["a.onnx"]}
    return jobs.build_jobs(config.validate(config.Config, {**data, "jobs": list(entries)}, "test"))


@pytest.mark.parametrize(("models", "most"), [(None, None), ("all", None), ("best", 1), ("1", 1), ("12", 12)], ids=str)
def test_models_of_a_later_job(models: str | None, most: int | None) -> None:
    """All that have a result, the best, or so many of the best."""
    _, later = built({"name": "first"}, {"name": "second", "after": "first", "models": models})
    assert later.after == After("first", most)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"name": "a"}, {"name": "b", "after": "aa"}], "names no job 'aa'; did you mean 'a'"),
        ([{"name": "a", "after": "a"}], "'a' after 'a'"),
        (
            [{"name": "a", "after": "b"}, {"name": "b", "after": "c"}, {"name": "c", "after": "a"}],
            "'a' after 'b' after 'c' after 'a'",
        ),
        ([{"name": "x", "after": "a"}, {"name": "a", "after": "b"}, {"name": "b", "after": "a"}], "'a' after 'b'"),
        ([{"name": "a"}, {"name": "b", "models": "best"}], "add `after: NAME`"),
        ([{"name": "a"}, {"name": "b", "after": "a", "models": "0"}], "`all`, `best`, or how many"),
        ([{"name": "a"}, {"name": "b", "after": "a", "models": "worst"}], "found 'worst'"),
        (
            [{"name": "a"}, {"name": "m", "kind": "map"}, {"name": "b", "after": "m", "models": "best"}],
            "a map ranks none",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_start(entries: list[dict[str, Any]], words: str) -> None:
    """Unknown names, circles, and a best without a ranking: said with the way out."""
    entries = [{"set": "main", **entry} for entry in entries]
    with pytest.raises(UsageError) as caught:
        built(*entries)
    assert words in str(caught.value)


def test_a_map_shows_the_best_model_by_itself() -> None:
    """It comes after the first verification on its own set, else after the first; `models: all` makes it take all."""
    sets = [{"name": "a"}, {"name": "b", "set": "other"}]
    assert built(*sets, {"name": "m", "kind": "map"})[2].after == After("a", 1)
    assert built(*sets, {"name": "m", "kind": "map", "set": "other"})[2].after == After("b", 1)
    assert built(sets[0], {"name": "m", "kind": "map", "set": "other", "models": "3"})[1].after == After("a", 3)
    assert built(*sets, {"name": "m", "kind": "map", "models": "all"})[2].after is None
    assert built({"name": "m", "kind": "map"})[0].after is None
    assert built(*sets, {"name": "m", "kind": "map", "after": "b"})[2].after == After("b", 1)


def test_jobs_are_carried_out_behind_those_they_wait_for() -> None:
    """However they stand in the file."""
    entries = [{"name": "a"}, {"name": "b", "after": "a"}, {"name": "c", "after": "b"}, {"name": "d", "after": "a"}]
    for order in permutations(entries):
        names = [job.name for job in in_order(built(*order))]
        assert sorted(names) == ["a", "b", "c", "d"]
        assert all(names.index(e["after"]) < names.index(e["name"]) for e in entries if "after" in e)


def test_configurations_without_it_keep_their_digest() -> None:
    """Results that were written before `after` was there are still those of their configuration."""
    data = {"images": {"folder": "a"}, "models": ["a.onnx"], "jobs": [{"name": "v", "set": "main"}]}
    dumped = config.validate(config.Config, data, "test").model_dump(mode="json", exclude_defaults=True)
    assert dumped["jobs"] == [{"name": "v", "set": "main"}]
    assert dumped["models"] == [{"path": "a.onnx"}]


def result(tprs: dict[str, float | None], auroc: float | None, *, unresolved: str = "") -> dict[str, Any]:
    points = [
        {"target": float(target), "tpr": tpr, "flags": ["unresolved"] if target == unresolved else []}
        for target, tpr in tprs.items()
    ]
    return {"points": points, "auroc": auroc}


def test_the_best_model_is_the_first_of_the_leaderboard() -> None:
    """What is chosen is what people see on top: at the FPR that is chosen for all, ties by AUROC and then by name."""
    results = {
        "zero": result({"1e-4": None, "0.1": 1.0}, 0.99),
        "b": result({"1e-4": 0.5, "0.1": 0.6}, 0.9),
        "a": result({"1e-4": 0.5, "0.1": 0.7}, 0.9),
        "c": result({"1e-4": 0.5, "0.1": 0.1}, 0.95),
        "d": result({"1e-4": 0.4, "0.1": 0.9}, None),
    }
    job = VerificationJob("v", VerificationParameters(set=None))
    assert job.best_first(results) == ["c", "a", "b", "d"]
    group = Group("v", "main", {name: {"status": OK, "result": found} for name, found in results.items()})
    models = [{"name": name, "status": OK} for name in results]
    fpr = chosen_fpr(group)
    assert fpr == 1e-4
    rows = leaderboard_rows({"models": models, "evaluations": []}, group, fpr)
    assert [row["model"]["name"] for row in rows][:4] == job.best_first(results)
    coarse = {name: result({"1e-4": 0.0, "0.1": tpr}, 0.5, unresolved="1e-4") for name, tpr in (("x", 0.1), ("y", 0.2))}
    assert job.best_first(coarse) == ["y", "x"], "at the smallest rate that the data resolve"
    assert job.best_first({}) == []


def test_a_rank_is_enough_for_a_kind() -> None:
    """The larger the better, number by number; then the name. What has no rank is never among the best."""

    class Ranked(VerificationJob):
        def rank(self, result: Any) -> tuple[float, ...] | None:
            found: tuple[float, ...] | None = result["rank"]
            return found

        best_first = Job.best_first

    job = Ranked("r", VerificationParameters(set=None))
    ranks = {"b": (0.5, 1.0), "a": (0.5, 1.0), "c": (0.5, 2.0), "none": None, "d": (0.9, 0.0)}
    assert job.best_first({name: {"rank": rank} for name, rank in ranks.items()}) == ["d", "c", "a", "b"]
