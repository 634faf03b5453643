"""Results are brought here whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evaljobs.errors import RemoteError, RemoteErrorKind, UsageError
from evaljobs.remote import objects
from evaljobs.shipping import fetching
from evaljobs.shipping.fetching import fetch
from evaljobs.shipping.program import PROGRAM
from raycluster.errors import ClusterError
from tests.s3_server import S3Server

ENTRY = {"tables": ["tables/a.parquet"], "figures": ["figures/roc.png"]}


def quiet(_: str) -> None:
    """Say nothing."""


def document(digest: str = "d1", **more: object) -> bytes:
    return json.dumps({"config_digest": digest, "evaluations": [ENTRY], **more}).encode()


@pytest.fixture
def results(s3: S3Server) -> str:
    """Results of a run, as it leaves them on S3."""
    place = f"{s3.bucket()}/runs/x-1"
    for name, data in {
        "results.json": document(of="new"),
        "tables/a.parquet": b"new table",
        "figures/roc.png": b"new figure",
        "report.html": b"new page",
        ".evaljobs.lease": b"claim",
    }.items():
        objects.replace(f"{place}/{name}", data)
    return place


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Results of the same configuration, from before."""
    folder = tmp_path / "out"
    (folder / "tables").mkdir(parents=True)
    (folder / "results.json").write_bytes(document(of="old", summary=["summary/gone.csv"]))
    (folder / "tables" / "a.parquet").write_bytes(b"old table")
    (folder / "summary").mkdir()
    (folder / "summary" / "gone.csv").write_bytes(b"of the run before")
    (folder / "samples.arrow").write_bytes(b"old samples")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NEW = {
    "results.json": document(of="new"),
    "tables/a.parquet": b"new table",
    "figures/roc.png": b"new figure",
    "report.html": b"new page",
}


def test_results_come_whole(results: str, tmp_path: Path) -> None:
    """All files of the run, and nothing that was only of use while it ran."""
    fetch(results, tmp_path / "deep" / "out", quiet)
    assert files(tmp_path / "deep" / "out") == NEW
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_results_take_the_place_of_those_before(results: str, out: Path) -> None:
    """What only the run before had is gone: no table of one run stands beside the results of another."""
    fetch(results, out, quiet)
    assert files(out) == NEW


@pytest.mark.parametrize("exchange", [True, False])
def test_what_others_put_there_stays(results: str, out: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    """Somebody's notes lie in the folder; or the disk cannot exchange folders: then it is done file by file."""
    if not exchange:
        monkeypatch.setattr(fetching, "_exchanged", lambda *_: False)
    else:
        (out / "notes.txt").write_bytes(b"mine")
    fetch(results, out, quiet)
    found = files(out)
    kept = {name for name in ("notes.txt", "samples.arrow") if name in found}
    assert {name: data for name, data in found.items() if name not in kept and not name.startswith(".")} == NEW
    assert found.get("notes.txt") == (b"mine" if exchange else None)


@pytest.mark.parametrize("name", [".notes", ".git/HEAD", "tables/.mine", "tables/.evaljobs.lock/x", "mine/", "link"])
def test_what_is_hidden_or_empty_stays_too(results: str, out: Path, name: str) -> None:
    """A name with a dot in front is somebody's as others are; so are folders with nothing in them, and links."""
    path = out / name
    if name.endswith("/"):
        path.mkdir()
    elif name == "link":
        path.symlink_to("nowhere")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    fetch(results, out, quiet)
    assert os.path.lexists(path)
    assert files(out).items() >= NEW.items()
    assert not (out / "summary").exists()


@pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "/evil", "a//evil", "./evil"])
def test_names_that_lead_elsewhere_are_refused(
    results: str, out: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to a bucket cannot write to this machine: nothing is written, here or elsewhere."""
    before = files(out.parent)
    found = objects.find(results)
    evil = found[0]._replace(uri=f"{results}/{name}")
    monkeypatch.setattr(objects, "find", lambda _: [*found, evil])
    with pytest.raises(ClusterError, match="no name of results; nothing was changed"):
        PROGRAM.fetch(results, out, quiet)
    assert files(out.parent) == before


def break_download(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    def broken(uri: str, target: Path) -> None:
        if uri.endswith("results.json"):
            raise RemoteError(RemoteErrorKind.UNREACHABLE, "the line is dead")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"half")

    del results
    monkeypatch.setattr(objects, "download", broken)


def delete_results(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    del monkeypatch
    objects.delete(f"{results}/results.json")


def of_another_configuration(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    del monkeypatch
    objects.replace(f"{results}/results.json", document("d2"))


def no_json(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    del monkeypatch
    objects.replace(f"{results}/results.json", b"<html>")


@pytest.mark.parametrize("trouble", [break_download, delete_results, of_another_configuration, no_json])
def test_trouble_changes_nothing(
    trouble: Callable[[pytest.MonkeyPatch, str], None], results: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the new results stand there, or the old ones; no temporary folder stays."""
    before = files(out)
    trouble(monkeypatch, results)
    with pytest.raises(ClusterError):
        PROGRAM.fetch(results, out, quiet)
    assert {name: data for name, data in files(out).items() if not name.startswith(".")} == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_results_of_a_shared_folder_are_where_they_are(out: Path) -> None:
    """Nothing is copied onto itself; another folder gets a copy."""
    before = files(out)
    fetch(str(out), out, quiet)
    assert files(out) == before
    fetch(str(out), out.parent / "copy", quiet)
    assert {name: data for name, data in files(out.parent / "copy").items() if not name.startswith(".")} == before


def test_file_in_the_way_is_said(results: str, tmp_path: Path) -> None:
    """A user's mistake is one sentence."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises((UsageError, ClusterError), match="out"):
        fetch(results, tmp_path / "out", quiet)
