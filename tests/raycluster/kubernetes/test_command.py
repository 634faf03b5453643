"""`raycluster manifest`: from a configuration on this machine to what kubectl applies."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from tests.engine.conftest import Bench
from tests.raycluster import command_line
from tests.raycluster.kubernetes.schemas import check, rayjob_of
from tests.s3_server import S3Server

IMAGE = "registry.example.org/evaljobs:0.1.0"


@pytest.fixture
def bench(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Images and a model on this machine, and a store on S3."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench").images(3, 3)
    bench.model("one", 1)
    bench.config["store"] = f"{s3.bucket()}/store"
    return bench


def run(bench: Bench, *words: object) -> CompletedProcess[str]:
    """Run the command for a configuration."""
    return command_line.run("manifest", bench.write(), *words)


def test_local_files_are_brought_or_refused(bench: Bench, tmp_path: Path) -> None:
    """A run at night cannot see a laptop: without --upload nothing is written, with it all is there."""
    out = tmp_path / "run.yaml"
    refused = run(bench, "--image", IMAGE, "--out", out)
    assert refused.returncode == 2
    assert "must be on S3 first; nothing was written" in refused.stderr
    assert "--upload" in refused.stderr
    assert not out.exists()
    done = run(bench, "--image", IMAGE, "--gpus", "1", "--queue", "gpus", "--upload", "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"kubectl apply -f {out}" in done.stderr
    objects = list(yaml.safe_load_all(out.read_text()))
    for one in objects:
        check(one)
    job = rayjob_of(objects)
    assert job["spec"]["suspend"] is True
    travels = next(text for text in objects[0]["data"].values() if "store:" in text)
    assert str(bench.config["store"]) in travels
    assert str(tmp_path) not in travels
    # What was brought stays there: a second time nothing is sent, and the same is written.
    again = run(bench, "--image", IMAGE, "--gpus", "1", "--queue", "gpus", "--upload")
    assert list(yaml.safe_load_all(again.stdout)) == objects


def test_schedules_are_written(bench: Bench) -> None:
    """One CronJob with all that it needs, on standard output, which holds nothing else."""
    when = ("--cron", "0 3 * * *", "--timezone", "Asia/Tokyo", "--no-overlap", "--deadline", "0.4s")
    done = run(bench, "--image", IMAGE, *when, "--upload")
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    kinds = [one["kind"] for one in objects]
    assert kinds == ["ConfigMap", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "CronJob"]
    for one in objects:
        check(one)
    assert objects[-1]["spec"]["timeZone"] == "Asia/Tokyo"
    # Whole seconds, of which 0 would be no deadline at all.
    assert rayjob_of(objects)["spec"]["activeDeadlineSeconds"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing option '--image'"),
        (("--image", IMAGE, "--cron", "never"), "expected five"),
        (("--image", IMAGE, "--gpus", "3", "--workers", "2"), "cannot be shared evenly"),
        (("--image", IMAGE, "--deadline", "soon"), "expected a time"),
    ],
)
def test_mistakes_are_said_before_anything_is_sent(bench: Bench, words: tuple[str, ...], said: str) -> None:
    """With what is expected; nothing is uploaded for a manifest that cannot be written."""
    done = run(bench, *words, "--upload")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
