"""Runs in MLflow, by its own client in a store of its own."""

from __future__ import annotations

import json
import tempfile

import pytest

from evaljobs.errors import TrackingError, UsageError
from evaljobs.remote import objects
from evaljobs.report.runs.places import read_bytes
from evaljobs.tracking import mlflow_client, track
from evaljobs.tracking.entries import MODEL_TAG
from tests.report.runs import make_result, make_run

MlflowClient = pytest.importorskip("mlflow").MlflowClient


@pytest.fixture(autouse=True)
def folders(monkeypatch):
    """MLflow keeps folders for those who ask for them: the store that needs nothing but itself."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


@pytest.fixture
def uri(tmp_path):
    return (tmp_path / "mlruns").as_uri()


@pytest.fixture
def save(tmp_path):
    def write(name, document):
        folder = tmp_path / name
        (folder / "summary").mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(document))
        (folder / "report.html").write_text("<p>report</p>")
        (folder / "summary" / "leaderboard.csv").write_text("rank\n")
        (folder / "samples.arrow").write_bytes(b"large")
        return folder

    return write


def logged(uri, experiment):
    """Return the runs of an experiment by the names of their models, and the parent's id."""
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, {run.data.tags[MODEL_TAG]: run for run in found}, len(found)


MODELS = {"net": make_result(0.8), 'it\'s "quoted"': make_result(0.7), "dead": None}


def test_a_run_and_each_of_its_models_are_logged(uri, save):
    """Numbers as they are, models below the run, and the page beside them."""
    done = track(str(save("out", make_run(MODELS))), "faces", uri)
    client, runs, n = logged(uri, "faces")
    assert (n, done.models, done.updated) == (4, 3, False)
    assert set(runs) == {"", *MODELS}
    assert runs[""].info.run_id == done.run_id
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in MODELS} == {done.run_id}
    assert runs["net"].data.metrics["tpr_at_1e-4"] == 0.8
    assert runs["net"].info.run_name == "net"
    assert runs["dead"].data.params["status"] == "failed"
    assert runs["net"].info.end_time - runs["net"].info.start_time == 60_000
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {file.path for file in client.list_artifacts(done.run_id)} == {"report.html", "results.json", "summary"}
    assert [file.path for file in client.list_artifacts(done.run_id, "summary")] == ["summary/leaderboard.csv"]


def test_a_second_call_updates_and_doubles_nothing(uri, save):
    """Not a run more, not a point of a metric more; what is new is there."""
    folder = save("out", make_run(MODELS))
    first = track(str(folder), "faces", uri)
    (folder / "results.md").write_text("# Results")
    second = track(str(folder / "results.json"), "faces", uri)
    assert second == first._replace(updated=True)
    client, runs, n = logged(uri, "faces")
    assert n == 4
    assert len(client.get_metric_history(runs["net"].info.run_id, "auroc")) == 1
    assert "results.md" in {file.path for file in client.list_artifacts(first.run_id)}
    another = track(str(save("next", make_run(MODELS, day=2))), "faces", uri)
    assert not another.updated
    assert logged(uri, "faces")[2] == 8


def test_nothing_else_is_printed(uri, save, capfd):
    """Standard output is for one JSON document."""
    track(str(save("out", make_run(MODELS))), "faces", uri)
    assert capfd.readouterr().out == ""


def test_a_run_on_s3_is_logged_too(uri, s3):
    """Its files are brought here for the time it takes."""
    folder = f"{s3.bucket()}/out"
    objects.replace(f"{folder}/results.json", json.dumps(make_run(MODELS)).encode())
    objects.replace(f"{folder}/figures/roc.png", b"png")
    objects.replace(f"{folder}/tables/x.parquet", b"large")
    done = track(folder, "faces", uri)
    client = MlflowClient(uri)
    assert {file.path for file in client.list_artifacts(done.run_id)} == {"results.json", "figures"}


def test_no_key_leads_out_of_the_temporary_folder(uri, s3, tmp_path, monkeypatch):
    """A bucket may be anybody's: such a key is no file of a run, and is neither written nor logged."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = f"{s3.bucket()}/out"
    objects.replace(f"{folder}/results.json", json.dumps(make_run(MODELS)).encode())
    objects.replace(f"{folder}/summary/leaderboard.csv", b"rank")
    (real,) = [one for one in objects.find(folder) if one.uri.endswith(".csv")]
    keys = ("summary/../../owned.txt", "figures/../../../owned.txt", "summary/a/../../../owned.txt")
    listed = [*objects.find(folder), *(real._replace(uri=f"{folder}/{key}") for key in keys)]
    # Other servers than the one here keep such keys.
    monkeypatch.setattr(objects, "find", lambda _: listed)
    monkeypatch.setattr(mlflow_client, "read_bytes", lambda uri: b"x" if ".." in uri else read_bytes(uri))
    done = track(folder, "faces", uri)
    assert list(tmp_path.rglob("owned.txt")) == []
    assert {file.path for file in MlflowClient(uri).list_artifacts(done.run_id)} == {"results.json", "summary"}


def test_what_mlflow_refuses_is_said(save, tmp_path, monkeypatch):
    """Without a traceback of its own."""
    folder = save("out", make_run(MODELS))
    with pytest.raises(UsageError, match="cannot use nonsense://x"):
        track(str(folder), "faces", "nonsense://x")
    (tmp_path / "file").write_text("in its place")
    with pytest.raises(UsageError, match="Nothing was logged"):
        track(str(folder), "faces", (tmp_path / "file").as_uri())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"does not take the run .*the same command goes on"):
        track(str(folder), "faces", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"expected the folder of a run"):
        track(str(tmp_path / "nowhere"), "faces", None)
