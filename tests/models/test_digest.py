"""A model's digest covers all its bytes, and nothing else."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from evaljobs.errors import ModelError
from evaljobs.models.digest import model_digest
from evaljobs.models.inspect import inspect


def digest(path):
    return model_digest(path, tuple(path.parent / location for location in inspect(path).external))


def test_digest_of_one_file_is_its_sha256(network):
    """People can check it with sha256sum."""
    path = network.write()
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_digest_covers_every_byte_of_external_data(network):
    """Equal graphs with other weights are other models."""
    path = network.write(external="w.bin")
    before = digest(path)
    data = bytearray((network.folder / "w.bin").read_bytes())
    data[-1] ^= 1
    (network.folder / "w.bin").write_bytes(data)
    assert digest(path) != before
    assert before != hashlib.sha256(path.read_bytes()).hexdigest()


def test_digest_is_the_same_wherever_the_model_lies(network, monkeypatch):
    """A copy on another machine shares the cache, and so does a relative path."""
    path = network.write("one/model.onnx", external="w.bin")
    shutil.copytree(network.folder / "one", network.folder / "two" / "three")
    assert digest(path) == digest(network.folder / "two" / "three" / "model.onnx")
    monkeypatch.chdir(path.parent)
    assert digest(path.relative_to(path.parent)) == digest(path)


def test_digest_does_not_depend_on_the_order_of_files(tmp_path):
    """The order is that of the locations, and swapped contents are another model."""
    for name, content in {"m": b"0", "a": b"1", "b": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    m, a, b = (tmp_path / name for name in "mab")
    first = model_digest(m, (a, b))
    assert first == model_digest(m, (b, a))
    a.write_bytes(b"2")
    b.write_bytes(b"1")
    assert model_digest(m, (a, b)) != first


def test_files_outside_the_folder_are_refused(tmp_path):
    """The digest reads nothing that the model does not own."""
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "m.onnx"
    path.write_bytes(b"m")
    for outside in (tmp_path / "secret", tmp_path / "deep" / ".." / "secret"):
        with pytest.raises(ModelError, match=r"external data 'secret' lies outside") as caught:
            model_digest(path, (outside,))
        assert str(tmp_path) not in str(caught.value)


def test_a_vanished_file_is_named(tmp_path):
    """A file that disappears between two looks is an error of that model, not a crash."""
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        model_digest(tmp_path / "gone.onnx")
