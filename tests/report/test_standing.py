"""Whether a run that computes nothing leaves the files of the one before as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaljobs.report import standing
from evaljobs.report.digests import code_digest
from evaljobs.report.standing import inputs_digest, renew
from evaljobs.report.writing import write_results
from tests.report.conftest import make_curve_table, make_document, make_evaluation, make_model, make_point

SAMPLES = b"samples"


def document(seconds: float) -> dict[str, Any]:
    """Return the results of a run, with what it notes of its inputs."""
    made: dict[str, Any] = make_document([make_model("m")], [make_evaluation("m", [make_point(1e-4, 0.5)])])
    made["execution"] = {"seconds": seconds, "versions": {"evaljobs": "0.1.0"}}
    made["execution"]["inputs"] = inputs_digest(made, SAMPLES, ["key"])
    return made


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a run that was finished, for all tests."""
    out = tmp_path_factory.mktemp("run")
    for name in ("samples.arrow", "thumbnails.arrow"):
        (out / name).write_bytes(SAMPLES)
    write_results(document(60.0), {("verification", "main", "m"): {"roc": make_curve_table(1)}}, out)
    return out


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """Give a copy of it, for one test."""
    return shutil.copytree(written, tmp_path / "run")


def test_whole_files_of_the_same_inputs_stay(folder: Path) -> None:
    """Only what the run took is another; and the next run finds them whole again."""
    page = (folder / "report.html").read_bytes()
    for seconds in (1.0, 2.0):
        before = json.loads((folder / "results.json").read_bytes())
        assert renew(document(seconds), folder, report=True)
        after = json.loads((folder / "results.json").read_bytes())
        assert after.pop("execution") == {**before.pop("execution"), "seconds": seconds}
        assert after == before
    assert (folder / "report.html").read_bytes() == page


NAMES = ["report.html", "results.csv", "samples.arrow", "figures/roc.svg", "summary/leaderboard.tex", "tables"]


@pytest.mark.parametrize("how", ["missing", "cut", "changed"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_as_it_was_written(folder: Path, name: str, how: str) -> None:
    """Missing, cut off, or of the same size with another byte: all are to be written anew, and nothing is touched."""
    path = next((folder / "tables").iterdir()) if name == "tables" else folder / name
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if how == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    results = (folder / "results.json").read_bytes()
    assert not renew(document(1.0), folder, report=True)
    assert (folder / "results.json").read_bytes() == results


@pytest.mark.parametrize("damage", ["a number", "a name", "an end"])
def test_a_document_that_is_not_as_it_was_written(folder: Path, damage: str) -> None:
    """Whoever changed a number in results.json does not find it there after the next run, beside tables of others."""
    path = folder / "results.json"
    text = path.read_text()
    standing_there = json.loads(text)
    if damage == "a number":
        standing_there["evaluations"][0]["result"]["points"][0]["tpr"] = 0.99
    elif damage == "a name":
        standing_there["models"][0]["note"] = "mine"
    path.write_text(text[:-100] if damage == "an end" else json.dumps(standing_there))
    changed = path.read_bytes()
    assert not renew(document(1.0), folder, report=True)
    assert path.read_bytes() == changed


def test_what_another_code_drew_is_drawn_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade the page is that of the new version, although its numbers are the same."""
    monkeypatch.setattr(standing, "code_digest", lambda: "that of a newer one")
    assert not renew(document(1.0), folder, report=True)


def test_every_change_of_the_code_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Python, templates, styles and scripts, also of a name; not what an interpreter leaves beside them."""
    seen = set()
    monkeypatch.setattr("evaljobs.report.digests._CODE", tmp_path)
    (tmp_path / "page").mkdir()
    for name, text in [("a.py", "1"), ("a.py", "2"), ("page/t.html", "1"), ("page/t.css", "1"), ("page/u.js", "1")]:
        (tmp_path / name).write_text(text)
        code_digest.cache_clear()
        seen.add(code_digest())
    (tmp_path / "page" / "t.css").rename(tmp_path / "page" / "v.css")
    code_digest.cache_clear()
    seen.add(code_digest())
    assert len(seen) == 6
    (tmp_path / "a.pyc").write_text("compiled")
    code_digest.cache_clear()
    assert code_digest() in seen
    monkeypatch.undo()
    code_digest.cache_clear()
    assert code_digest() not in seen


def test_results_of_an_older_version_are_written_anew(folder: Path) -> None:
    """They do not say how their files were written, so nobody knows whether they are whole."""
    path = folder / "results.json"
    standing_there = json.loads(path.read_bytes())
    del standing_there["execution"]["files"]
    path.write_text(json.dumps(standing_there))
    assert not renew(document(1.0), folder, report=True)
