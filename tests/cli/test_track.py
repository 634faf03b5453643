"""`evaljobs track`: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.report.runs import make_result, make_run


@pytest.fixture
def run(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(make_run({"m": make_result(0.8)})))
    return tmp_path


def test_a_run_is_logged_and_then_updated(command, run, monkeypatch):
    """One line, or one JSON document that says where it stands."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (run / "mlruns").as_uri()
    first = command("track", run, "--experiment", "faces", "--tracking-uri", uri)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(f"logged 1 models in 'faces' at {uri}: run ")
    second = command("track", run, "--experiment", "faces", "--tracking-uri", uri, "--to", "mlflow", "--json")
    found = json.loads(second.out)
    assert (found["updated"], found["models"], found["run_id"]) == (True, 1, first.out.split()[-1])


def test_mistakes_are_refused(command, run, tmp_path):
    """Before anything is logged."""
    command("track", tmp_path / "nowhere", "--experiment", "x").refused("expected the folder of a run")
    command("track", run).refused("--experiment")
    command("track", run, "--experiment", "x", "--to", "elsewhere").refused("mlflow")
