"""A store that some machine does not see is found out before anything is computed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from evaljobs.engine.embedding import Embedder, build_embedder
from evaljobs.errors import StoreError, UsageError
from evaljobs.models.options import Runtime
from evaljobs.run.setup import shared_store
from evaljobs.store import Store
from raycluster.connection.connect import Cluster
from raycluster.connection.nodes import on_every_node


def process() -> int:
    return os.getpid()


def test_every_node_is_asked_once(cluster: Cluster) -> None:
    """Each answers from a process of its own; or those alone that have something."""
    assert on_every_node(process, having="GPU") == {}
    answers = on_every_node(process, having="CPU")
    assert len(answers) == cluster.nodes == 1
    assert os.getpid() not in answers.values()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in a folder, and one in a bucket."""
    return Store(tmp_path if request.param == "local" else request.getfixturevalue("s3").bucket()).open()


def test_shared_store_passes_and_nothing_stays_behind(cluster: Cluster, store: Store) -> None:
    """The question leaves no file."""
    with shared_store(store, dataclasses.replace(cluster, nodes=2)) as nonce:
        assert isinstance(build_embedder(store.location, Runtime(), nonce), Embedder)
    assert store.folder.walk("nonces") == []


def test_store_that_is_not_shared_is_refused(cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes that do not see it are named, and what to do."""
    monkeypatch.setattr(Store, "leave_nonce", lambda _: "nonces/written-elsewhere")
    remedy = "Every node needs credentials" if store.location.startswith("s3") else "Name a `store` on a file system"
    with pytest.raises(UsageError, match=rf"is not shared: the node\(s\) .* do not see .* {remedy}"):
        shared_store(store, dataclasses.replace(cluster, nodes=2)).__enter__()


def test_node_that_joins_later_and_sees_another_store_is_refused(store: Store) -> None:
    """Its actor cannot be built, and says why: its rows would be on its own disk."""
    with pytest.raises(StoreError, match="do not see what this machine writes there"):
        build_embedder(store.location, Runtime(), "nonces/written-elsewhere")
