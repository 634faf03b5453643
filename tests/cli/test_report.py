"""`evaljobs report`: the page of finished runs, made again from what they left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaljobs.cli.program import cli
from evaljobs.errors import UsageError
from evaljobs.report.writing import write_results
from tests.browser.runs import make_run
from tests.s3_server import S3Server


def report(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["report", *arguments], catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0
    return done.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two runs on the same images: one model in both, one in each alone."""
    folder = tmp_path_factory.mktemp("finished")
    for name, models in (("a", ["both", "old"]), ("b", ["both", "new"])):
        (folder / name).mkdir()
        run = make_run(models, run=name)
        write_results(run.document, run.tables, folder / name)
    return folder


def data_of(page: Path) -> dict[str, object]:
    text = page.read_text(encoding="utf-8")
    _, _, rest = text.partition('<script type="application/json" id="data">')
    found = json.loads(rest.partition("</script>")[0])
    assert isinstance(found, dict)
    return found


def test_the_page_of_a_run_is_that_of_the_run(finished: Path, tmp_path: Path) -> None:
    """Made again from its folder, it is the same to the last byte, and nothing else changes."""
    shutil.copytree(finished / "a", tmp_path / "a")
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    page = tmp_path / "a" / "report.html"
    page.unlink()
    assert report(str(tmp_path / "a")) == f"Report: {page}\n"
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()} == before


def test_several_runs_are_one_page(finished: Path, tmp_path: Path) -> None:
    """A model that both have is one; the page is written where it is asked for."""
    out = tmp_path / "both.html"
    report(str(finished / "a"), str(finished / "b" / "results.json"), "--out", str(out))
    found = data_of(out)
    assert [model["name"] for model in found["models"]] == ["both", "old", "new"]  # type: ignore[attr-defined]


def test_runs_on_s3_are_read_there(
    finished: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page is written here."""
    from evaljobs.remote import objects

    place = f"{s3.bucket()}/run"
    for path in (finished / "a").rglob("*"):
        if path.is_file() and path.suffix in {".json", ".parquet"}:
            objects.create(f"{place}/{path.relative_to(finished / 'a')}", path.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert report(place) == "Report: report.html\n"
    assert data_of(tmp_path / "report.html") == data_of(finished / "a" / "report.html")


def test_what_cannot_be_done_is_said(finished: Path) -> None:
    """No run there, one name for two runs, a page on S3: found, expected, what to do."""
    run = str(finished / "a")
    for arguments, message in (
        ([str(finished / "none")], r"no .*none; expected the folder of a run"),
        ([run, run, "--name", "x"], r"found 1 name\(s\) for 2 run\(s\)"),
        ([run, "--out", "s3://bucket/x.html"], r"expected a local one"),
    ):
        with pytest.raises(UsageError, match=message):
            CliRunner().invoke(cli, ["report", *arguments], catch_exceptions=False, standalone_mode=False)
