"""The commands about jobs, on a server that speaks as Ray's does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from raycluster.cli.program import cli
from raycluster.jobs import submitting
from raycluster.jobs.job import Submission
from raycluster.jobs.server import connect_jobs
from raycluster.program import Parcel
from tests.raycluster.jobs.programs import Prog
from tests.raycluster.jobs.scripted import KILLED, Fate, ScriptedCluster


def test_ids_of_others_are_shown_and_not_obeyed(prog: Prog) -> None:
    """Anybody may call a job what they like: no markup, no escape sequence."""
    del prog
    with ScriptedCluster([Fate(), Fate()]).running() as cluster:
        for name in ("[/red]", "x\x1b[2J"):
            connect_jobs(cluster.address).submit(Submission(name, "true"))
        done = CliRunner().invoke(cli, ["jobs", "--address", cluster.address])
    assert done.exit_code == 0, done.exception
    assert "[/red]" in done.output
    assert r"x\x1b[2J" in done.output
    assert "\x1b" not in done.output


class Interrupted(Prog):
    """Ctrl-C at a line of the log."""

    def line(self, text: str) -> str | None:
        if text == "second":
            raise KeyboardInterrupt
        return text


def test_ctrl_c_names_the_job_that_runs(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first attempt has died, that is the second."""
    del prog
    monkeypatch.setattr(submitting, "find_program", Interrupted)
    with ScriptedCluster([KILLED, Fate("second\n")]).running() as cluster:
        done = CliRunner().invoke(cli, ["submit", "x.yaml", "--address", cluster.address])
    assert "raycluster stop x-000000000000-2" in done.output
    assert "raycluster stop x-000000000000-1" not in done.output


class Slow(Prog):
    """Ctrl-C while results are brought here."""

    def fetch(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_while_results_come_says_where_they_are(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has ended, and does not go on."""
    del prog
    monkeypatch.setattr(submitting, "find_program", Slow)
    with ScriptedCluster([Fate()]).running() as cluster:
        done = CliRunner().invoke(cli, ["submit", "x.yaml", "--address", cluster.address])
    assert "x-000000000000-1 has ended; its results are in s3://b/runs/x-000000000000-1" in done.output
    assert "the run goes on" not in done.output


class Uploading(Prog):
    """Ctrl-C before the job is there."""

    def upload(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_while_submitting_claims_nothing(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what the cluster has taken; how to find out is said."""
    del prog
    monkeypatch.setattr(submitting, "find_program", Uploading)
    with ScriptedCluster([Fate()]).running() as cluster:
        done = CliRunner().invoke(cli, ["submit", "x.yaml", "--address", cluster.address])
    assert "repeat this command: it finds the job that is there" in done.output
    assert f"raycluster jobs --address {cluster.address}" in done.output


class UploadingAgain(Prog):
    """Ctrl-C before the second attempt is there."""

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        if self.uploads:
            raise KeyboardInterrupt
        super().upload(parcel, say)


def test_ctrl_c_while_submitting_again_claims_nothing(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt is dead, and whether there is a second nobody knows."""
    del prog
    monkeypatch.setattr(submitting, "find_program", UploadingAgain)
    with ScriptedCluster([KILLED, Fate()]).running() as cluster:
        done = CliRunner().invoke(cli, ["submit", "x.yaml", "--address", cluster.address])
    assert "repeat this command: it finds the job that is there" in done.output
    assert "raycluster stop" not in done.output


def test_what_is_meant_otherwise_is_said(tmp_path: Path) -> None:
    """A configuration in the place of the project's folder; a place on S3 as a local folder."""
    config = tmp_path / "x.yaml"
    config.write_text("")
    done = CliRunner().invoke(cli, ["submit", "--working-tree", str(config)])
    assert (done.exit_code, "put CONFIG first" in done.output) == (2, True)
    done = CliRunner().invoke(cli, ["submit", str(config), "--out", "s3://b/x"])
    assert (done.exit_code, "--set out=s3://" in done.output) == (2, True)
