"""A store that some machine does not see is found out before anything is computed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from evaljobs.errors import UsageError
from evaljobs.run.setup import check_shared
from evaljobs.store import Store
from raycluster.connect import Cluster
from raycluster.nodes import on_every_node


def process() -> int:
    return os.getpid()


def test_every_node_is_asked_once(cluster: Cluster) -> None:
    """Each answers from a process of its own."""
    answers = on_every_node(process)
    assert len(answers) == cluster.nodes == 1
    assert os.getpid() not in answers.values()


def test_shared_store_passes_and_nothing_stays_behind(cluster: Cluster, tmp_path: Path) -> None:
    """The question leaves no file."""
    store = Store(tmp_path).open()
    check_shared(store, dataclasses.replace(cluster, nodes=2))
    assert list((tmp_path / "nonces").iterdir()) == []


def test_store_that_is_not_shared_is_refused(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes that do not see it are named, and what to do."""
    monkeypatch.setattr(Store, "leave_nonce", lambda _: "nonces/written-elsewhere")
    with pytest.raises(UsageError, match=r"is not shared: the node\(s\) .* Name a `store` on a file system"):
        check_shared(Store(tmp_path).open(), dataclasses.replace(cluster, nodes=2))
