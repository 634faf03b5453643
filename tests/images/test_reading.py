"""Reading the bytes of one image."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os

import pytest

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import files, reading


def read(uri):
    (answer,) = reading.read_images([uri])
    return answer


def unreadable(uri):
    answer = read(uri)
    assert isinstance(answer, ImageError)
    assert answer.kind is ImageErrorKind.UNREADABLE
    return str(answer)


def test_the_bytes_and_their_digest(tmp_path):
    """A file is read whole; its digest is the sha256 that anybody can compute."""
    path = tmp_path / "a.png"
    path.write_bytes(b"abc" * 10_000)
    assert read(str(path)) == b"abc" * 10_000
    assert reading.digest_of(b"abc") == hashlib.sha256(b"abc").digest()


def test_what_is_no_file_is_refused_with_its_reason(tmp_path):
    """Vanished files, folders, FIFOs (which would block for ever), devices (which never end) and null characters."""
    os.mkfifo(tmp_path / "fifo.png")
    assert "No such file" in unreadable(str(tmp_path / "gone.png"))
    assert "a directory" in unreadable(str(tmp_path))
    assert "a FIFO" in unreadable(str(tmp_path / "fifo.png"))
    assert "a device" in unreadable("/dev/zero")
    assert "null" in unreadable("a\0b")


def test_a_file_without_permission_says_so(monkeypatch):
    """The reason is the system's; a refusal is not tried again."""
    calls = []

    def refused(*_):
        calls.append(1)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.os, "open", refused)
    assert "Permission denied" in unreadable("/x.png")
    assert len(calls) == 1


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT])
def test_errors_that_may_pass_are_tried_again(tmp_path, monkeypatch, code):
    """A file system that stumbles twice costs no image; one that stays down is an error, not an endless wait."""
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    real_open, left, pauses = os.open, [2], []

    def stumble(*args):
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real_open(*args)

    monkeypatch.setattr(reading.time, "sleep", pauses.append)
    monkeypatch.setattr(files.os, "open", stumble)
    assert read(str(path)) == b"abc"
    assert pauses == list(reading.PAUSES_S[:2])
    left[0] = 100
    assert os.strerror(code) in unreadable(str(path))
    assert left[0] == 100 - len(reading.PAUSES_S) - 1


def test_it_works_where_a_system_lacks_flags(tmp_path, monkeypatch):
    """Windows has no O_NONBLOCK and no O_CLOEXEC; bytes stay bytes there by O_BINARY."""
    monkeypatch.delattr(os, "O_NONBLOCK")
    monkeypatch.delattr(os, "O_CLOEXEC")
    monkeypatch.setattr(os, "O_BINARY", 1 << 20, raising=False)
    specification = importlib.util.spec_from_file_location("elsewhere", files.__file__)
    elsewhere = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(elsewhere)
    asked, real_open = [], os.open
    monkeypatch.setattr(os, "open", lambda path, flags: (asked.append(flags), real_open(path, os.O_RDONLY))[1])
    path = tmp_path / "a.png"
    path.write_bytes(b"a\r\n\x1ab")
    with elsewhere.open_file(str(path)) as file:
        assert file.read() == b"a\r\n\x1ab"
    assert asked == [os.O_RDONLY | 1 << 20]
