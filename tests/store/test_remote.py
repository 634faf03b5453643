"""The store on S3: races, requests, servers that go away, credentials."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from evaljobs.engine.embedding import obstacle
from evaljobs.errors import StoreError
from evaljobs.remote.connection import Answer, Connection
from evaljobs.schemas import FAILURES
from evaljobs.store import Store
from evaljobs.store.folder import each
from evaljobs.store.store import Measured
from evaljobs.store.usage import usage_of
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.store.racing import race
from tests.store.rows import KEY, content, digests, matrix, parts


@pytest.fixture
def store(s3: S3Server) -> Store:
    return Store(f"{s3.bucket()}/store").open()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each operation that was sent, and the bytes of the answer's body."""
    operations: list[tuple[str, int]] = []
    real = Connection.send

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        size = 0
        try:
            answer = real(self, operation, **arguments)
            size = len(answer.get("Body", b""))
        finally:
            operations.append((operation, size))
        return answer

    monkeypatch.setattr(Connection, "send", send)
    return operations


def test_location_has_one_form(s3: S3Server) -> None:
    """Slashes too many name the same store; it opens elsewhere from what is pickled."""
    bucket = s3.bucket()
    store = Store(f"{bucket}//a///b/").open()
    assert Store(f"{bucket}/a/b").folder.walk() == store.folder.walk() != []
    assert pickle.loads(pickle.dumps(store)).location == store.location == f"{bucket}/a/b"  # noqa: S301 - our own


@pytest.mark.slow
def test_one_of_sixteen_racing_processes_commits(store: Store) -> None:
    """One part, whole, of one of them; he alone is told so."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["evaljobs.store.remote", "tests.store.racing"])
    start, answers = context.Barrier(16), context.Queue()
    racers = [context.Process(target=race, args=(store.location, n, start, answers)) for n in range(16)]
    for racer in racers:
        racer.start()
    told = [answers.get(timeout=150) for _ in racers]
    for racer in racers:
        racer.join()
    assert sorted(told) == [False] * 15 + [True]
    assert len(parts(store)) == 1
    number = (store.table(KEY).read(digests(50), "embedding") - matrix(50)).mean()
    winner = round(float(number))
    assert np.array_equal(store.table(KEY).read(digests(50), "embedding"), matrix(50) + np.float32(winner))


def test_finding_out_what_is_there_reads_digests_alone(store: Store, sent: list[tuple[str, int]]) -> None:
    """A listing and two requests for each part, whatever the length of the embeddings; many tables at once."""
    ids = digests(512)
    other = {**KEY, "batch_size": 1}
    store.table(KEY).commit(ids, {"embedding": matrix(512, 4096)})
    store.table(other).commit(ids.slice(0, 9), {"embedding": matrix(9)})
    sent.clear()
    assert [len(found) for found in store.digests([KEY, other, {"model": "none"}])] == [512, 9, 0]
    operations = [operation for operation, _ in sent]
    assert (operations.count("list_objects_v2"), operations.count("get_object")) == (3, 3)
    assert sum(size for _, size in sent) < 200_000 < max(entry.size for entry in store.folder.walk()) / 10


def test_a_commit_is_one_request_and_the_first_a_note(store: Store, sent: list[tuple[str, int]]) -> None:
    """What a worker sends for a shard of a model: its part; once, the key for people."""
    table = store.table(KEY)
    sent.clear()
    for start in range(0, 40, 10):
        assert table.commit(digests(10, start), {"embedding": matrix(10)})
    assert [operation for operation, _ in sent] == ["put_object"] * 5


def test_reading_rows_is_not_one_request_after_the_other(store: Store) -> None:
    """Eight at a time, so that a distant server is no reason to wait; never more, and in the order asked for."""
    at_work, most = [0], [0]
    lock, full = threading.Lock(), threading.Event()

    def work(number: int) -> int:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            if at_work[0] == store.folder.concurrency:
                full.set()
        assert full.wait(30)
        with lock:
            at_work[0] -= 1
        return number

    assert list(each(store.folder, work, range(50))) == list(range(50))
    assert most == [8]
    assert Store(".").folder.concurrency == 1


def test_part_read_while_others_wait_raises_its_error(store: Store) -> None:
    """An error of one of many ends the reading, and leaves no thread behind."""

    def fails(number: int) -> int:
        if number == 3:
            raise StoreError("three")
        return number

    before = threading.active_count()
    with pytest.raises(StoreError, match="three"):
        list(each(store.folder, fails, range(1000)))
    assert threading.active_count() <= before


def test_results_of_many_are_read_once(store: Store, sent: list[tuple[str, int]]) -> None:
    """A rerun asks for each result and its tables once, and again only for those that were not there."""
    keys = [{**KEY, "job": number} for number in range(6)]
    for key in keys[:5]:
        store.add_result(key, {"result": key["job"]}, {"roc": pa.table({"fpr": [0.5]})})
    sent.clear()
    found = list(store.results(keys))
    assert [None if result is None else result[0]["result"] for result in found] == [0, 1, 2, 3, 4, None]
    assert len(sent) == 2 * 5 + 1
    store.add_result(keys[5], {"result": 5}, {})
    sent.clear()
    assert [result and result[0]["result"] for result in store.results(keys)] == [0, 1, 2, 3, 4, 5]
    assert len(sent) == 1


def test_rates_of_many(store: Store) -> None:
    """What one call remembers, another finds, in order."""
    keys = [{**KEY, "job": number} for number in range(20)]
    store.add_rates("embed", (Measured(key, 0.5 + key["job"], 10) for key in keys))
    assert list(store.rates("embed", [*keys, {"model": "none"}])) == [*(0.5 + n for n in range(20)), None]


FAULTS: dict[str, Callable[[Store], object]] = {
    "open": Store.open,
    "commit": lambda store: store.table(KEY).commit(digests(3), {"embedding": matrix(3)}),
    "digests": lambda store: store.table(KEY).digests(),
    "read": lambda store: store.table(KEY).read(digests(3), "embedding"),
    "result": lambda store: store.result(KEY),
    "results": lambda store: list(store.results([KEY])),
    "failures": lambda store: store.failures(KEY),
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong-value-of-a-secret", ["denies it", "AWS_SECRET_ACCESS_KEY"]),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", ["no good answer", "run the same command again"]),
    ],
)
def test_server_that_refuses_is_a_store_error(
    store: Store, name: str, value: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step says what it could not do, where, and what to do."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.2")
    monkeypatch.setenv(name, value)
    bucket = store.location.split("/")[2]
    for step, function in FAULTS.items():
        with pytest.raises(StoreError) as raised:
            function(Store(store.location))
        missing = [w for w in (bucket, *words, "or name another `store`") if w not in str(raised.value)]
        assert missing == [], step
        assert SECRET_KEY not in str(raised.value)
        assert "wrong-value" not in str(raised.value)


@pytest.mark.usefixtures("s3")
def test_missing_bucket_is_not_made() -> None:
    """A typing error must not become a store."""
    for _ in range(2):
        with pytest.raises(StoreError, match="there is no bucket 'mistyped'"):
            Store("s3://mistyped/store").open()


def test_server_that_goes_away_while_a_part_is_read_damages_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer says nothing about a part: it is not deleted."""
    table = store.table(KEY)
    table.commit(digests(512), {"embedding": matrix(512, 512)})
    real = Connection.send
    answers = [True]  # the end of the part; then nobody answers

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        if operation == "get_object" and not (answers and answers.pop()):
            raise ConnectionResetError("gone")
        return real(self, operation, **arguments)

    with monkeypatch.context() as patch:
        patch.setenv("EVALJOBS_S3_PATIENCE_S", "0.2")
        patch.setattr(Connection, "send", send)
        with pytest.raises(StoreError, match=r"no good answer .*ConnectionResetError"):
            table.digests()
    assert answers == []
    assert len(table.digests()) == 512


@pytest.mark.parametrize(
    ("ask", "expected"),
    [(lambda store: len(store.table(KEY).digests()), 0), (lambda store: usage_of(store).tables[0].rows, None)],
)
def test_part_deleted_while_it_is_read_is_missing(
    store: Store, ask: Callable[[Store], object], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two requests, by whoever trims the store or found it damaged: its rows are missing, and nothing fails."""
    store.table(KEY).commit(digests(512), {"embedding": matrix(512, 512)})
    real = Connection.send
    answered: list[str] = []

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        answer = real(self, operation, **arguments)
        if operation == "get_object" and str(arguments["Key"]).endswith(".arrow"):
            answered.append(operation)
            real(self, "delete_object", Bucket=arguments["Bucket"], Key=arguments["Key"])
        return answer

    monkeypatch.setattr(Connection, "send", send)
    assert ask(store) == expected
    assert len(answered) == 1


@pytest.mark.parametrize("request_number", [0, 1])
def test_short_answer_is_asked_for_again(store: Store, request_number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte too few, of the end of a part or of its digests, says nothing about the part."""
    table = store.table(KEY)
    table.commit(digests(512), {"embedding": matrix(512, 512)})
    real = Connection.send
    answers: list[int] = []

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        answer = real(self, operation, **arguments)
        if operation == "get_object":
            if len(answers) == request_number:
                answer["Body"] = answer["Body"][:-1]
            answers.append(len(answer["Body"]))
        return answer

    monkeypatch.setattr(Connection, "send", send)
    assert len(table.digests()) == 512
    assert len(answers) == 3


def test_store_that_may_only_be_read_is_of_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's store: what is there is read; what cannot be written there is said."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    real = Connection.send

    def send(self: Connection, operation: str, **arguments: object) -> Answer:
        if operation in {"put_object", "delete_object"}:
            raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "Put")
        return real(self, operation, **arguments)

    monkeypatch.setattr(Connection, "send", send)
    opened = Store(store.location).open()
    assert np.array_equal(opened.table(KEY).read(digests(3), "embedding"), matrix(3))
    assert opened.table(KEY).has(digests(3))
    assert not opened.table(KEY).has(digests(2))
    with pytest.raises(StoreError, match="denies it"):
        Store(f"{store.location}-new").open()


@pytest.mark.slow
def test_runs_go_on_after_a_restart_of_the_server(store: Store, s3: S3Server) -> None:
    """Commits and reads that fall into an outage wait for its end; all rows are there, once."""
    committed = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            for start in range(0, 400, 10):
                assert store.table(KEY).commit(digests(10, start), {"embedding": matrix(10) + start})
                if start == 100:
                    committed.set()
        except Exception as error:  # told by the test
            errors.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert committed.wait(60)
        s3.stop()
        reader = threading.Timer(0.1, lambda: store.table(KEY).digests())
        reader.start()
        time.sleep(0.5)
    finally:
        s3.start()
    worker.join(90)
    reader.join(90)
    assert errors == []
    expected = np.concatenate([matrix(10) + start for start in range(0, 400, 10)])
    assert np.array_equal(store.table(KEY).read(digests(400), "embedding"), expected)


def test_credentials_are_in_nothing_that_is_kept(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in an object nor in its name, nor in what is said or sent to workers."""
    with caplog.at_level(logging.DEBUG):
        store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
        store.add_result(KEY, {"result": {}}, {"roc": pa.table({"fpr": [0.1]})})
        store.add_failures(KEY, pa.table([digests(1), ["damaged"], ["truncated"]], schema=FAILURES))
        store.add_listing("source", pa.table({"uri": [f"{store.location}/a.png"]}))
        store.add_rate("embed", KEY, 1.0, 10)
        store.leave_nonce()
        store.open()
    kept = {entry.name: content(store, entry.name) for entry in store.folder.walk()}
    assert len(kept) >= 9
    told = [*kept.values(), *(name.encode() for name in kept), pickle.dumps(store)]
    evaljobs_says = [record.getMessage().encode() for record in caplog.records if record.name.startswith("evaljobs")]
    for value in (SECRET_KEY.encode(), ACCESS_KEY.encode()):
        assert [text for text in (*told, *evaljobs_says) if value in text] == []


def test_each_node_proves_that_it_reads_and_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without credentials, or with another server, says why."""
    nonce = store.leave_nonce()
    assert obstacle(store, nonce) == ""
    assert "do not see" in obstacle(store, "nonces/written-elsewhere")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert "denies it" in obstacle(store, nonce)
    monkeypatch.undo()
    store.remove_nonce(nonce)
    assert [entry.name for entry in store.folder.walk("nonces")] == []


def test_fork_does_not_share_a_connection(store: Store) -> None:
    """A process that is forked from one with a connection makes its own."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tried
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            os.write(writing, b"%d" % len(Store(store.location).table(KEY).digests()))
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"3"
