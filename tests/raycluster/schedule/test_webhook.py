"""Webhooks: told at least once, and what is secret stays so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from raycluster.errors import ClusterError
from raycluster.schedule.webhook import post
from tests.raycluster.schedule.receiver import Receiver
from tests.raycluster.schedule.simulation import World

START = dt.datetime(2026, 3, 1, 2, 50, tzinfo=dt.UTC).timestamp()
BODY = {"event_id": "nightly-20260301T0300Z-ended", "text": "ä"}


@pytest.fixture(autouse=True)
def _fresh(receiver: Receiver) -> None:
    receiver.bodies.clear()
    receiver.headers.clear()
    receiver.answer = lambda: 204


def test_posts_json_with_the_id_of_the_event(receiver: Receiver) -> None:
    """A receiver can drop what it has had."""
    post(receiver.url, BODY)
    assert receiver.bodies == [BODY]
    assert receiver.headers[0]["X-Raycluster-Event"] == BODY["event_id"]
    assert receiver.headers[0]["Content-Type"] == "application/json"


def test_url_of_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when it is needed; where it is missing, its name is said."""
    monkeypatch.setenv("TEAM_HOOK", receiver.url)
    post("env:TEAM_HOOK", BODY)
    assert len(receiver.bodies) == 1
    monkeypatch.delenv("TEAM_HOOK")
    with pytest.raises(ClusterError, match="has no TEAM_HOOK"):
        post("env:TEAM_HOOK", BODY)
    monkeypatch.setenv("TEAM_HOOK", "no-url-at-all-but-a-key")
    with pytest.raises(ClusterError, match="is no URL") as caught:
        post("env:TEAM_HOOK", BODY)
    assert "key" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[key-of-the-team", "http://", "ftp://example.com/key-of-the-team", "key-of"])
def test_what_is_no_url_is_an_error_of_the_webhook(url: str) -> None:
    """So it is given up in time, like a receiver that is gone."""
    with pytest.raises(ClusterError, match="is no URL") as caught:
        post(url, BODY)
    assert "key-of" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_refusals_name_the_host_alone(receiver: Receiver, status: int) -> None:
    """The path of a webhook is its key. No redirection is followed."""
    receiver.answer = lambda: status
    with pytest.raises(
        ClusterError, match=rf"http://127\.0\.0\.1 did not take the message: it answers {status}"
    ) as caught:
        post(receiver.url, BODY)
    assert "key-of-the-team" not in str(caught.value)
    assert receiver.bodies == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/key-of-the-team", "http://no-such-host.invalid/key-of-the-team"])
def test_nobody_there(url: str) -> None:
    """As when nobody answers."""
    with pytest.raises(ClusterError, match="did not take the message") as caught:
        post(url, BODY)
    assert "key-of-the-team" not in str(caught.value)


def test_tells_again_until_it_is_taken(folder: Path, receiver: Receiver) -> None:
    """With longer and longer rests; the log does not hold the URL; history says when it is through."""
    receiver.answer = lambda: 503
    world = World(folder, START, receiver.url)
    world.add("nightly")
    world.run_until(START + 2 * 3600, 120)
    (run,) = world.runs()
    assert world.book.message_outcome(*run.key) == ""
    (message,) = world.book.snapshot().messages
    assert 3 <= message.tries <= 8
    receiver.answer = lambda: 204
    world.run_until(START + 4 * 3600, 600)
    assert [body["event_id"] for body in receiver.bodies] == [f"{run.id}-ended"]
    assert receiver.bodies[0]["text"] == "nightly, due 2026-03-01T03:00:00Z: passed (exit code 0)"
    assert world.book.message_outcome(*run.key) == "delivered"
    assert world.said
    assert not [line for line in world.said if "key-of-the-team" in line]


def test_gives_up_after_days_and_says_so(folder: Path, receiver: Receiver) -> None:
    """A receiver that is gone for ever is not called for ever."""
    receiver.answer = lambda: 410
    world = World(folder, START, receiver.url)
    world.add("nightly", "0 3 1 3 *")
    world.run_until(START + 4 * 86400, 1800)
    (run,) = world.runs()
    outcome = world.book.message_outcome(*run.key)
    assert outcome is not None
    assert outcome.startswith("given up after")
    assert world.book.snapshot().messages == ()
