"""What was found out about files is kept as long as they are the ones that were read, and not a moment longer."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from evaljobs import config
from evaljobs.errors import ModelError
from evaljobs.images.versions import SETTLED_NS
from evaljobs.models import known
from evaljobs.models.cost import count_cost
from evaljobs.models.digest import model_digest
from evaljobs.models.inspect import Graph, inspect
from evaljobs.models.known import Known
from evaljobs.models.places import Files, LocalFile, files_of
from evaljobs.models.resolve import resolve


class Cache:
    """A dict, and what is read in spite of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[str, str] = {}
        self.hashed: list[str] = []
        self.inspected: list[str] = []
        self.counted: list[bytes] = []
        self.known = Known(self.kept.get, self.kept.__setitem__)
        monkeypatch.setattr(known, "model_digest", self._hash)
        monkeypatch.setattr(known, "inspect", self._inspect)
        monkeypatch.setattr(known, "count_cost", self._count)

    def _hash(self, path: Path, external_files: tuple[Path, ...]) -> str:
        self.hashed.append(path.name)
        return model_digest(path, external_files)

    def _inspect(self, path: Path) -> Graph:
        self.inspected.append(path.name)
        return inspect(path)

    def _count(self, structure: bytes, *rest: Any) -> Any:
        self.counted.append(structure)
        return count_cost(structure, *rest)


def files_at(path: Path) -> Files:
    graph = inspect(path)
    return files_of(LocalFile(path), graph.external, graph.external_bytes)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(monkeypatch)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files have settled."""
    now = time.time_ns
    monkeypatch.setattr(known.time, "time_ns", lambda: now() + 2 * SETTLED_NS)


@pytest.mark.usefixtures("later")
def test_a_file_is_hashed_once(network: Any, cache: Cache) -> None:
    """The next run asks the cache, and gets what hashing gives."""
    path = network.write(external="w.bin")
    files = files_at(path)
    expected = model_digest(path, (network.folder / "w.bin",))
    assert [cache.known.digest(files) for _ in range(3)] == [expected] * 3
    assert cache.hashed == ["model.onnx"]
    assert [json.loads(text) for text in cache.kept.values()] == [expected]
    assert all(len(key) == 64 for key in cache.kept)


@pytest.mark.usefixtures("later")
def test_a_file_is_inspected_once(network: Any, cache: Cache) -> None:
    """A model of gigabytes is not parsed again to learn what its input is called."""
    path = network.write(metadata={"note": "ü"}, outputs=("embedding", "tokens"))
    file = LocalFile(path)
    assert [cache.known.graph(file) for _ in range(3)] == [inspect(path)] * 3
    assert cache.inspected == ["model.onnx"]
    first, second = (cache.known.tensor(file, "features") for _ in range(2))
    assert first == second
    assert first.shape == ("n", 40, 4, 3)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("changed", ["model.onnx", "w.bin"])
@pytest.mark.parametrize("restored", [False, True])
def test_a_changed_file_is_hashed_again(network: Any, cache: Cache, changed: str, *, restored: bool) -> None:
    """Of equal size too, and also where a copy brought the old time of change with it."""
    path = network.write(external="w.bin")
    files = files_at(path)
    before = cache.known.digest(files)
    file = network.folder / changed
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    if restored:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = cache.known.digest(files)
    assert after == model_digest(path, (network.folder / "w.bin",)) != before


@pytest.mark.usefixtures("later")
def test_checkpoints_of_one_graph_are_counted_once(network: Any, cache: Cache) -> None:
    """Three hundred checkpoints of one network are one graph; another size or another output is another count."""
    for name, scale in (("a.onnx", 1), ("b.onnx", 2)):
        model = onnx.load(network.write(name, size=("h", "w"), outputs=("embedding", "logits")))
        kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
        kernel.raw_data = (np.frombuffer(kernel.raw_data, np.float32) * scale).tobytes()
        (network.folder / name).write_bytes(model.SerializeToString())
    files = [files_at(network.folder / name) for name in ("a.onnx", "b.onnx")]
    digests = [cache.known.digest(each) for each in files]
    assert len(set(digests)) == 2

    def macs(size: int, output: str) -> list[float | None]:
        shape = (1, 3, size, size)
        return [
            cache.known.cost(each, digest, "x", shape, (output,)).macs
            for each, digest in zip(files, digests, strict=True)
        ]

    kernel_macs = 40 * 3 * 3 * 3
    assert macs(8, "embedding") == [16 * kernel_macs + 40 * 5] * 2
    assert len(cache.counted) == 1
    assert macs(16, "embedding") == [64 * kernel_macs + 40 * 5] * 2
    assert macs(8, "logits") == [16 * kernel_macs + 40 * 3] * 2
    assert macs(8, "embedding") == [16 * kernel_macs + 40 * 5] * 2
    assert len(cache.counted) == 3


@pytest.mark.usefixtures("later")
def test_a_graph_that_could_not_be_read_once_is_read_again(
    network: Any, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that failed for a moment does not leave the work unknown for ever."""
    files = files_at(network.write())
    asked = (files, cache.known.digest(files), "x", (1, 3, 8, 6), ("embedding",))
    with monkeypatch.context() as patch:
        patch.setattr(known, "structure_of", lambda *_: None)
        assert cache.known.cost(*asked).macs is None
    assert cache.known.cost(*asked).macs == 12 * 40 * 27 + 40 * 5


def test_a_fresh_file_is_not_kept(network: Any, cache: Cache) -> None:
    """Its time stamp may not tell the next change."""
    path = network.write()
    assert [cache.known.digest(files_at(path)) for _ in range(2)] == [model_digest(path)] * 2
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

    monkeypatch.setattr(known, "model_digest", hash_and_change)
    kept: dict[str, str] = {}
    Known(kept.get, kept.__setitem__).digest(files_at(path))
    assert kept == {}


def test_what_cannot_be_read_is_said_as_without_a_cache(tmp_path: Path, cache: Cache) -> None:
    """A file that vanishes is an error of that model."""
    gone = LocalFile(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        cache.known.digest(Files(gone))
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        cache.known.graph(gone)
    assert cache.kept == {}


@pytest.mark.usefixtures("later")
def test_a_name_that_is_no_utf8_is_kept_too(network: Any, cache: Cache) -> None:
    """File systems take any bytes for a name."""
    path = network.folder / os.fsdecode(b"m\xff.onnx")
    network.write().rename(path)
    assert [cache.known.digest(files_at(path)) for _ in range(2)] == [model_digest(path)] * 2
    assert len(cache.hashed) == 1


@pytest.mark.usefixtures("later")
def test_models_are_resolved_with_it_in_order(network: Any, cache: Cache) -> None:
    """Threads finish in any order; models and refusals stay in that of the config, with the digests of their files."""
    for i in range(20):
        network.write(f"m{i:02}.onnx", metadata={"i": str(i)})
    for i in (3, 11):
        (network.folder / f"m{i:02}.onnx").write_bytes(b"no model")
    run = config.validate(config.Config, {"images": {"folder": "x"}, "models": [{"path": "*.onnx"}]}, "test")
    first = resolve(run, network.folder)
    cache.hashed.clear()
    cache.inspected.clear()
    second, third = (resolve(run, network.folder, cache.known) for _ in range(2))
    assert [m.name for m in first.models] == [f"m{i:02}" for i in range(20) if i not in {3, 11}]
    assert [r.name for r in first.refused] == ["m03", "m11"]
    assert first == second == third
    assert [m.digest for m in first.models] == [model_digest(m.path) for m in first.models]
    assert len(cache.hashed) == len(first.models)
    # What is refused has nothing to keep.
    assert sorted(cache.inspected) == sorted([f"m{i:02}.onnx" for i in range(20)] + ["m03.onnx", "m11.onnx"])


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

    asked = Known(enter, lambda key, value: (enter(key, value), None)[1])
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda path: asked.digest(Files(LocalFile(path))), paths))) == 1
    assert most == [1]
    assert len(kept) == 8
