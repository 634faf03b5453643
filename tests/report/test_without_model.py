"""A job without a model (a survey of the images, say) stands in the results with `model: null`: nothing stumbles."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from evaljobs.report.comparing.comparison import compare
from evaljobs.report.comparing.matching import Wanted
from evaljobs.report.page.about import failures_table
from evaljobs.report.runs.joining import join
from evaljobs.report.runs.reading import read_results, read_run
from evaljobs.report.tables.leaderboard import render_terminal
from evaljobs.report.text.markdown import to_markdown_page
from evaljobs.report.text.remarks import remarks
from evaljobs.report.writing import write_results

AUDIT = {
    "job": "audit",
    "kind": "survey",
    "set": "main",
    "model": None,
    "status": "ok",
    "error": None,
    "result": {"verdict": "clean"},
    "tables": ["fields"],
    "figures": [],
}
TABLE = pa.table({"field": ["format"], "auroc": [0.5]})
KEY = ("audit", "main", None)


@pytest.fixture
def audited(published: dict[str, Any]) -> dict[str, Any]:
    """The published ablation with an audit of its images in front."""
    results = copy.deepcopy(published)
    results["evaluations"].insert(0, copy.deepcopy(AUDIT))
    for entry in results["evaluations"][1:]:
        entry["tables"] = []
    return results


def test_everything_is_written_and_read_again(audited: dict[str, Any], tmp_path: Path) -> None:
    """Its table has a file of its own, and can be found again by job and set."""
    tables: Any = {KEY: {"fields": TABLE}}
    write_results(audited, tables, tmp_path)
    document = read_results(tmp_path)
    (entry,) = [e for e in document["evaluations"] if e["model"] is None]
    (file,) = entry["tables"]
    assert Path(file).name.startswith("audit-main-")
    assert pq.read_table(tmp_path / file) == TABLE
    _, stored = read_run(str(tmp_path))
    assert stored[KEY]["fields"] == TABLE  # type: ignore[index]  # the model of a job without one is None
    before = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    write_results(audited, tables, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()} == before


def test_pages_and_terminal_speak_of_the_others(audited: dict[str, Any], published: dict[str, Any]) -> None:
    """Leaderboard, remarks and comparison are those of the run without it."""

    def shown(results: dict[str, Any]) -> str:
        console = Console(width=200, record=True, quiet=True)
        console.print(render_terminal(results))
        return console.export_text() + to_markdown_page(results, {}) + "\n".join(remarks(results))

    for entry in published["evaluations"]:
        entry["tables"] = []
    assert shown(audited) == shown(published)
    failed = copy.deepcopy(audited)
    failed["evaluations"][0] |= {"status": "failed", "result": None, "error": {"kind": "failed", "message": "no"}}
    assert shown(failed)


def test_its_failure_is_told(audited: dict[str, Any]) -> None:
    """On the terminal, in results.md and on the page: an audit that died has no model to stand for it."""
    audited["evaluations"][0] |= {
        "status": "failed",
        "result": None,
        "error": {"kind": "crashed", "message": "it died"},
    }
    assert remarks(audited)[0] == "audit on main (failed): it died"
    assert "| audit | main | crashed | it died |" in to_markdown_page(audited, {})
    (row,) = failures_table(audited).rows
    assert (row["model"]["name"], row["job"], row["set"]) == (None, "audit", "main")


def test_it_is_joined_with_other_runs(audited: dict[str, Any]) -> None:
    """Several runs with an audit each make one document."""
    other = copy.deepcopy(audited)
    other["run"] = "another"
    document, tables = join([("one", audited, {KEY: {"fields": TABLE}}), ("two", other, {})])  # type: ignore[dict-item]  # as above
    assert any(e["model"] is None for e in document["evaluations"])
    json.dumps(document)
    assert len(tables) >= 1


def test_runs_with_it_are_compared(audited: dict[str, Any]) -> None:
    """One model is compared with another, whatever stands beside them."""
    first, second, *_ = (model["name"] for model in audited["models"])
    assert compare(audited, audited, Wanted(models=((first, second),), same_run=True)).rows
