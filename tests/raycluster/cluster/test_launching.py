"""`raycluster up` and `down`: checked first, by Ray's own commands, and what they say is passed on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import raycluster
from raycluster.cluster.checking import Checked
from raycluster.cluster.launching import launch
from raycluster.errors import ClusterError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without a token, without a cloud, and with ssh and rsync that do nothing."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("ssh", "rsync"):
        (bin_ / name).write_text("#!/bin/sh\nexit 1\n")
        (bin_ / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_"))}
    return kept | {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        # No keys, and nobody who gives some: AWS is not asked.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }


def run(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "raycluster", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_wrong_file_starts_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """Not even a token is made; every slip is named on a line of its own, and there is no traceback."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    config["provider"]["regoin"] = config["provider"].pop("region")
    del config["available_node_types"]["cpu_spot"]["max_workers"]
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    done = run(environment, "up", path, "--yes")
    assert done.returncode == 2
    assert "did you mean region?" in done.stderr
    assert "cpu_spot has no max_workers" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / ".ray").exists()


def test_the_projects_file_can_be_checked_alone(environment: dict[str, str], tmp_path: Path) -> None:
    """Without a cloud, keys or a token; from any folder, since its paths begin where it stands."""
    done = run(environment, "up", ROOT / "cluster.yaml", "--check")
    assert done.returncode == 0, done.stderr
    assert "nothing found that is wrong; nothing was started" in done.stdout
    assert done.stderr == ""
    assert not (tmp_path / ".ray").exists()


def test_ray_is_asked_and_heard(environment: dict[str, str], tmp_path: Path) -> None:
    """With a right file Ray's own command goes to AWS, and finds no keys; what it says is shown, and what to do."""
    up = run(environment, "up", ROOT / "cluster.yaml", "--yes")
    assert up.returncode == 2
    assert "credentials" in (up.stdout + up.stderr).lower()
    assert "`ray up` ended with exit code" in up.stderr
    assert "raycluster down" in up.stderr
    # By then there is a token for the head to get.
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    down = run(environment, "down", ROOT / "cluster.yaml", "--yes")
    assert down.returncode == 2
    assert "look in your cloud whether its machines still run" in down.stderr


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_the_machines_get_the_token_that_is_used(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A token of the environment is not the file that is copied: said before a machine is paid for."""
    for key in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("PATH", environment["PATH"])
    (tmp_path / "used").write_text("s3cret-value")
    monkeypatch.setenv(name, "s3cret-value" if name == "RAY_AUTH_TOKEN" else str(tmp_path / "used"))
    started: list[str] = []
    monkeypatch.setattr("raycluster.cluster.launching._ray", lambda command, *_: started.append(command) or 0)
    copied = tmp_path / "auth_token"
    checked = Checked(ROOT / "cluster.yaml", "evaljobs", (), copied)
    for text in (None, "another"):
        if text is not None:
            copied.write_text(text)
        with pytest.raises(ClusterError, match="nothing was started") as caught:
            launch(checked)
        assert str(tmp_path / "used") in str(caught.value) or "the variable RAY_AUTH_TOKEN;" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert started == []
    copied.write_text("s3cret-value\n")
    launch(checked)
    assert started == ["up"]


def test_what_ray_needs_is_looked_for_first(environment: dict[str, str], tmp_path: Path) -> None:
    """A head that was started and cannot be set up costs money."""
    (tmp_path / "bin" / "rsync").unlink()
    found = [folder for folder in environment["PATH"].split(":") if shutil.which("rsync", path=folder)]
    path = ":".join(folder for folder in environment["PATH"].split(":") if folder not in found)
    done = run({**environment, "PATH": path}, "up", ROOT / "cluster.yaml", "--yes")
    assert done.returncode == 2
    assert "rsync must be installed" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "missing.yaml"), "there is no file missing.yaml"),
        (("down", "missing.yaml"), "there is no file missing.yaml"),
        (("up", "--cpus", "2"), "add --local"),
        (("up", "--local", "cluster.yaml"), "describes another cluster"),
        (("down", "--local", "cluster.yaml"), "ends the head on this machine"),
        (("up", "--local", "--port", "80"), "1024"),
        (("status", "--address", "http://192.0.2.77:8265"), "--insecure-http"),
        (("status", "--address", "http://127.0.0.1:1"), "no job server answers"),
        (("status",), "raycluster up --local"),
    ],
)
def test_mistakes_are_said(environment: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Each with what to do, and nothing is started."""
    done = run(environment | {"PWD": str(tmp_path)}, *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "down"])
def test_state_folder_that_cannot_be_is_said(environment: dict[str, str], command: str) -> None:
    """Without a traceback."""
    done = run(environment | {"XDG_STATE_HOME": "/dev/null/x"}, command, "--local")
    assert done.returncode == 2
    assert "/dev/null/x/raycluster" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_python_offers_is_there() -> None:
    """What the commands do can be done from Python, by the names of the package's door."""
    names = ["up", "down", "status", "start_head", "stop_head"]
    assert set(names) <= set(raycluster.__all__)
    assert all(callable(getattr(raycluster, name)) for name in names)
