"""Leases: whether their holders are gone, whatever clocks say, and how they are left when a run is cut short."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from evaljobs.remote import patience
from evaljobs.store import Store, lease, uses
from evaljobs.store.collecting import Tell, collect
from evaljobs.store.lease import Holder
from evaljobs.store.trimming import Wish
from evaljobs.store.uses import Uses
from tests.s3_server import S3Server
from tests.store.filled import fill

DAY = 86400.0


def nothing(_: object) -> None:
    """Take note of nothing."""


def dated(store: Store, name: str, ahead_s: float, what: str) -> str:
    """Write a lease with a time so far ahead of now; return its name."""
    store.folder.replace(name, Holder(what, "host", 1, time.time()).to_bytes())
    os.utime(Path(store.location) / name, (time.time() + ahead_s,) * 2)
    return name


def test_trimming_killed_under_a_wrong_clock_stops_no_run(local: Store) -> None:
    """A clock that was a day ahead is put right: who was killed before must not be waited for until tomorrow."""
    dated(local, f"uses/gc-{'a' * 32}.lease", DAY, "gc")
    entered = threading.Event()
    said: list[str] = []

    def enter() -> None:
        with Uses(local.folder, "a run").marked([], [], said.append):
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert entered.wait(60)
    assert said == []


def test_run_killed_under_a_wrong_clock_hides_no_other(local: Store) -> None:
    """Its lease says nothing of the others': they are seen, what they use is spared, and it goes."""
    fill(local)
    old = dated(local, f"uses/run-{'b' * 32}.lease", DAY, "killed")
    with Uses(local.folder, "the run at work").marked([], [], nothing):
        found = collect(local, Wish(keep_bytes=0), Tell(nothing, nothing), dry_run=False)
    assert [holder.partition(" (")[0] for holder in found.holders] == ["the run at work"]
    assert (found.spared, found.tables) == (6, 0)
    assert local.folder.read(old) is None


def test_time_of_a_wrong_clock_makes_nothing_old(local: Store) -> None:
    """What was used an hour ago is not unused for half a day, whatever a file of tomorrow says."""
    fill(local)
    dated(local, f"rates/embed-{'b' * 64}.json", DAY, "a rate")
    found = collect(local, Wish(unused_s=DAY / 2), Tell(nothing, nothing), dry_run=False)
    assert (found.tables, found.results) == (0, 0)


def test_who_has_slept_sees_who_came_meanwhile(local: Store) -> None:
    """A process that was stopped for longer than its lease lives asks with a lease of now, not of then."""
    with uses.trimming(local.folder) as own:
        os.utime(Path(local.location) / own.name, (time.time() - 2 * lease.EXPIRES_S,) * 2)
        dated(local, f"uses/run-{'c' * 32}.lease", 0.0, "new")
        seen = uses.look_for_runs(local.folder, own)
    assert [holder.what for holder in seen.holders] == ["new"]
    assert seen.stale == []
    assert abs(seen.now - time.time()) < 60


def test_leaving_by_an_error_does_not_wait_for_a_server_that_is_away(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C ends a run in seconds, also while its lease is being renewed; that the lease is left behind is said."""
    store = Store(f"{s3.bucket()}/store").open()
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    monkeypatch.setattr(lease, "_JOINED_S", 0.2)
    monkeypatch.setattr(patience, "HURRIED_S", 0.2)
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "60")
    name = f"uses/run-{'d' * 32}.lease"

    def work() -> None:
        with uses.leased(store.folder, name, Holder.this_process("a run")):
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            time.sleep(0.3)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - began < 30
    assert f"the lease {name} is left behind" in caplog.text
    renewing = [thread for thread in threading.enumerate() if thread.name == "evaljobs-lease"]
    assert len(renewing) == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "1")
    renewing[0].join(60)
    assert not renewing[0].is_alive()
