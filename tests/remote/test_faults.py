"""What goes wrong with S3: waited for where that helps, and else said with what to do."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from evaljobs.errors import RemoteError, RemoteErrorKind, UsageError
from evaljobs.remote import connection, objects, patience
from evaljobs.remote.hurry import hurried
from tests.remote.proxy import Fate, through_proxy
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

OPERATIONS: dict[str, Callable[[str], object]] = {
    "stat": objects.stat,
    "read": objects.read,
    "create": lambda uri: objects.create(uri, b""),
    "replace": lambda uri: objects.replace(uri, b""),
    "delete": objects.delete,
    "find": objects.find,
    "glob": lambda uri: objects.glob(f"{uri}/*"),
}


def failures(uri: str) -> dict[str, RemoteError]:
    """Return how each operation fails."""
    found = {}
    for name, operation in OPERATIONS.items():
        with pytest.raises(RemoteError) as raised:
            operation(uri)
        found[name] = raised.value
    return found


def assert_all(errors: dict[str, RemoteError], kind: RemoteErrorKind, words: Iterable[str]) -> None:
    assert {error.kind for error in errors.values()} == {kind}
    assert [(name, word) for name, error in errors.items() for word in words if word not in str(error)] == []


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_said_at_once(s3: S3Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of what to set, and without any value of it."""
    monkeypatch.setenv(name, "a-wrong-value-of-it")
    errors = failures("s3://some-bucket/a")
    words = ("some-bucket", s3.endpoint, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "role")
    assert_all(errors, RemoteErrorKind.DENIED, words)
    said = " ".join(map(str, errors.values()))
    assert [value for value in ("a-wrong-value-of-it", ACCESS_KEY, SECRET_KEY) if value in said] == []


@pytest.mark.usefixtures("s3")
def test_no_credentials_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any, and one whose profile is not there."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert_all(failures("s3://b/a"), RemoteErrorKind.DENIED, ["no usable credentials", "AWS_PROFILE"])
    monkeypatch.setenv("AWS_PROFILE", "unheard-of")
    assert_all(failures("s3://b/a"), RemoteErrorKind.DENIED, ["unheard-of"])


def test_missing_bucket_is_named(s3: S3Server) -> None:
    """Also by servers that would make it, and in answers that do not tell it from a missing object."""
    words = ("there is no bucket 'no-such-bucket'", s3.endpoint, "Create it, or mend its name", "AWS_ENDPOINT_URL")
    assert_all(failures("s3://no-such-bucket/a"), RemoteErrorKind.NO_BUCKET, words)
    assert_all(failures("s3://not a name/a"), RemoteErrorKind.NO_BUCKET, ["'not a name'"])


def test_silence_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: that is said once when the waiting begins, and what to do when it ends."""
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:password@127.0.0.1:9")
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "evaljobs"):
        errors = failures("s3://b/a")
    assert time.monotonic() - started >= 0.3 * len(errors)
    words = ("http://127.0.0.1:9", "AWS_ENDPOINT_URL", "run the same command again", "EVALJOBS_S3_PATIENCE_S")
    assert_all(errors, RemoteErrorKind.UNREACHABLE, words)
    assert "password" not in " ".join(map(str, errors.values())) + caplog.text
    assert caplog.text.count("trying for up to") == 1


def test_nobody_waits_for_long_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the server is away: a few seconds for what is left to do, and all the patience again afterwards."""
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "60")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(patience, "HURRIED_S", 0.2)
    started = time.monotonic()
    with hurried():
        errors = failures("s3://b/a")
        assert patience.patience_s() == 0.2
    assert time.monotonic() - started < 20
    assert_all(errors, RemoteErrorKind.UNREACHABLE, ["http://127.0.0.1:9"])
    assert patience.patience_s() == 60


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "nonsense"])
def test_endpoint_that_is_no_url_is_said_at_once(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again would not help."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert_all(failures("s3://b/a"), RemoteErrorKind.FAILED, ["Invalid endpoint"])


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_patience_is_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what was found, and what was expected."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", text)
    with pytest.raises(UsageError, match=f"EVALJOBS_S3_PATIENCE_S='{text}', expected a number of seconds"):
        objects.read("s3://b/a")


def test_error_travels_between_processes() -> None:
    """Workers raise it, the driver reads its kind."""
    error = pickle.loads(pickle.dumps(RemoteError(RemoteErrorKind.NO_BUCKET, "text")))  # noqa: S301 - our own bytes
    assert (error.kind, str(error)) == (RemoteErrorKind.NO_BUCKET, "text")


def test_slow_answers_are_waited_for(s3: S3Server, bucket: str) -> None:
    """Slow is not dead: each request is sent once."""
    requests: list[bytes] = []

    def slowly(request: bytes) -> Fate:
        requests.append(request.split(b" ")[0])
        return Fate(delay_s=0.4)

    with through_proxy(s3.endpoint, slowly):
        assert objects.create(f"{bucket}/a", b"x")
        assert objects.read(f"{bucket}/a") == b"x"
    assert requests == [b"GET", b"PUT", b"GET"]  # the first: whether the bucket is there


def test_answers_that_are_too_slow_are_asked_for_again(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs is left after the time for reading."""
    monkeypatch.setattr(connection, "READ_TIMEOUT_S", 0.5)
    objects.replace(f"{bucket}/a", b"x")
    delays = [3.0, 0.0]
    with through_proxy(s3.endpoint, lambda _: Fate(delay_s=delays.pop(0))):
        assert objects.read(f"{bucket}/a") == b"x"
    assert delays == []


def test_lost_answer_of_a_creation_is_looked_up(s3: S3Server, bucket: str) -> None:
    """The object is there although nobody said so: it is ours, also where a library repeats the request unseen."""
    losing = iter([False, True, False, False])

    def decide(request: bytes) -> Fate:
        return Fate(answered=not (request.startswith(b"PUT") and next(losing)))

    with through_proxy(s3.endpoint, decide):
        assert objects.create(f"{bucket}/a", b"first")
        assert objects.create(f"{bucket}/b", b"second")  # sent twice
        assert not objects.create(f"{bucket}/b", b"second")
    assert list(losing) == []
    assert objects.read(f"{bucket}/b") == b"second"


def test_other_creator_between_two_attempts_wins(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our first attempt never arrived, and somebody else's did: the object is his."""
    theirs: list[objects.Answer] = []
    real = objects.Patience.wait

    def decide(request: bytes) -> Fate:
        return Fate(arrives=not request.startswith(b"PUT") or bool(theirs))

    def wait(self: objects.Patience, error: Exception) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
            theirs.append(connection.connection().send("put_object", Bucket=bucket[5:], Key="a", Body=b"theirs"))
        real(self, error)

    monkeypatch.setattr(objects.Patience, "wait", wait)
    with through_proxy(s3.endpoint, decide):
        assert not objects.create(f"{bucket}/a", b"ours")
    assert len(theirs) == 1
    assert objects.read(f"{bucket}/a") == b"theirs"


@pytest.mark.slow
def test_server_killed_and_started_again_in_the_middle(
    s3: S3Server, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every creation is carried out once, whatever it had to wait for; the outage is said, and not by each."""
    told: dict[int, bool] = {}
    reached = threading.Event()

    def create_all() -> None:
        for number in range(60):
            told[number] = objects.create(f"{bucket}/{number}", b"%d" % number)
            if number == 20:
                reached.set()

    worker = threading.Thread(target=create_all)
    with caplog.at_level(logging.WARNING, "evaljobs"):
        worker.start()
        try:
            assert reached.wait(60)
            s3.stop()
            time.sleep(0.5)
        finally:
            s3.start()
        worker.join(90)
    assert told == dict.fromkeys(range(60), True)
    assert {one.uri: objects.read(one.uri) for one in objects.find(bucket)} == {
        f"{bucket}/{number}": b"%d" % number for number in range(60)
    }
    assert 1 <= len(caplog.records) <= 3


def test_connection_follows_process_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for a process; another after a fork, and where somebody has set other credentials."""
    first = connection.connection()
    assert connection.connection() is first
    monkeypatch.setattr(os, "getpid", lambda: -1)
    in_a_child = connection.connection()
    assert in_a_child is not first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert connection.connection() is not in_a_child
