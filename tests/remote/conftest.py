"""A bucket, and what was sent."""

from __future__ import annotations

import pytest

from evaljobs.remote.connection import Answer, Connection
from tests.s3_server import S3Server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A new bucket."""
    return s3.bucket()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that were sent, one after the other."""
    operations: list[str] = []
    real = Connection.send

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        operations.append(operation)
        return real(self, operation, **arguments)

    monkeypatch.setattr(Connection, "send", send)
    return operations
