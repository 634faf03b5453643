"""Several runs as one: what is the same is one thing, what only has the same name is told apart."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.errors import UsageError
from evaljobs.report.comparing.differences import pair_rows
from evaljobs.report.page.about import run_entries, runs_table
from evaljobs.report.results import verification_groups
from evaljobs.report.runs.history import joined_findings
from evaljobs.report.runs.joining import join, name_runs
from evaljobs.report.section import Level
from evaljobs.report.writing import to_json
from tests.report.runs import make_result, make_run, make_tables

A = make_run({"m": make_result(0.8), "only a": make_result(0.7)}, day=1, name="monday")
B = make_run({"m": make_result(0.8), "only b": make_result(0.9, seed=1)}, day=2, name="tuesday")


def named(*documents):
    return [(document["run"], document, make_tables(document)) for document in documents]


def names(document, what="models"):
    return [entry["name"] for entry in document[what]]


def findings(document):
    return [one["text"] for one in document["joined"]["findings"]]


def test_a_run_joined_with_itself_is_itself():
    """Given twice, under two names, or alone: not a byte changes, and the tables are its own."""
    for runs in (named(A), named(A, A), [*named(A), ("again", copy.deepcopy(A), make_tables(A))]):
        found = join(runs)
        assert to_json(found.document) == to_json(A)
        assert found.tables == make_tables(A)


def test_equal_models_on_equal_images_are_one():
    """The union of the models, a leaderboard of all of them, and differences between models of two runs."""
    found = join(named(A, B))
    assert names(found.document) == ["m", "only a", "only b"]
    assert names(found.document, "sets") == ["main"]
    (group,) = verification_groups(found.document)
    assert list(group.evaluations) == ["m", "only a", "only b"]
    rows = pair_rows(group, group, "only a", "only b")
    assert [row["verdict"] for row in rows] == ["real"] * 3
    assert rows[0]["difference"] == 0.9 - 0.7
    assert findings(found.document) == []
    assert found.document["run"] == "monday + tuesday"
    assert to_json(found.document)


def test_the_newest_result_counts_and_its_tables_go_with_it():
    """Curves belong to the numbers beside them; a model that only the older run has keeps its own."""
    found = join(named(B, A))
    of = {key[2]: tables["roc"]["of"][0].as_py() for key, tables in found.tables.items()}
    assert of == {"m": "02 m", "only a": "01 only a", "only b": "02 only b"}
    execution = found.document["execution"]
    assert execution["started"] == B["execution"]["started"]
    assert execution["seconds"] == 120
    assert {name: model["images_per_s"] for name, model in execution["models"].items()} == {
        "m": 1000,
        "only a": 500,
        "only b": 1000,
    }
    about = found.document["joined"]["runs"]
    assert [(run["name"], run["started"][:10]) for run in about] == [
        ("monday", "2026-11-01"),
        ("tuesday", "2026-11-02"),
    ]
    assert [one["own_name"] for one in about[1]["results"]] == ["m", "only b"]


def test_another_file_under_one_name_is_another_model():
    """A checkpoint that is trained anew each night stays comparable with last night's."""
    b = make_run({"m": make_result(0.85)}, day=2, name="tuesday", files={"m": "trained again"})
    found = join(named(A, b))
    assert names(found.document) == ["monday/m", "only a", "tuesday/m"]
    (group,) = verification_groups(found.document)
    assert list(group.evaluations) == ["monday/m", "only a", "tuesday/m"]
    assert pair_rows(group, group, "monday/m", "tuesday/m")[0]["difference"] == pytest.approx(0.05)
    assert findings(found.document) == ["told apart by their runs, since file or use differ under one name: 'm'"]
    assert [finding.level for finding in joined_findings(found.document)] == [Level.NOTE]


def test_another_use_of_a_file_is_another_model():
    """Equal bytes at another size of input, or another tensor, are other embeddings."""
    embedding = [{"role": "embedding", "tensor": "a", "pooling": None}]
    pooled = [{"role": "embedding", "tensor": "a", "pooling": "mean"}]
    for key, values in (("preprocessing", [{"height": 112}, {"height": 224}]), ("outputs", [embedding, pooled])):
        a, b = (make_run({"m": make_result(0.8)}, day=day, name=str(day)) for day in (1, 2))
        for document, value in zip((a, b), values, strict=True):
            document["models"][0][key] = value
        assert names(join(named(a, b)).document) == ["1/m", "2/m"]
    a["models"][0] |= {"outputs": embedding, "preprocessing": {"height": 112, "sources": {"height": "default"}}}
    scores = {"role": "scores", "tensor": "b", "pooling": None}
    b["models"][0] |= {
        "outputs": [*embedding, scores],  # another job of that run asks for them
        "preprocessing": {"height": 112, "sources": {"height": "metadata"}},
    }
    assert names(join(named(a, b)).document) == ["m"]


def test_equal_models_with_other_numbers_are_told_apart_and_said():
    """A library that computes otherwise is no progress of a model, and must not hide behind the newest number."""
    b = make_run({"m": make_result(0.81)}, day=2, name="tuesday")
    found = join(named(A, b)).document
    assert names(found) == ["monday/m", "only a", "tuesday/m"]
    assert findings(found) == ["'tuesday/m', 'monday/m' are one file, used in one way, and their numbers differ"]
    assert [finding.level for finding in joined_findings(found)] == [Level.WARNING]


def test_other_targets_of_the_same_evaluation_are_no_other_numbers():
    """Where both looked, they found the same."""
    b = make_run({"m": make_result(0.8, targets=(1e-4, 1e-2))}, day=2, name="tuesday")
    found = join(named(A, b)).document
    assert names(found) == ["m", "only a"]
    assert [point["target"] for point in found["evaluations"][0]["result"]["points"]] == [1e-4, 1e-2]


def test_other_images_under_one_name_are_kept_apart():
    """Numbers of two sets never stand in one leaderboard, and that is said."""
    b = make_run({"m": make_result(0.9)}, day=2, name="tuesday", images="more faces")
    found = join(named(A, b)).document
    assert names(found, "sets") == ["monday/main", "tuesday/main"]
    groups = verification_groups(found)
    assert [(group.set, list(group.evaluations)) for group in groups] == [
        ("monday/main", ["m", "only a"]),
        ("tuesday/main", ["m"]),
    ]
    assert names(found) == ["m", "only a"]
    assert "the set 'main' has other images or labels in each of 'tuesday/main', 'monday/main'" in findings(found)


def test_equal_images_under_two_names_are_one_set():
    """The newest name is kept, in the sets that a job joins too."""
    b = make_run({"m": make_result(0.8)}, day=2, name="tuesday", image_set="faces")
    found = join(named(A, b)).document
    assert names(found, "sets") == ["faces"]
    assert {entry["set"] for entry in found["evaluations"]} == {"faces"}
    probe = {**A["sets"][0], "name": "probe", "digest": "01" * 32}
    crossed = copy.deepcopy(A) | {"sets": [*A["sets"], probe]}
    crossed["evaluations"][0]["set"] = "probe / main"
    found = join(named(crossed, b)).document
    assert {entry["set"] for entry in found["evaluations"]} == {"probe / faces", "faces"}


def test_one_run_may_look_at_the_same_images_in_two_ways():
    """Sets of equal digest in one document are kept: their names tell which is which."""
    a = copy.deepcopy(A)
    a["sets"].append({**a["sets"][0], "name": "copy"})
    found = join(named(a, B)).document
    assert names(found, "sets") == ["main", "copy"]


def test_jobs_of_one_name_that_ask_for_other_pairs_are_told_apart():
    """All pairs in one run, listed pairs in the other: no difference of models."""
    b = copy.deepcopy(B)
    for entry in b["evaluations"]:
        entry["result"] |= {"protocol": "pairs", "n_impostor": 5, "listed": {"digest": "ab"}}
    found = join(named(A, b)).document
    assert [group.job for group in verification_groups(found)] == ["monday/verification", "tuesday/verification"]
    assert "the job 'verification' on 'main' does not ask the same" in findings(found)[0]
    failed = make_run({"m": None}, day=2, name="tuesday")
    assert [group.job for group in verification_groups(join(named(A, failed)).document)] == ["verification"]


def test_a_model_that_failed_last_night_keeps_its_result():
    """The newest run in which it worked counts."""
    b = make_run({"m": None, "x": None}, day=2, name="tuesday")
    found = join(named(A, b)).document
    assert [(m["name"], m["status"]) for m in found["models"]] == [("m", "ok"), ("only a", "ok"), ("x", "failed")]
    assert found["evaluations"][0]["result"] == A["evaluations"][0]["result"]


def refused(document):
    """Return a run whose failed models have no evaluations at all."""
    worked = [entry for entry in document["evaluations"] if entry["status"] == "ok"]
    return {**document, "evaluations": worked}


@pytest.mark.parametrize("change", [lambda document: document, refused])
def test_that_a_result_is_older_than_the_last_failure_is_said(change):
    """Tonight's page must not show a model as fine that died tonight; one that works again is fine."""
    a = make_run({"m": make_result(0.8), "n": make_result(0.7), "o": make_result(0.6)}, day=1, name="1")
    b = change(make_run({"m": None, "n": make_result(0.7), "o": None, "never worked": None}, day=2, name="2"))
    (finding,) = joined_findings(join(named(a, b)).document)
    assert finding == (Level.BAD, "failed in 2: m, o; their results are of 1", "the report of 2 has the reasons")
    c = change(make_run({"m": make_result(0.8), "n": None}, day=3, name="3"))
    assert findings(join(named(a, b, c)).document) == [
        "failed in 3: n; its result is of 2",
        "failed in 2: o; its result is of 1",
    ]


def test_a_job_that_a_model_failed_is_told_from_those_that_it_did():
    """Only what is shown of an older run is said to be."""
    a, b = (make_run({"m": make_result(0.8)}, day=day, name=str(day)) for day in (1, 2))
    a["evaluations"].append({**a["evaluations"][0], "job": "gone"})
    assert findings(join(named(a, b)).document) == []
    b["evaluations"].append({**b["evaluations"][0], "job": "gone", "status": "failed", "error": {}, "result": None})
    b["models"][0]["status"] = "failed"
    assert findings(join(named(a, b)).document) == ["failed in 2: m; its result is of 1"]


def test_how_each_run_was_made_stands_in_the_table_of_the_runs():
    """A command of one run beside the seconds of all would be how nobody made it."""
    a, b = (make_run({"m": make_result(0.8)}, day=day, name=str(day)) for day in (1, 2))
    a["execution"]["command"], b["execution"]["command"] = "evaljobs run a.yaml", "evaljobs run b.yaml"
    a["execution"]["versions"] = {"evaljobs": "0.1.0", "onnxruntime": "1.19.2"}
    document = join(named(a, b)).document
    table = runs_table(document)
    rows = [{column.name: column.text(row) for column in table.columns} for row in table.rows]
    assert [row["command"] for row in rows] == ["evaljobs run a.yaml", "evaljobs run b.yaml"]
    assert [row["versions"] for row in rows] == ["evaljobs 0.1.0, onnxruntime 1.19.2", "evaljobs 0.1.0"]
    assert {(row["seconds"], row["provider"]) for row in rows} == {("60.0", "CPUExecutionProvider")}
    assert [entry.name for entry in run_entries(document)] == ["digest of the set main"]
    alone = {entry.name: entry.text for entry in run_entries(join(named(a)).document)}
    assert (alone["command"], alone["seconds"]) == ("evaljobs run a.yaml", "60.0")


def test_lines_of_models_that_are_told_apart_are_two_lines():
    """Epoch 1 of two trainings is not one place."""
    place = {"tag": "epoch", "value": 1, "name": "run a"}
    a, b = (
        make_run({"e1": make_result(0.8)}, day=day, name=str(day), files={"e1": str(day)}, series={"e1": place})
        for day in (1, 2)
    )
    found = join(named(a, b)).document
    assert [m["series"]["name"] for m in found["models"]] == ["1/run a", "2/run a"]


def test_names_are_never_given_twice():
    """A model may be called as another one would be after it was told apart."""
    a = make_run({"m": make_result(0.8), "b/m": make_result(0.7)}, day=1, name="a")
    b = make_run({"m": make_result(0.9)}, day=2, name="b", files={"m": "other"})
    assert names(join(named(a, b)).document) == ["a/m", "b/m", "b/m (2)"]


def test_versions_that_would_be_misread_are_refused():
    """By the name of the run."""
    with pytest.raises(UsageError, match=r"run 'tuesday' has schema_version 0; .* joins 1"):
        join(named(A, {**B, "schema_version": 0}))


def test_names_of_runs_must_differ():
    """They tell models apart."""
    with pytest.raises(UsageError, match="2 different runs are named 'x'"):
        join([("x", A, {}), ("x", B, {}), ("y", A, {})])
    with pytest.raises(UsageError, match="no run to join"):
        join([])


def test_runs_are_named_by_as_much_of_their_time_as_is_needed():
    """A name of its own needs no date; nightly runs have one; two of one day have the minute."""

    def at(name, started):
        return {**A, "run": name, "execution": {"started": started}}, {}

    runs = [
        at("nightly", "2026-11-03T03:00:00+00:00"),
        at("nightly", "2026-11-02T03:00:00+00:00"),
        at("nightly", "2026-11-02T15:30:00+00:00"),
        at("other", "2026-11-01T03:00:00+00:00"),
    ]
    for order in itertools.permutations(runs):
        assert [run.name for run in name_runs([*order, order[0]])] == [
            "other",
            "nightly 2026-11-02T03:00",
            "nightly 2026-11-02T15:30",
            "nightly 2026-11-03",
        ]
    twins = [({**A, "config_digest": str(n), "execution": {}}, {}) for n in range(2)]
    assert (
        [run.name for run in name_runs(twins)]
        == [run.name for run in name_runs(twins[::-1])]
        == ["monday", "monday (2)"]
    )


run_of_models = st.fixed_dictionaries(
    {
        "models": st.dictionaries(st.sampled_from("mno"), st.sampled_from([0.5, 0.8, None]), min_size=1),
        "files": st.dictionaries(st.sampled_from("mno"), st.sampled_from(["old", "new"])),
        "images": st.sampled_from(["faces", "more"]),
        "image_set": st.sampled_from(["main", "other"]),
        "job": st.sampled_from(["verification", "v"]),
        "day": st.integers(1, 3),
    }
)


@given(st.lists(run_of_models, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(asked, random):
    """And nothing is lost: each result that worked stands in the joined document, under names that are unique."""
    documents = []
    for number, one in enumerate(asked):
        models = {name: None if tpr is None else make_result(tpr) for name, tpr in one["models"].items()}
        documents.append(make_run(**{**one, "models": models}, name=f"run {number}"))
    found = join(named(*documents))
    shuffled = list(documents)
    random.shuffle(shuffled)
    again = join(named(*shuffled))
    assert json.dumps(again.document) == json.dumps(found.document)
    assert again.tables == found.tables
    for what in ("sets", "models"):
        assert len(set(names(found.document, what))) == len(found.document[what]) > 0
    keys = [(e["job"], e["set"], e["model"]) for e in found.document["evaluations"]]
    assert len(set(keys)) == len(keys) > 0
    results = {key: e["result"] for key, e in zip(keys, found.document["evaluations"], strict=True)}
    for run in found.document.get("joined", {"runs": []})["runs"]:
        (document,) = [document for document in documents if document["run"] == run["run"]]
        worked = {e["model"]: e["result"] for e in document["evaluations"] if e["status"] == "ok"}
        assert {one["own_name"] for one in run["results"]} == set(worked)
        for one in run["results"]:
            tprs = [point["tpr"] for point in results[one["job"], one["set"], one["model"]]["points"]]
            assert tprs == [point["tpr"] for point in worked[one["own_name"]]["points"]]
