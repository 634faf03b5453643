"""Objects on a real S3 server: read, create, replace, delete, list."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from evaljobs.errors import RemoteError, RemoteErrorKind, UsageError
from evaljobs.remote import objects
from evaljobs.remote.ranges import open_ranges


def keys(found: list[objects.Found], bucket: str) -> list[str]:
    return [one.uri.removeprefix(f"{bucket}/") for one in found]


def test_object_round_trips(bucket: str) -> None:
    """What is created is read whole and by range, and described; what is not there is None."""
    uri, data = f"{bucket}/a/ b+c&d=é%2F?x", b"0123456789"
    assert objects.stat(uri) is None
    assert objects.read(uri) is None
    assert objects.read(uri, 1, 3) is None
    assert objects.create(uri, data)
    found = objects.stat(uri)
    assert found is not None
    assert found[:3] == (uri, 10, hashlib.md5(data, usedforsecurity=False).hexdigest())
    assert abs(found.modified - time.time()) < 600
    assert objects.read(uri) == data
    assert objects.read(uri, 2) == b"23456789"
    assert objects.read(uri, 2, 4) == b"23"
    assert objects.read(uri, stop=4) == b"0123"
    assert objects.read(uri, 8, 99) == b"89"
    assert objects.read(uri, 10, 12) == objects.read(uri, 3, 3) == b""


def test_a_whole_bucket_is_no_object(bucket: str) -> None:
    """Nor is a bucket that is not there."""
    for uri in (bucket, f"{bucket}/"):
        assert objects.stat(uri) is None
        assert objects.read(uri) is None
        assert objects.read(uri, 0, 9) is None
        assert open_ranges(uri) is None
    with pytest.raises(RemoteError, match="no bucket"):
        objects.stat("s3://nowhere-at-all")


def test_first_creator_wins_and_replace_does_not_ask(bucket: str) -> None:
    """A created object is changed by nobody but `replace`; deleting twice is deleting."""
    uri = f"{bucket}/a"
    assert objects.create(uri, b"first")
    assert not objects.create(uri, b"second")
    assert objects.read(uri) == b"first"
    objects.replace(uri, b"")
    assert objects.read(uri) == b""
    objects.delete(uri)
    objects.delete(uri)
    assert objects.stat(uri) is None
    assert objects.create(uri, b"third")


def test_found_is_what_lies_below(bucket: str) -> None:
    """Sorted, of the folder and of no sibling whose name begins alike; empty where there is nothing."""
    for key in ("a/2", "a/10", "a/sub/x", "ab/y", "a"):
        objects.replace(f"{bucket}/{key}", key.encode())
    assert keys(objects.find(f"{bucket}/a"), bucket) == ["a/10", "a/2", "a/sub/x"]
    assert keys(objects.find(f"{bucket}/a/", recursive=False), bucket) == ["a/10", "a/2"]
    assert keys(objects.find(bucket, recursive=False), bucket) == ["a"]
    assert [one.size for one in objects.find(f"{bucket}/a", recursive=False)] == [4, 3]
    assert objects.find(f"{bucket}/none") == []


def test_more_than_a_page_is_found(bucket: str, monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> None:
    """A listing goes on until the server says that it has ended."""
    for number in range(7):
        objects.replace(f"{bucket}/x/{number}", b"")
    real = objects.connection()
    send = real.send
    monkeypatch.setattr(objects, "connection", lambda: real)
    monkeypatch.setattr(real, "send", lambda operation, **arguments: send(operation, **arguments, MaxKeys=3))
    sent.clear()
    assert keys(objects.find(f"{bucket}/x"), bucket) == [f"x/{number}" for number in range(7)]
    assert sent == ["list_objects_v2"] * 3


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("m/*.onnx", ["m/a.onnx", "m/b.onnx"]),
        ("m/?.onnx", ["m/a.onnx", "m/b.onnx"]),
        ("m/[a].onnx", ["m/a.onnx"]),
        ("*/sub/*.onnx", ["m/sub/c.onnx"]),
        ("m/**/*.onnx", ["m/a.onnx", "m/b.onnx", "m/sub/c.onnx"]),
        ("m/a.onnx", ["m/a.onnx"]),
        ("m/a", []),
        ("none/*", []),
    ],
)
def test_glob_matches_names_as_a_shell_does(pattern: str, expected: list[str], globbed: str) -> None:
    """A star stops at a slash, two do not."""
    assert keys(objects.glob(f"{globbed}/{pattern}"), globbed) == expected


@pytest.fixture(scope="module")
def globbed(s3: object) -> str:
    bucket: str = s3.bucket()  # type: ignore[attr-defined]
    for key in ("m/a.onnx", "m/b.onnx", "m/a.onnx.data", "m/sub/c.onnx"):
        objects.replace(f"{bucket}/{key}", b"")
    return bucket


def test_glob_that_means_nothing_is_refused(bucket: str) -> None:
    """Two stars stand for whole names."""
    with pytest.raises(UsageError, match=r"cannot search for .*\*\*"):
        objects.glob(f"{bucket}/a**/b")


def test_download_is_whole_or_not_at_all(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece; an object that is replaced meanwhile leaves no mixture, and no file."""
    monkeypatch.setattr(objects, "_DOWNLOAD_BYTES", 1000)
    uri, data, target = f"{bucket}/a", bytes(range(256)) * 10, tmp_path / "new" / "a"
    objects.replace(uri, data)
    objects.download(uri, target)
    assert target.read_bytes() == data
    with pytest.raises(FileNotFoundError, match="there is no object"):
        objects.download(f"{bucket}/none", tmp_path / "none")
    real = objects.read_range

    def replaced_after_the_first(where: str, start: int, stop: int, etag: str) -> bytes | None:
        if start == 1000:
            objects.replace(where, data[::-1])
        return real(where, start, stop, etag)

    monkeypatch.setattr(objects, "read_range", replaced_after_the_first)
    with pytest.raises(RemoteError, match="was written anew while it was read"):
        objects.download(uri, tmp_path / "new" / "b")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_parts_of_a_file_are_read_with_few_requests(bucket: str, sent: list[str]) -> None:
    """The end comes with the opening; small reads that follow each other share a request; nothing is read twice."""
    data = bytes(range(256)) * 2000
    objects.replace(f"{bucket}/a", data)
    sent.clear()
    file = open_ranges(f"{bucket}/a")
    assert file is not None
    with file:
        assert file.size() == len(data)
        file.seek(-10, 2)
        assert file.read(20) == data[-10:]
        assert sent == ["get_object"]
        file.seek(1000)
        assert b"".join(file.read(100) for _ in range(100)) == data[1000:11000]
        assert sent == ["get_object"] * 2
        file.seek(0)
        assert file.read() == data
    assert open_ranges(f"{bucket}/none") is None


def test_file_of_an_empty_object_is_empty(bucket: str) -> None:
    """A server has no last bytes of it to give."""
    objects.replace(f"{bucket}/a", b"")
    file = open_ranges(f"{bucket}/a")
    assert file is not None
    assert (file.size(), file.read()) == (0, b"")


def test_object_replaced_while_it_is_read_by_ranges_is_no_mixture(bucket: str) -> None:
    """It is an error, not two halves."""
    objects.replace(f"{bucket}/a", bytes(200_000))
    file = open_ranges(f"{bucket}/a")
    assert file is not None
    objects.replace(f"{bucket}/a", b"x" * 200_000)
    with pytest.raises(RemoteError, match="was written anew") as raised:
        file.read(10)
    assert raised.value.kind is RemoteErrorKind.FAILED
