"""The job server of a real head."""

from __future__ import annotations

import pytest

from raycluster.jobs.server import RayJobServer, connect_jobs
from tests.ray_head import RayHead


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
