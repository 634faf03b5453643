"""How long a cluster is waited for that does not answer: by a clock that stands still unless something is awaited."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from raycluster.errors import DeniedError, LostError, UnreachableError
from raycluster.jobs import attending
from raycluster.jobs.attending import Patience, attend
from raycluster.jobs.job import Job
from raycluster.jobs.submitting import Errand, Submitted
from raycluster.program import Parcel, find_program

HOUR_S = 3600.0
SILENT = UnreachableError("nobody answers")


@dataclasses.dataclass
class Head:
    """A head whose job prints for some seconds, or does not answer, stream after stream; then the job has ended."""

    streams: list[float | Exception]
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def find(self, job_id: str) -> Job:
        return Job(job_id, "succeeded", exit_code=0)

    def lines(self) -> Iterator[str | None]:
        while self.streams:
            stream = self.streams.pop(0)
            if isinstance(stream, Exception):
                raise stream
            for _ in range(int(stream)):
                self.now += 1
                yield "at work"


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Head, Callable[[], int]]]:
    def start(*streams: float | Exception) -> tuple[Head, Callable[[], int]]:
        head = Head(list(streams))
        monkeypatch.setattr(attending, "time", types.SimpleNamespace(monotonic=head.monotonic, sleep=head.sleep))
        monkeypatch.setattr(attending, "Follower", lambda *_: head)
        errand = Errand(cast("Any", head), find_program(), Parcel("x", "0" * 64, {}, (), "", out=Path("out")), None)
        submitted = Submitted(errand, 1, Job("x-1", "running"), found=False)
        said: list[str] = []
        return head, lambda: attend(submitted, said.append, said.append, Patience(silence_s=600)).exit_code

    return start


Attended = Callable[..., tuple[Head, Callable[[], int]]]


def test_long_log_before_a_silence_is_no_silence(attended: Attended) -> None:
    """An hour of lines, then the head is gone for a moment: it is waited for."""
    _, ended = attended(HOUR_S, SILENT, SILENT, 1.0)
    assert ended() == 0


def test_each_silence_is_counted_by_itself(attended: Attended) -> None:
    """Nine minutes, a line, nine minutes: nobody has been silent for ten."""
    nine_minutes = [SILENT] * 270
    head, ended = attended(*nine_minutes, 1.0, *nine_minutes, 1.0)
    assert ended() == 0
    assert head.now > 1000


def test_silence_has_an_end(attended: Attended) -> None:
    """After ten minutes without an answer it is said that the job may still run."""
    head, ended = attended(HOUR_S, *[SILENT] * 1000)
    with pytest.raises(LostError, match=r"nobody answers.*x-1 may still run"):
        ended()
    assert HOUR_S + 600 <= head.now < HOUR_S + 610


def test_refusal_after_the_submission_is_no_mistake_of_the_users(attended: Attended) -> None:
    """A token that was changed meanwhile: the job is there, and the exit code says so."""
    _, ended = attended(1.0, DeniedError("another token"))
    with pytest.raises(LostError, match=r"another token.*x-1 may still run"):
        ended()
