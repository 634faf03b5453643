"""Jobs that come after others: the right models, nothing computed for the others, and nothing computed twice."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.engine import todo
from evaljobs.engine.evaluation import Assignment, Evaluated, evaluate
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.execution import Record
from evaljobs.engine.forecast import forecast
from evaljobs.engine.prepare import prepare
from evaljobs.engine.results import assemble
from evaljobs.errors import ExitCode
from evaljobs.jobs.job import After, Outcome, Passes, Rows
from evaljobs.jobs.verification import VerificationJob
from evaljobs.models.options import Runtime
from evaljobs.progress import Quiet
from raycluster.connection.connect import Cluster
from tests.engine.conftest import Bench

MODELS = {"a": 1, "b": 2, "c": 3}


def prepared_bench(folder: Path) -> Bench:
    """Three models and two sets; a job on the first, one on the second with the best model of it."""
    bench = Bench(folder).images(labels=4, each=6)
    for name, seed in MODELS.items():
        bench.model(name, seed)
    for label in range(3):
        for number in range(4):
            path = bench.image(label=10 + label, number=number)
            other = bench.folder / "shop" / path.parent.name
            other.mkdir(parents=True, exist_ok=True)
            shutil.move(path, other / path.name)
        path.parent.rmdir()
    del bench.config["images"]
    bench.config["sets"] = {"main": {"images": {"folder": "images"}}, "shop": {"images": {"folder": "shop"}}}
    bench.config["jobs"] = [
        {"name": "first", "set": "main", "groups": "0"},
        {"name": "second", "set": "shop", "groups": "0", "after": "first", "models": "best"},
    ]
    return bench


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Bench:
    """The run, carried out once: tests get copies of its folder."""
    assert cluster.cpus == 2
    bench = prepared_bench(tmp_path_factory.mktemp("stages"))
    assert bench.run().exit_code == ExitCode.OK
    return bench


@pytest.fixture
def bench(once: Bench, tmp_path: Path) -> Bench:
    """A copy of the finished run: configuration, images, models, store and results."""
    copied = Bench(tmp_path / "copy")
    shutil.copytree(once.folder, copied.folder)
    copied.config = copy.deepcopy(once.config)
    return copied


def by_job(bench: Bench) -> dict[str, list[str]]:
    """Return the models that have a result, by job."""
    found: dict[str, list[str]] = {}
    for entry in bench.results()["evaluations"]:
        assert entry["status"] == "ok"
        found.setdefault(entry["job"], []).append(entry["model"])
    return found


def ranking(bench: Bench) -> list[str]:
    """Return the models of the first job, best first, by the columns of results.csv."""
    results = [e for e in bench.results()["evaluations"] if e["job"] == "first"]
    targets = [point["target"] for point in results[0]["result"]["points"]]
    # 1e-2 of the impostor pairs is resolved, and the smallest rate that is.
    at = targets.index(0.01)
    order = {e["model"]: (-e["result"]["points"][at]["tpr"], -e["result"]["auroc"], e["model"]) for e in results}
    return sorted(order, key=order.__getitem__)


def forget(bench: Bench, job_set: str) -> int:
    """Take the results on a set out of the store, as a kill before them leaves it; return how many there were."""
    prepared = prepared_of(bench)
    digest = prepared.members(prepared.failures()["image_digest"].combine_chunks())[job_set].digest()
    folders = [
        path.parent
        for path in (bench.folder / "store" / "results").glob("*/result.json")
        if json.loads(path.read_text())["key"]["sets"] == {"set": digest}
    ]
    for folder in folders:
        shutil.rmtree(folder)
    return len(folders)


def prepared_of(bench: Bench) -> Any:
    path = bench.write()
    return prepare(load(path), path, Quiet(), Runtime())


def test_the_best_model_alone_is_run_on_the_second_set(bench: Bench) -> None:
    """24 images of the first set for three models, 12 of the second for one: decoded once, embedded where needed."""
    assert by_job(bench) == {"first": ["a", "b", "c"], "second": ranking(bench)[:1]}
    assert bench.computed() == (36, 3 * 24 + 12, 4)


def test_more_models_cost_what_they_lack(bench: Bench) -> None:
    """Two of the best, then all: each is embedded when it is first chosen; the report has them in their order."""
    bench.config["jobs"][1]["models"] = "2"
    bench.run(overwrite=True)
    assert by_job(bench)["second"] == sorted(ranking(bench)[:2])
    assert bench.computed() == (12, 12, 1)
    del bench.config["jobs"][1]["models"]
    bench.run(overwrite=True)
    assert by_job(bench)["second"] == ["a", "b", "c"]
    assert bench.computed() == (12, 12, 1)


def test_nothing_new_starts_no_ray(bench: Bench, without_execution: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which models are chosen is read in the store, and the same bytes are written."""
    first = bench.results()
    monkeypatch.setattr("evaljobs.run.main.connect", _refuse)
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert without_execution(bench.results()) == without_execution(first)


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("Ray is started")


def test_a_run_that_was_killed_between_stages_goes_on_there(bench: Bench, without_execution: Any) -> None:
    """The second job alone is computed, from rows that stand in the store, and the results are the same."""
    first = bench.results()
    assert forget(bench, "shop") == 1
    bench.run()
    assert bench.computed() == (0, 0, 1)
    assert without_execution(bench.results()) == without_execution(first)
    assert (forget(bench, "shop"), forget(bench, "main")) == (1, 3)
    bench.run()
    assert bench.computed() == (0, 0, 4)
    assert without_execution(bench.results()) == without_execution(first)


def test_a_plan_counts_what_is_known(bench: Bench) -> None:
    """Before the first job has results nobody knows whom the second one takes; then it is counted like others."""
    kept = bench.folder / "store"
    kept.rename(bench.folder / "kept")
    path = bench.write()

    def plan() -> Any:
        return forecast(load(path), path, Quiet())

    before = plan()
    assert (before.evaluations, before.decodes, before.embeddings) == (3, 24, 72)
    assert before.as_json()["undecided"] == ({"job": "second", "after": "first", "models": 1},)
    assert "second: up to 1 model(s), by the results of first" in before.as_text()
    shutil.rmtree(kept)
    (bench.folder / "kept").rename(kept)
    forget(bench, "shop")
    known = plan()
    assert (known.evaluations, known.evaluations_cached, known.embeddings) == (4, 3, 0)
    assert known.undecided == ()
    assert json.dumps(known.as_json())


def test_chains_and_failures(bench: Bench) -> None:
    """A model that fails in the first job is not among those that have a result; a third job comes after the second."""
    (bench.folder / "models" / "corrupt.onnx").write_bytes(b"no model")
    bench.model("zero", 9, extra=_zeros(), output="z")
    bench.config["jobs"][1]["models"] = "all"
    bench.config["jobs"].insert(0, {"name": "third", "set": "main", "groups": "0", "after": "second", "models": "1"})
    assert bench.run(overwrite=True).exit_code == ExitCode.SOME_FAILED
    entries = [(e["job"], e["model"], e["status"]) for e in bench.results()["evaluations"]]
    third = [model for job, model, status in entries if job == "third" and status == "ok"]
    assert len(third) == 1
    assert [model for job, model, _ in entries if job == "second"] == ["a", "b", "c"]
    assert ("first", "zero", "failed") in entries
    # It is the first job again, on the same set: its result was there.
    assert bench.computed() == (24 + 12, 24 + 2 * 12, 1 + 2)


def _zeros() -> list[Any]:
    from onnx import helper

    return [helper.make_node("Sub", ["y", "y"], ["z"])]


def test_an_evaluation_that_is_lost_takes_no_other_with_it(bench: Bench) -> None:
    """Memory that was short for one job is no reason to throw away what another one found."""
    (best,) = by_job(bench)["second"]
    forget(bench, "shop")
    prepared = prepared_of(bench)
    exclusion = Exclusion(prepared)
    record = Record("none")
    record.unevaluated["second", best] = {"kind": "out_of_memory", "message": "there is not enough memory"}
    evaluations = todo.evaluations(prepared, exclusion.digests, record.given_up)
    results, _ = assemble(prepared, exclusion, evaluations, record)
    found = {(e["job"], e["model"]): e["status"] for e in results["evaluations"]}
    assert found == {**{("first", name): "ok" for name in MODELS}, ("second", best): "failed"}
    (entry,) = [m for m in results["models"] if m["name"] == best]
    assert entry["error"]["kind"] == "out_of_memory"


def test_what_a_later_job_uses_is_marked_before_it_is_known(bench: Bench) -> None:
    """Nothing is trimmed that the second stage may need: its tables, and a result of whichever model."""
    prepared = prepared_of(bench)
    excluded = prepared.failures()["image_digest"].combine_chunks()
    marked = list(todo.candidates(prepared, excluded))
    assert [(e.job.name, e.model.name) for e in marked] == [(job, m) for job in ("first", "second") for m in MODELS]
    later = [e.key for e in todo.evaluations(prepared, excluded) if e.job.name == "second"]
    assert len(later) == 1
    assert later[0] in [e.key for e in marked]
    assert forget(bench, "main") == 3
    wanted = todo.evaluations(prepared_of(bench), excluded)
    assert [e.job.name for e in wanted] == ["first"] * 3, "nothing is chosen before all results are there"


def test_the_store_holds_a_mark_for_each_result(bench: Bench) -> None:
    """What is left when the run has ended is what it used, the second stage included."""
    uses = [json.loads(path.read_text()) for path in Path(bench.folder / "store" / "uses").glob("*.json")]
    results = {path.name for path in (bench.folder / "store" / "results").iterdir()}
    assert len(results) == 4
    assert any(set(use["results"]) == results for use in uses)


class Echo(VerificationJob):
    """Repeats what another job found."""

    uses_before = True

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        return Passes(None, self._repeat(rows["set"]))

    def _repeat(self, rows: Rows) -> Generator[Any, Any, Outcome]:
        yield from ()
        assert rows.before is not None
        return Outcome({"auroc": rows.before.result["auroc"]}, {"roc": rows.before.tables["roc"]})


def test_a_job_may_read_what_another_one_found(bench: Bench) -> None:
    """It gets the outcome for the same model, tables included, and its result depends on that one's key."""
    prepared = prepared_of(bench)
    first = prepared.jobs[0]
    echo = Echo("echo", first.parameters, After("first", None))
    prepared = dataclasses.replace(prepared, jobs=(echo, first))
    excluded = prepared.failures()["image_digest"].combine_chunks()
    found = todo.evaluations(prepared, excluded)
    assert [e.job.name for e in found] == ["echo"] * 3 + ["first"] * 3
    for evaluation, earlier in zip(found[:3], found[3:], strict=True):
        assert evaluation.before == earlier.key
        assert evaluation.key["before"] != evaluation.key["model"]
        keys = prepared.keys[evaluation.model.name], evaluation.key
        assignment = Assignment(prepared.store.location, echo, *keys, before=evaluation.before)
        assert isinstance(evaluate(assignment, evaluation.members), Evaluated)
        (outcome, tables), (truth, curves) = (prepared.store.result(e.key) for e in (evaluation, earlier))
        assert outcome["result"] == {"auroc": truth["result"]["auroc"]}
        assert tables["roc"] == curves["roc"]
