"""The log in lines of JSON: whole lines, few lines, no secrets; and what is read of them again."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.watching.log import EVERY_S, KEYS, MOST_MODELS, JsonLog, Pace
from evaljobs.watching.stages import Reported, in_words, read_stages
from evaljobs.watching.standing import Sweep
from raycluster.access.redaction import HIDDEN, redact

HOSTILE = 'a"b\\c\nd\re\x1b[31mf\x85\u2028{"event": "end"}\x00é\udcff'


def log_of(stream: io.StringIO, run: str, version: str, **pace: Any) -> JsonLog:
    """Return a log as a run's is."""
    return JsonLog(stream, run, version, redact, Pace(**pace))


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines; each must be an object with all keys, in ASCII."""
    text = stream.getvalue()
    assert text.isascii()
    assert text.endswith("\n")
    found = [json.loads(line) for line in text[:-1].split("\n")]
    assert all(line.keys() >= set(KEYS) for line in found)
    return found


def test_a_run_from_begin_to_end() -> None:
    """Every line names the run; the first one says the version, the last one the exit code."""
    stream, clock = io.StringIO(), Clock()
    log = log_of(stream, "faces", "1.2.3", clock=clock)
    sweep = Sweep(["r50"], log.models)
    log.models(sweep.counts)
    log.start("embedding", 10)
    sweep.embedding("r50", 10)
    sweep.embedded("r50", 10)
    log.advance("embedding", 10)
    clock.now = EVERY_S
    sweep.evaluating("r50", 1)
    sweep.evaluated("r50")
    log.say("all is well")
    log.end(0)
    found = lines(stream)
    assert {line["run"] for line in found} == {"faces"}
    assert (found[0]["event"], found[0]["text"], found[0]["version"]) == ("begin", "evaljobs 1.2.3", 1)
    assert (found[-1]["event"], found[-1]["exit_code"], found[-1]["level"]) == ("end", 0, "info")
    told = [(line["model"], line["stage"], line["done"], line["total"]) for line in found if line["event"] == "stage"]
    assert told == [
        (None, "embedding", 0, 10), (None, "embedding", 10, 10), ("r50", "evaluating", 0, 1), ("r50", "done", 1, 1),
    ]  # fmt: skip
    assert read_stages(stream.getvalue()) == [
        Reported("embedding", 10, 10), Reported("models done", 1, 1), Reported("done", 1, 1, "r50"),
    ]  # fmt: skip


def test_thousand_models_are_few_lines() -> None:
    """Every model gets on every second: what is written follows from the time, and not from the work."""
    stream, clock = io.StringIO(), Clock()
    log = log_of(stream, "faces", "1", clock=clock)
    names = [f"model{number}" for number in range(1000)]
    sweep = Sweep(names, log.models)
    log.start("embedding", 3_600_000)
    for name in names:
        sweep.embedding(name, 3600)
    looks = 30
    for second in range(looks):
        clock.now = float(second)
        for name in names:
            sweep.embedded(name, 1)
            log.advance("embedding")
    assert len(lines(stream)) <= 2 + (looks / EVERY_S + 1) * (MOST_MODELS + 2)
    for name in names:
        sweep.evaluating(name, 1)
        sweep.evaluated(name)
    log.end(0)
    found = lines(stream)
    assert sum(line["stage"] == "done" for line in found) == 1000
    assert len(found) <= 1000 + 5 + (looks / EVERY_S + 1) * (MOST_MODELS + 2)
    assert Reported("models done", 1000, 1000) in read_stages(stream.getvalue())


def test_nobody_is_forgotten() -> None:
    """Of more models than are told at a time, those come next that have waited longest."""
    stream, clock = io.StringIO(), Clock()
    log = log_of(stream, "faces", "1", clock=clock)
    names = [f"model{number}" for number in range(3 * MOST_MODELS)]
    sweep = Sweep(names, log.models)
    for name in names:
        sweep.embedding(name, 100)
    for look in range(1, 5):
        clock.now = look * EVERY_S
        for name in names:
            sweep.embedded(name, 1)
    told = {line["model"] for line in lines(stream)} - {None}
    assert told == set(names)


@given(st.text(st.characters(exclude_categories=[])), st.text(st.characters(exclude_categories=[])))
def test_no_name_breaks_a_line(name: str, said: str) -> None:
    """Quotes, ends of lines, escapes for terminals, surrogates: one object a line, and the name comes back."""
    stream = io.StringIO()
    log = log_of(stream, name, "1", every_s=0)
    Sweep([name], log.models).embedding(name, 3)
    log.say(said)
    begun, counts, _, message = lines(stream)
    assert (begun["event"], counts["event"], message["event"]) == ("begin", "models", "say")
    (model,) = [stage for stage in read_stages(stream.getvalue()) if stage.model is not None]
    if name.isprintable() and "://" not in name:
        assert model.model == name


def test_people_are_shown_no_escapes() -> None:
    """What a name would do to a terminal is written out; a message keeps its lines."""
    stream = io.StringIO()
    log = log_of(stream, HOSTILE, "1", every_s=0)
    sweep = Sweep([HOSTILE], log.models)
    sweep.embedding(HOSTILE, 1000)
    sweep.failed(HOSTILE, "crashed")
    log.say("two\nlines\x1b[2J")
    shown = [in_words(line) for line in stream.getvalue().splitlines()]
    assert shown[-1] == "two\nlines\\x1b[2J"
    named = [line for line in shown if line.startswith('a"b')]
    assert len(named) == 2
    assert all(line.isprintable() for line in named)
    assert named[0].endswith(": embedding: 0 of 1,000")
    assert named[1].endswith(": failed: 0 of 1,000 (crashed)")


def test_secrets_are_hidden() -> None:
    """Wherever a line quotes one: in a message, in the name of a model."""
    stream = io.StringIO()
    log = log_of(stream, "x", "1", every_s=0)
    log.say("https://user:pass@host:9000/a?X-Amz-Signature=abc&x=1 failed")
    Sweep(["http://u:pass@h/m"], log.models).failed("http://u:pass@h/m", "missing")
    assert lines(stream)[1]["text"] == f"https://{HIDDEN}@host:9000/a?{HIDDEN} failed"
    assert any(line["model"] == f"http://{HIDDEN}@h/m" for line in lines(stream))
    assert "pass" not in stream.getvalue()


@pytest.mark.parametrize("piece", ["a", "://", "a://b@", "?", "://?@/", "bearer ", "authorization: "])
def test_texts_are_bounded(piece: str) -> None:
    """An error that quotes pages does not make a line of pages, and costs no time to speak of."""
    stream, started = io.StringIO(), time.process_time()
    log_of(stream, "x", "1").say(piece * 100_000)
    assert len(lines(stream)[-1]["text"]) <= 4000
    assert time.process_time() - started < 5


def test_reader_that_goes_away_stops_nothing() -> None:
    """The work goes on, unseen."""

    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    log = log_of(Broken(), "x", "1")
    log.start("embedding", 1)
    log.advance("embedding")
    log.end(0)
    closed = io.StringIO()
    other = log_of(closed, "x", "1")
    closed.close()
    other.end(0)


FOREIGN = [
    "Traceback (most recent call last):",
    "{",
    '{"event": "stage"}',
    '{"event": "stage", "stage": "embedding", "done": 1, "total": 2, "model": null}',
    "[1, 2]",
    '"text"',
    "(raylet) a line of Ray",
    "[" * 100_000,
    '{"event": ' + "[" * 100_000,
]


def test_foreign_lines_are_passed_over() -> None:
    """What Ray, a library or the results' table print between our lines is not ours, and is shown as it is."""
    stream = io.StringIO()
    log = log_of(stream, "x", "1", every_s=0)
    Sweep(["a"], log.models).embedding("a", 3)
    mixed = "\n".join(text for line in stream.getvalue().splitlines() for text in (line, *FOREIGN))
    assert read_stages(mixed) == read_stages(stream.getvalue()) != []
    assert [in_words(line) for line in FOREIGN] == FOREIGN
    wrong = json.dumps({**dict.fromkeys(KEYS), "event": "stage", "stage": ["a"], "done": "x", "total": None})
    assert read_stages(wrong) == []
    assert in_words(wrong)


def test_last_run_in_a_log_counts() -> None:
    """A job that began again says anew how far it is; an end of a log is read as far as it goes."""
    stream = io.StringIO()
    first = log_of(stream, "x", "1", every_s=0)
    Sweep(["old"], first.models).embedding("old", 3)
    second = log_of(stream, "x", "1", every_s=0)
    Sweep(["new"], second.models).failed("new", "missing")
    text = stream.getvalue()
    assert read_stages(text) == [Reported("models failed", 1, 1), Reported("failed: missing", 0, 1, "new")]
    tail = "\n".join(text.splitlines()[-1:])
    assert read_stages(tail) == [Reported("models failed", 1, 1)]
    assert read_stages("") == []
