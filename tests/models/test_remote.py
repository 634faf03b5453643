"""Models on S3 are the models that they are on a disk: copied once to each machine, and never mixed up."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind, RemoteError, RemoteErrorKind, UsageError
from evaljobs.models import fetching
from evaljobs.models.fetching import cache_folder, localised
from evaljobs.models.files import find_models
from evaljobs.models.key import key
from evaljobs.models.known import Known
from evaljobs.models.options import Runtime
from evaljobs.models.resolve import Resolved, resolve
from evaljobs.models.session import Session
from evaljobs.remote import objects

RUNTIME = Runtime("cpu", 1)


class Bucket:
    """A bucket with models, and machines that use it: each has a cache folder of its own."""

    def __init__(self, uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uri = uri
        self._folder = folder
        self._monkeypatch = monkeypatch
        self.copied: list[str] = []
        download = objects.download
        monkeypatch.setattr(objects, "download", lambda uri, to: (self.copied.append(uri), download(uri, to))[1])
        self.use_machine("driver")

    def use_machine(self, name: str) -> None:
        self._monkeypatch.setenv("XDG_CACHE_HOME", str(self._folder / name))

    def put(self, *paths: Path, folder: str = "ckpt") -> None:
        for path in paths:
            objects.replace(f"{self.uri}/{folder}/{path.name}", path.read_bytes())

    def resolve(self, *models: str | dict[str, Any], known: Known | None = None) -> Resolved:
        entries = [{"path": f"{self.uri}/{m}"} if isinstance(m, str) else m for m in models]
        run = config.validate(config.Config, {"images": {"folder": "i"}, "models": entries}, "test")
        return resolve(run, self._folder, known)


@pytest.fixture
def bucket(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    return Bucket(s3.bucket(), tmp_path, monkeypatch)


def test_models_on_s3_are_the_models_on_the_disk(network: Any, bucket: Bucket) -> None:
    """By digest and key they are the same: their tables are shared, and no uri is in a key."""
    bucket.put(network.write("a.onnx"), network.write("b.onnx", external="b.bin"), network.folder / "b.bin")
    (there, here) = (bucket.resolve("ckpt/*.onnx"), network.resolve({"path": "*.onnx"}))
    assert there.refused == ()
    assert [m.name for m in there.models] == [m.name for m in here.models] == ["a", "b"]
    for ours, theirs in zip(here.models, there.models, strict=True):
        assert theirs.digest == ours.digest
        assert (theirs.size_bytes, theirs.parameters, theirs.cost) == (ours.size_bytes, ours.parameters, ours.cost)
        assert key(theirs, RUNTIME) == key(ours, RUNTIME)
        assert bucket.uri not in str(key(theirs, RUNTIME))
    assert [source.uri for source in there.models[1].sources] == [
        f"{bucket.uri}/ckpt/b.onnx",
        f"{bucket.uri}/ckpt/b.bin",
    ]


def test_a_worker_copies_what_it_lacks(network: Any, bucket: Bucket, block: NDArray[np.uint8]) -> None:
    """A model that was resolved on one machine runs on another, with its external data, and gives the same rows."""
    bucket.put(network.write("m.onnx", external="w.bin"), network.folder / "w.bin")
    (model,) = bucket.resolve("ckpt/m.onnx").models
    expected = Session(network.resolve({"path": "m.onnx"}).models[0], RUNTIME).run(block)
    model = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert str(cache_folder()) not in repr(model)
    bucket.use_machine("worker")
    bucket.copied.clear()
    for _ in range(2):
        np.testing.assert_array_equal(Session(model, RUNTIME).run(block)["embedding"], expected["embedding"])
    assert sorted(bucket.copied) == [f"{bucket.uri}/ckpt/m.onnx", f"{bucket.uri}/ckpt/w.bin"]


def test_a_run_with_nothing_new_copies_nothing(network: Any, bucket: Bucket) -> None:
    """Three hundred models on S3 are listed, not read: what is known of a version stays true."""
    bucket.put(*(network.write(f"m{i}.onnx", metadata={"i": str(i)}) for i in range(4)))
    bucket.put(network.write("e.onnx", external="e.bin"), network.folder / "e.bin")
    kept: dict[str, str] = {}
    first = bucket.resolve("ckpt/*.onnx", known=Known(kept.get, kept.__setitem__))
    assert len(first.models) == 5
    # The others once, and the ONNX file with external data once for what it names and once with that beside it.
    assert len(bucket.copied) == 4 + 1 + 2
    bucket.copied.clear()
    bucket.use_machine("another")
    assert bucket.resolve("ckpt/*.onnx", known=Known(kept.get, kept.__setitem__)) == first
    assert bucket.copied == []
    assert not cache_folder().exists()
    bucket.put(network.write("m2.onnx", metadata={"i": "new"}))
    again = bucket.resolve("ckpt/*.onnx", known=Known(kept.get, kept.__setitem__))
    assert set(bucket.copied) == {f"{bucket.uri}/ckpt/m2.onnx"}
    assert [m.metadata for m in again.models if m.name == "m2"] == [{"i": "new"}]


@pytest.mark.parametrize("changed", ["m.onnx", "w.bin"])
def test_a_model_that_changes_during_a_run_fails(network: Any, bucket: Bucket, changed: str) -> None:
    """A worker that comes late never stores rows of the new file under the digest of the old one."""
    bucket.put(network.write("m.onnx", external="w.bin"), network.folder / "w.bin")
    (model,) = bucket.resolve("ckpt/m.onnx").models
    bucket.use_machine("worker")
    objects.replace(f"{bucket.uri}/ckpt/{changed}", (network.folder / changed).read_bytes() + b"\0")
    with pytest.raises(ModelError, match=f"ckpt/{changed} was changed while the run used it; run again") as caught:
        localised(model)
    assert caught.value.kind is ModelErrorKind.FAILED
    assert list(cache_folder().rglob(changed)) == []
    objects.delete(f"{bucket.uri}/ckpt/{changed}")
    with pytest.raises(ModelError, match=f"ckpt/{changed}.*was deleted while the run used it|cannot be copied"):
        localised(model)
    # Where it was copied before, it goes on.
    bucket.use_machine("driver")
    assert Session(model, RUNTIME).provider == "CPUExecutionProvider"


def test_one_worker_of_a_machine_copies(network: Any, bucket: Bucket) -> None:
    """Sixteen actors that begin at once ask S3 for a model once."""
    bucket.put(network.write("m.onnx"))
    (model,) = bucket.resolve("ckpt/m.onnx").models
    bucket.use_machine("worker")
    bucket.copied.clear()
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: localised(model).path, range(16)))
    assert len(paths) == 1
    assert len(bucket.copied) == 1


def test_a_copy_that_is_not_whole_is_made_again(network: Any, bucket: Bucket) -> None:
    """A power cut leaves a file of zeros or of half its length: the second is copied anew, the first is found out."""
    path = network.write("m.onnx")
    bucket.put(path)
    (model,) = bucket.resolve("ckpt/m.onnx").models
    copy = localised(model).path
    assert copy.read_bytes() == path.read_bytes()
    copy.write_bytes(path.read_bytes()[:100])
    assert localised(model).path.read_bytes() == path.read_bytes()
    copy.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(ModelError, match="was changed while the run used it"):
        Session(model, RUNTIME)


def test_a_full_disk_says_what_to_delete(network: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies are in a folder that nobody made on purpose: it is named."""
    bucket.put(network.write("m.onnx"))
    (model,) = bucket.resolve("ckpt/m.onnx").models
    bucket.use_machine("worker")
    cache_folder().parent.mkdir(parents=True)
    cache_folder().write_bytes(b"a file in its place")
    with pytest.raises(ModelError, match=r"cannot be copied to .*XDG_CACHE_HOME"):
        localised(model)
    monkeypatch.setattr(fetching, "cache_folder", lambda: Path("/dev/full/x"))
    with pytest.raises(ModelError, match="make room"):
        localised(model)


def test_what_is_not_there_is_said_with_what_is(network: Any, bucket: Bucket) -> None:
    """A typing error in a uri is found before anything starts."""
    bucket.put(network.write("model.onnx"), network.write("b.onnx"))

    def says(path: str) -> str:
        entry = config.validate(config.Models, {"path": f"{bucket.uri}/{path}"}, "test")
        with pytest.raises(UsageError) as caught:
            find_models([entry], Path("/nowhere"))
        return str(caught.value)

    assert "did you mean 'model.onnx'?" in says("ckpt/mdoel.onnx")
    assert f"The folder {bucket.uri}/ckpt holds b.onnx, model.onnx" in says("ckpt/x*.onnx")
    assert "is a folder" in says("ckpt/")
    assert "is a folder" in says("ckpt")
    assert f"{bucket.uri} holds no .onnx file" in says("*.onnx")
    with pytest.raises(RemoteError) as caught:
        bucket.resolve({"path": "s3://no-such-bucket-here/*.onnx"})
    assert caught.value.kind is RemoteErrorKind.NO_BUCKET


def test_one_bad_model_does_not_stop_the_others(network: Any, bucket: Bucket) -> None:
    """Damaged files and missing external data are refused by name, as on a disk."""
    bucket.put(network.write("good.onnx"), network.write("lonely.onnx", external="w.bin"))
    objects.replace(f"{bucket.uri}/ckpt/bad.onnx", b"no model")
    objects.replace(f"{bucket.uri}/ckpt/empty.onnx", b"")
    found = bucket.resolve("ckpt/*.onnx")
    assert [m.name for m in found.models] == ["good"]
    assert [r.name for r in found.refused] == ["bad", "empty", "lonely"]
    assert found.refused[0].location == f"{bucket.uri}/ckpt/bad.onnx"
    assert "needs its external data 'w.bin'" in found.refused[2].message


def test_external_data_may_lie_deeper(network: Any, bucket: Bucket, block: NDArray[np.uint8]) -> None:
    """The copy has the shape of what is on S3."""
    path = network.write("m.onnx", external="deep/w.bin")
    bucket.put(path)
    bucket.put(network.folder / "deep" / "w.bin", folder="ckpt/deep")
    (model,) = bucket.resolve("**/*.onnx").models
    bucket.use_machine("worker")
    assert Session(model, RUNTIME).run(block)["embedding"].shape == (7, 5)
    assert onnx.load(localised(model).path).graph.initializer[0].raw_data


def test_local_and_remote_models_stand_side_by_side(network: Any, bucket: Bucket) -> None:
    """In the order of the config; a file that is named is left out of the globs that match it."""
    bucket.put(network.write("a.onnx"), network.write("b.onnx"))
    local = network.write("local/c.onnx")
    entries = [{"path": f"{bucket.uri}/ckpt/*.onnx"}, {"path": str(local)}, {"path": f"{bucket.uri}/ckpt//a.onnx"}]
    assert [m.name for m in bucket.resolve(*entries).models] == ["b", "c", "a"]
