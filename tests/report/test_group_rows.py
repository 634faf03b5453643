"""Which models belong to a job: those that it asked, and those that were never there to be asked."""

from __future__ import annotations

import copy

from evaljobs.report.results import group_rows, groups_of
from tests.report.runs import make_model, make_result, make_run


def rows_of(run, job):
    (group,) = [group for group in groups_of(run, "verification", "classification") if group.job == job]
    return {row["model"]["name"]: row["status"] for row in group_rows(run, group)}


def test_models_that_a_job_never_asked_for_did_not_fail_in_it():
    """A later job takes the best; a model that failed elsewhere, or was refused, is none of its own."""
    run = make_run({"a": make_result(0.9), "b": make_result(0.8)}, job="first")
    run["evaluations"].append({**copy.deepcopy(run["evaluations"][0]), "job": "shop"})
    failed = {"status": "failed", "error": {"kind": "no_scores", "message": "it has none"}, "result": None}
    run["evaluations"].append({**run["evaluations"][1], "job": "classes", "kind": "classification", **failed})
    run["models"][1] |= {"status": "failed", "error": failed["error"]}
    assert rows_of(run, "shop") == {"a": "ok"}
    assert rows_of(run, "first") == {"a": "ok", "b": "ok"}
    assert rows_of(run, "classes") == {"b": "failed"}
    run["models"].append(make_model("refused", status="failed", error={"kind": "corrupt", "message": "it is damaged"}))
    assert rows_of(run, "first") == {"a": "ok", "b": "ok", "refused": "failed"}
    assert rows_of(run, "shop") == {"a": "ok"}, "a job that took a choice"


def test_a_refused_model_is_a_row_of_every_job_that_takes_all():
    """It has no evaluation, and no job has a result of it."""
    run = make_run({"a": make_result(0.9), "b": make_result(0.8)}, job="first")
    run["evaluations"] += [{**entry, "job": "second"} for entry in run["evaluations"]]
    run["models"].append(make_model("refused", status="failed", error={"kind": "corrupt", "message": "it is damaged"}))
    for job in ("first", "second"):
        assert rows_of(run, job) == {"a": "ok", "b": "ok", "refused": "failed"}
