"""The commands that look after a store: what they print, refuse and return."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import onnx
import pytest

from evaljobs.store import Store
from evaljobs.store.usage import usage_of
from evaljobs.store.uses import Uses
from tests.cli.conftest import Command
from tests.s3_server import S3Server
from tests.store.filled import ROWS, days_ago, fill, fill_table, model_digest, model_key

_MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
flat (float[n, 3, 4, 4] x) => (float[n, 48] y) { y = Flatten(x) }
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store(tmp_path / "store").open()
    fill(opened)
    return opened


def test_listing_names_models_and_sizes(command: Command, store: Store) -> None:
    """What a person needs to choose what may go."""
    done = command("store", "ls", store.location)
    assert done.code == 0
    for part in (model_digest(3)[:12], "112x96 rgb", "tables", "results", str(3 * ROWS), "kB"):
        assert part in done.out
    found = json.loads(command("store", "ls", store.location, "--json").out)
    assert [table["model"] for table in found["tables"]] == [model_digest(n) for n in (3, 2, 1)]
    assert found["version"] == 1


def test_store_of_the_user_and_of_a_configuration(
    command: Command, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name it is the store that runs use by default; --config takes that of a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command("store", "ls").refused("there is no store at", str(tmp_path / "cache" / "evaljobs"))
    assert not (tmp_path / "cache").exists()
    Store(tmp_path / "cache" / "evaljobs").open()
    assert json.loads(command("store", "ls", "--json").out)["tables"] == []
    config = tmp_path / "c.yaml"
    config.write_text("images: {folder: images}\nmodels: a.onnx\nstore: store\n")
    assert len(json.loads(command("store", "ls", "--config", config, "--json").out)["tables"]) == 3
    command("store", "ls", store.location, "--config", config).refused("give one of them")


def test_store_on_s3(command: Command, s3: S3Server) -> None:
    """All three commands, by the uri that a configuration has."""
    location = f"{s3.bucket()}/store"
    keys = fill(Store(location).open())
    assert model_digest(1)[:12] in command("store", "ls", f"{location}/").out
    assert "whole: 18 files" in command("store", "verify", location).out
    assert "freed" in command("store", "gc", location, "--model", model_digest(1)).out
    assert len(Store(location).table(keys[0]).digests()) == 0
    assert len(Store(location).table(keys[1]).digests()) == ROWS
    command("store", "verify", f"{location}/elsewhere").refused("there is no store at")


def test_damage_is_said_and_returned(command: Command, store: Store) -> None:
    """Exit code 0 for a whole store, 1 for a damaged one; what is deleted is made again."""
    whole = command("store", "verify", store.location)
    assert (whole.code, whole.out.splitlines()[-1].startswith("whole: 18 files")) == (0, True)
    part = next(Path(store.location).rglob("part-*.arrow"))
    part.write_bytes(part.read_bytes()[:-1])
    found = command("store", "verify", store.location)
    assert found.code == 1
    assert f"damaged: {part.relative_to(store.location)}" in found.out
    assert "--delete" in found.out
    assert part.exists()
    deleted = json.loads(command("store", "verify", store.location, "--delete", "--json").out)
    assert deleted["deleted"] == [str(part.relative_to(store.location))]
    assert not part.exists()
    assert command("store", "verify", store.location).code == 0


def test_trimming_says_what_goes_and_what_stays(command: Command, store: Store) -> None:
    """First dry, then in earnest; a run at work is named."""
    with Uses(store.folder, "the run 'night'").marked([], [], print):
        kept = command("store", "gc", store.location, "--keep-bytes", "0")
        assert "freed 0 B" in kept.out
        assert "the run 'night'" in kept.out
    planned = command("store", "gc", store.location, "--keep-bytes", "0", "--dry-run")
    assert "would free" in planned.out
    assert "3 table(s) and 3 result(s)" in planned.out
    done = json.loads(command("store", "gc", store.location, "--keep-bytes", "1kB", "--json").out)
    assert (done["tables"], done["dry_run"]) == (3, False)
    assert done["left"] <= 1000


def test_trimming_of_submissions_is_asked_for(command: Command, store: Store) -> None:
    """It is said what goes of them; and that what was sent stays while somebody is at work."""
    for name in ("uploads/images/a", "runs/night-0123/night-1/results.json"):
        store.folder.replace(name, b"data")
        os.utime(Path(store.location) / name, (days_ago(100),) * 2)
    options = ("store", "gc", store.location, "--older-than", "30d", "--submitted", "--dry-run")
    with Uses(store.folder, "a submission").marked([], [], print):
        said = command(*options).out
        assert "0 upload(s) and the results of 1 run(s)" in said
        assert "kept what was sent for submissions, since these are at work:\n  a submission" in said
    assert "would free 8 B of submissions: 1 upload(s) and the results of 1 run(s)" in command(*options).out
    assert "of submissions" not in command(*options[:-2]).out
    assert (Path(store.location) / "uploads/images/a").exists()


def test_ages_and_sizes_are_read(command: Command, store: Store) -> None:
    """What was written just now is younger than an hour, and smaller than a gigabyte."""
    for option in (
        ("--older-than", "1h"),
        ("--older-than", "2.5 d"),
        ("--keep-bytes", "1GiB"),
        ("--keep-bytes", "1tb"),
    ):
        assert "0 table(s)" in command("store", "gc", store.location, *option).out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "found 0 of --keep-bytes"),
        (("--keep-bytes", "1GB", "--submitted"), "found --submitted without --older-than"),
        (("--keep-bytes", "1GB", "--older-than", "1d"), "found 2 of --keep-bytes"),
        (("--keep-bytes", "much"), "expected a number with a unit such as 50GB"),
        (("--older-than", "30"), "expected a number with a unit such as 12h"),
        (("--older-than", "-3d"), "expected a number with a unit"),
        (("--model", "12"), "at least 6 digits"),
        (("--model", "123456"), "no table of this store"),
        (("--unused-by", "nowhere.yaml"), "no configuration file"),
        (("--unused-by", "s3://bucket/c.yaml"), "is on S3"),
    ],
)
def test_wish_that_is_not_clear_deletes_nothing(
    command: Command, store: Store, options: tuple[str, ...], expected: str
) -> None:
    """A slip of the hand is a message, and nothing else."""
    before = store.folder.walk()
    done = command("store", "gc", store.location, *options)
    assert done.code == 2
    assert expected in done.err
    assert [e for e in store.folder.walk() if not e.name.endswith(".lease")] == before


def test_a_file_is_no_store(command: Command, tmp_path: Path) -> None:
    """A name of another kind is a mistake in the command."""
    (tmp_path / "table.parquet").write_bytes(b"x")
    command("store", "ls", tmp_path / "table.parquet").refused("table.parquet is a file; expected a store")


def test_models_of_a_configuration_stay(command: Command, store: Store, tmp_path: Path) -> None:
    """Tables of other models go, and their results; those of a model file that it names stay, whatever their key."""
    named = tmp_path / "a.onnx"
    onnx.save(onnx.parser.parse_model(_MODEL), named)
    digest = hashlib.sha256(named.read_bytes()).hexdigest()
    kept = [fill_table(store, model_key(digest, batch_size=size)) for size in (1, 2)]
    config = tmp_path / "c.yaml"
    config.write_text("images: {folder: images}\nmodels: a.onnx\n")
    done = json.loads(command("store", "gc", store.location, "--unused-by", config, "--json").out)
    assert (done["tables"], done["results"]) == (3, 3)
    assert {table.table for table in usage_of(store).tables} == set(kept)
