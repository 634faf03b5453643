"""What becomes of the results of schedules: fetched, kept, with gates of the command line. The program is evaljobs."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from raycluster.schedule import adding
from raycluster.schedule.adding import Wanted
from raycluster.schedule.baselines import held_against
from tests.raycluster import command_line
from tests.raycluster.schedule.simulation import World
from tests.report.runs import make_result, make_run

START = dt.datetime(2026, 3, 1, 2, 50, tzinfo=dt.UTC).timestamp()
GATE = "auroc >= baseline - 0.005"


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A schedule that has run once; its results lie in this folder."""
    monkeypatch.chdir(folder)
    found = World(folder, START)
    found.add("nightly", program="evaljobs")
    found.add("idle", "0 3 2 1 *", program="evaljobs")
    found.run_until(START + 3600, 600)
    return found


def results(world: World) -> Path:
    """Write the results of the run, and return their folder."""
    (run,) = world.runs()
    place = Path(run.results or "")
    place.mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(make_run({"net": make_result(0.9)})), encoding="utf-8")
    return place


class Said(NamedTuple):
    """What a command left: its exit code, and what it printed."""

    exit_code: int
    output: str


def call(world: World, *words: object) -> Said:
    done = command_line.run("schedule", *words, "--state", world.database.path)
    return Said(done.returncode, done.stdout + done.stderr)


def test_results_are_fetched(world: World, tmp_path: Path) -> None:
    """Those of the last finished run, whole, as `raycluster submit` brings them; where there are none it is said."""
    place = results(world)
    done = call(world, "fetch", "nightly", "--out", tmp_path / "here")
    assert done.exit_code == 0, done.output
    assert "the run due 2026-03-01T03:00:00Z: passed" in done.output
    assert (tmp_path / "here" / "results.json").read_bytes() == (place / "results.json").read_bytes()
    for words, said in (
        (("idle", "--out", tmp_path / "there"), "no finished run yet"),
        (("none", "--out", tmp_path / "there"), "there is no schedule 'none'"),
    ):
        done = call(world, "fetch", *words)
        assert (done.exit_code, said in done.output) == (2, True), done.output
    shutil.rmtree(place)
    done = call(world, "fetch", "nightly", "--out", tmp_path / "there")
    assert (done.exit_code, "there are no results" in done.output or "nightly" in done.output) == (2, True)
    assert not (tmp_path / "there").exists()


def test_accepted_results_are_kept(world: World) -> None:
    """What is taken for good is copied at once; what cannot be read is not taken."""
    place = results(world)
    shutil.rmtree(world.folder / "state-baselines")
    before = world.book.snapshot().schedules["nightly"].baseline
    moved = place.rename(place.with_name("away"))
    done = call(world, "accept", "nightly")
    assert (done.exit_code, "results.json" in done.output) == (2, True), done.output
    assert world.book.snapshot().schedules["nightly"].baseline == before
    moved.rename(place)
    assert call(world, "accept", "nightly").exit_code == 0
    text = (place / "results.json").read_text(encoding="utf-8")
    shutil.rmtree(place)
    held = held_against(world.database.path, world.book.snapshot().schedules["nightly"])
    assert held is not None
    assert (Path(held) / "results.json").read_text(encoding="utf-8") == text


def test_gates_are_given_with_the_schedule(world: World, tmp_path: Path) -> None:
    """In place of the configuration's; one that cannot be read is refused with everything else."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"images": {"folder": "images"}, "models": ["m.onnx"]}), encoding="utf-8")
    asked = ("add", config, "--cron", "0 3 * * *", "--shared-files", "--name", "gated")
    done = call(world, *asked, "--gate", GATE, "--gate", "auroc is fine")
    assert (done.exit_code, "'auroc is fine' cannot be read" in done.output) == (2, True), done.output
    assert "gated" not in world.book.snapshot().schedules
    wanted = Wanted(
        world.folder / "nightly.yaml", "0 3 * * *", "UTC", 1, "default", 0, "sim", "gated", ("x=1",), (GATE,)
    )
    adding.add(world.book, wanted, lambda _: world.program, START, gpus=2)
    added = world.book.snapshot().schedules["gated"]
    assert (added.overrides, added.cluster_gpus) == (("x=1", f"gate={GATE}"), 2)
