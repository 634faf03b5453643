"""Places on S3 on the command line: taken as such or refused, and never for a local folder named ``s3:``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.s3_server import S3Server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, in which nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("images: {folder: images}\nmodels: a.onnx\nstore: store\n")
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "s3://bucket/c.yaml"),
        ("plan", "s3://bucket/c.yaml"),
        ("demo", "--out", "s3://bucket/demo"),
        ("store", "ls", "--config", "s3://bucket/c.yaml"),
        ("export", "a.pth", "--arch", "timm:x", "--images", "s3://bucket/images"),
        ("export", "a.pth", "--arch", "timm:x", "--preprocessing", "s3://bucket/p.yaml"),
    ],
)
def test_what_must_be_local_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    """With the uri as it was written, and what to do."""
    command(*arguments).refused("s3://bucket/", "is on S3; expected a path on this machine")


@pytest.mark.parametrize("arguments", [("score",), ("export", "a.pth", "--arch", "timm:x", "--out")])
def test_uri_that_lost_a_slash_is_no_folder_here(command: Command, arguments: tuple[str, ...]) -> None:
    """Where S3 will do, too."""
    command(*arguments, "s3:/bucket/x").refused("found s3:/bucket/x; expected s3://bucket/key")


def test_results_in_a_bucket_that_is_not_there(command: Command, s3: S3Server) -> None:
    """Before anything is started."""
    assert s3.endpoint
    done = command("run", "c.yaml", "--out", "s3://nowhere-at-all/x")
    done.refused("cannot write to the output folder s3://nowhere-at-all/x", "there is no bucket 'nowhere-at-all'")


def test_tables_and_pairs_that_are_not_there(command: Command, s3: S3Server) -> None:
    """Said as for files, by their uri."""
    location = s3.bucket()
    command("score", f"{location}/a.parquet").refused(f"no file {location}/a.parquet")
    command("score", f"{location}/a.parquet", "--pairs", f"{location}/p.csv").refused(
        f"no file of pairs {location}/p.csv"
    )


def test_runs_that_are_not_there(command: Command, s3: S3Server) -> None:
    """A run on S3 is named by its uri."""
    location = s3.bucket()
    command("compare", f"{location}/a", f"{location}/b").refused(f"no {location}/a/results.json")
