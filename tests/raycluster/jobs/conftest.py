"""The job server of a real head, and a program to submit."""

from __future__ import annotations

from pathlib import Path

import pytest

from raycluster.jobs import attending, following, submitting
from raycluster.jobs.server import RayJobServer, connect_jobs
from tests.ray_head import RayHead
from tests.raycluster.jobs.programs import Prog


@pytest.fixture
def server(ray_head: RayHead, monkeypatch: pytest.MonkeyPatch) -> RayJobServer:
    """With the right token."""
    use_token(monkeypatch, ray_head.token)
    return connect_jobs(ray_head.address)


def use_token(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """Let this process find a token, or none, whatever the session of tests has set."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    if token is not None:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)


@pytest.fixture
def prog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Prog:
    """What is submitted in this test."""
    found = Prog()
    monkeypatch.setattr(submitting, "find_program", lambda: found)
    monkeypatch.setattr(following, "_AGAIN_S", 0.01)
    monkeypatch.setattr(attending, "_AGAIN_S", 0.01)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    use_token(monkeypatch, "t" * 32)
    return found
