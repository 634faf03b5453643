"""Digests are kept as long as the files are the ones that were hashed, and not a moment longer."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evaljobs import config
from evaljobs.errors import ModelError
from evaljobs.images.looking import SETTLED_NS
from evaljobs.models import cached
from evaljobs.models.cached import CachedDigests
from evaljobs.models.digest import model_digest
from evaljobs.models.inspect import inspect
from evaljobs.models.resolve import resolve


class Cache:
    """A dict that counts what is hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[str, str] = {}
        self.hashed: list[str] = []
        self.digest_of = CachedDigests(self.kept.get, self.kept.__setitem__)
        monkeypatch.setattr(cached, "model_digest", self._hash)

    def _hash(self, path: Path, external_files: tuple[Path, ...]) -> str:
        self.hashed.append(path.name)
        return model_digest(path, external_files)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(monkeypatch)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files have settled."""
    now = time.time_ns
    monkeypatch.setattr(cached.time, "time_ns", lambda: now() + 2 * SETTLED_NS)


@pytest.mark.usefixtures("later")
def test_a_file_is_hashed_once(network: Any, cache: Cache) -> None:
    """The next run asks the cache, and gets what hashing gives."""
    path = network.write(external="w.bin")
    files = inspect(path).external_files
    expected = model_digest(path, files)
    assert [cache.digest_of(path, files) for _ in range(3)] == [expected] * 3
    assert cache.hashed == ["model.onnx"]
    assert list(cache.kept.values()) == [expected]
    assert all(len(key) == 64 for key in cache.kept)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("changed", ["model.onnx", "w.bin"])
@pytest.mark.parametrize("restored", [False, True])
def test_a_changed_file_is_hashed_again(network: Any, cache: Cache, changed: str, *, restored: bool) -> None:
    """Of equal size too, and also where a copy brought the old time of change with it."""
    path = network.write(external="w.bin")
    files = inspect(path).external_files
    before = cache.digest_of(path, files)
    file = network.folder / changed
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    if restored:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = cache.digest_of(path, files)
    assert after == model_digest(path, files) != before


def test_a_fresh_file_is_not_kept(network: Any, cache: Cache) -> None:
    """Its time stamp may not tell the next change."""
    path = network.write()
    assert [cache.digest_of(path, ()) for _ in range(2)] == [model_digest(path)] * 2
    assert cache.kept == {}
    assert cache.hashed == ["model.onnx"] * 2


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_hashed_is_not_kept(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest may be of half of either."""
    path = network.write()

    def hash_and_change(path: Path, external_files: tuple[Path, ...]) -> str:
        digest = model_digest(path, external_files)
        path.write_bytes(path.read_bytes() + b"\0")
        return digest

    monkeypatch.setattr(cached, "model_digest", hash_and_change)
    kept: dict[str, str] = {}
    CachedDigests(kept.get, kept.__setitem__)(path, ())
    assert kept == {}


def test_what_cannot_be_read_is_said_as_without_a_cache(tmp_path: Path, cache: Cache) -> None:
    """A file that vanishes is an error of that model."""
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        cache.digest_of(tmp_path / "gone.onnx", ())
    assert cache.kept == {}


@pytest.mark.usefixtures("later")
def test_models_are_resolved_with_it_in_order(network: Any, cache: Cache) -> None:
    """Threads finish in any order; models and refusals stay in that of the config, with the digests of their files."""
    for i in range(20):
        network.write(f"m{i:02}.onnx", metadata={"i": str(i)})
    for i in (3, 11):
        (network.folder / f"m{i:02}.onnx").write_bytes(b"no model")
    run = config.validate(config.Config, {"images": {"folder": "x"}, "models": [{"path": "*.onnx"}]}, "test")
    first = resolve(run, network.folder)
    second, third = (resolve(run, network.folder, cache.digest_of) for _ in range(2))
    assert [m.name for m in first.models] == [f"m{i:02}" for i in range(20) if i not in {3, 11}]
    assert [r.name for r in first.refused] == ["m03", "m11"]
    assert first == second == third
    assert [m.digest for m in first.models] == [model_digest(m.path) for m in first.models]
    assert len(cache.hashed) == len(first.models)


@pytest.mark.usefixtures("later")
def test_the_cache_is_asked_by_one_thread_at_a_time(network: Any) -> None:
    """What stands behind it need not know of threads."""
    paths = [network.write(f"m{i}.onnx") for i in range(8)]
    inside, most = [0], [0]
    kept: dict[str, str] = {}

    def enter(*item: str) -> str | None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return kept.setdefault(*item) if len(item) == 2 else None

    digest_of = CachedDigests(enter, lambda key, value: (enter(key, value), None)[1])
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda path: digest_of(path, ()), paths))) == 1
    assert most == [1]
    assert len(kept) == 8
