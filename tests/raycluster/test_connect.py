"""Connections: what is there is used, what is not there is said, and what is started is protected."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from raycluster.connection import auth
from raycluster.connection import connect as connecting
from raycluster.connection.connect import Cluster, connect
from raycluster.errors import ClusterError


def test_connection_is_found_and_left_alone(cluster: Cluster) -> None:
    """Inside a process that is connected already, that connection is used and kept."""
    with connect(cpus=1) as inner:
        assert inner.cpus == cluster.cpus
    with connect() as again:
        assert again.nodes == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("127.0.0.1:99999999", "no Ray cluster answers"),
        ("ray://127.0.0.1:10001", "client server"),
        ("localhost", "expected host:port"),
    ],
)
def test_bad_address_is_said_at_once(address: str, expected: str) -> None:
    """A cluster that does not answer is named, with what to do; Ray itself would try for minutes."""
    from raycluster.connection.connect import _knock

    start = time.monotonic()
    with pytest.raises(ClusterError, match=expected):
        _knock(address)
    assert time.monotonic() - start < 10


def test_ray_that_was_imported_first_is_not_protected_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A token set after the import would change nothing: a warning, with what to do, in place of a silent hole."""
    assert "ray" in sys.modules
    monkeypatch.setenv("RAY_AUTH_MODE", "")  # so that what protect sets is taken back afterwards
    del os.environ["RAY_AUTH_MODE"]
    with caplog.at_level(logging.WARNING, logger="raycluster.connection.auth"):
        auth.protect()
    assert [(r.name, r.levelname) for r in caplog.records] == [("raycluster.connection.auth", "WARNING")]
    assert "not protected by a token" in caplog.text
    assert "RAY_AUTH_MODE=token" in caplog.text
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def test_connection_that_is_used_changes_no_setting(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no Ray is started, nothing is said of protection and the environment stays as it is."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with connect() as found, caplog.at_level(logging.WARNING):
        assert found.cpus == cluster.cpus
    assert "RAY_AUTH_MODE" not in os.environ
    assert caplog.records == []


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_token_is_set_before_ray_is_imported(mode: str | None) -> None:
    """In a fresh process: a random token, unless the user has chosen; nothing imports ray on the way."""
    code = (
        "import os, sys; from raycluster.connection import auth, connect; auth.protect();"
        "print(os.environ['RAY_AUTH_MODE'], len(os.environ.get('RAY_AUTH_TOKEN', '')), 'ray' in sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    if mode:
        environment["RAY_AUTH_MODE"] = mode
    found = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.split() == (["disabled", "0", "False"] if mode else ["token", "64", "False"])
    assert found.stderr == ""


def test_settings_of_the_embedded_ray_are_its_own() -> None:
    """A head that the same process starts later has those of Ray: its tasks tell their states."""
    connecting_ = "from raycluster.connection.connect import connect\nimport os\nbefore = dict(os.environ)\n"
    looked = "with connect(cpus=1):\n    changed = set(os.environ.items()) ^ set(before.items())\nprint(changed)"
    command = [sys.executable, "-c", connecting_ + looked]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_settings_of_the_embedded_ray_are_known_to_ray() -> None:
    """A name that this Ray does not know would be ignored without a word."""
    own = [file for file in metadata.files("ray") or () if {"_private", "_common"} & set(file.parts)]
    library = [file for file in metadata.files("ray") or () if file.name == "_raylet.so"]
    texts = [Path(str(file.locate())).read_bytes() for file in library + own if file.suffix in {".py", ".so"}]
    assert len(library) == 1
    assert len(texts) > 100
    assert connecting.EMBEDDED
    unknown = {name for name in connecting.EMBEDDED if not any(name.encode() in text for text in texts)}
    assert unknown == set()
