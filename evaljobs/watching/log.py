"""A run's log as one JSON object a line: for machines, and for whoever follows a job from afar.

Every line has the keys of `KEYS`; those that say nothing in it are null. Lines are few however many models there are:
one for each stage, a count of the models by state and a limited number of models every few seconds, and one for each
model that has ended.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO

from evaljobs.watching.standing import Counts, Standing, State

# Of the lines; the first one says it.
LOG_VERSION = 1
KEYS = ("time", "level", "event", "run", "model", "stage", "done", "total", "text")
BEGIN, STAGE, MODELS, SAY, END = "begin", "stage", "models", "say", "end"
EVERY_S = 5.0
# Of the models that go on, told at a time.
MOST_MODELS = 20
# Characters of a text; an error of a cluster may quote pages.
_LONGEST = 4000


class _Stage(NamedTuple):
    """How far a stage is, when it was told last, and how many of how many steps were told."""

    done: int
    total: int
    told_at: float
    told: tuple[int, int]


class Pace(NamedTuple):
    """A clock in seconds, and how many of them pass between two lines of the same thing."""

    clock: Callable[[], float] = time.monotonic
    every_s: float = EVERY_S


class JsonLog:
    """Progress in lines of JSON.

    Parameters
    ----------
    stream
        Written line by line, each at once. Where its reader goes away, the work goes on.
    run, version
        The name of the run, and the version of the program.
    redact
        Takes secrets out of a text before anybody sees it.
    """

    def __init__(
        self, stream: TextIO, run: str, version: str, redact: Callable[[str], str], pace: Pace | None = None
    ) -> None:
        self.run = run
        self._stream: TextIO | None = stream
        self._redact = redact
        self._clock, self._every_s = pace or Pace()
        self._lock = threading.RLock()
        self._stages: dict[str, _Stage] = {}
        # Models that have got on since they were told last; who waits longest comes first.
        self._news: dict[str, Standing] = {}
        self._counts: Counts = {}
        self._told_counts: Counts = {}
        self._told_at: float | None = None
        self._write(BEGIN, text=f"evaljobs {version}", version=LOG_VERSION)

    # As evaljobs.progress.Progress has it

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of so many steps; an unfinished one may be given a new total."""
        with self._lock:
            known = self._stages.get(stage)
            if known is None:
                self._tell_stage(stage, 0, total)
            else:
                self._stages[stage] = known._replace(total=total)
            self._tell_models()

    def advance(self, stage: str, steps: int = 1) -> None:
        """Say that steps of a stage are done."""
        with self._lock:
            known = self._stages[stage]
            known = self._stages[stage] = known._replace(done=known.done + steps)
            if known.done >= known.total or self._clock() - known.told_at >= self._every_s:
                self._tell_stage(stage, known.done, known.total)
            self._tell_models()

    def say(self, text: str) -> None:
        """Write a message."""
        self.message(text)

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Say how many models are in which state, and how far one is that has changed."""
        with self._lock:
            self._counts = counts
            if changed is not None and not changed.state.ended:
                self._news[changed.model] = changed
            elif changed is not None:
                self._news.pop(changed.model, None)
                self._tell_model(changed)
            self._tell_models(now=changed is None)

    # What a command says beside it

    def message(self, text: str, level: str = "info", **more: Any) -> None:
        """Write a message of a level: info, warning or error."""
        self._write(SAY, level, text=text, **more)

    def end(self, exit_code: int) -> None:
        """Write the last line."""
        with self._lock:
            for stage, known in self._stages.items():
                self._tell_stage(stage, known.done, known.total)
            self._tell_models(now=True)
            self._write(END, "info" if exit_code == 0 else "error", text=f"exit code {exit_code}", exit_code=exit_code)

    # Lines

    def _tell_stage(self, stage: str, done: int, total: int) -> None:
        known = self._stages.get(stage)
        if known is None or known.told != (done, total):
            self._write(STAGE, stage=stage, done=done, total=total)
        self._stages[stage] = _Stage(done, total, self._clock(), (done, total))

    def _tell_models(self, *, now: bool = False) -> None:
        """Tell of the models, if that is some time ago: how many are in which state, and the news of some."""
        if not self._counts or not (now or self._told_at is None or self._clock() - self._told_at >= self._every_s):
            return
        self._told_at = self._clock()
        if self._counts != self._told_counts:
            self._told_counts = self._counts
            ended = sum(n for state, n in self._counts.items() if state.ended)
            counts = {str(state): n for state, n in self._counts.items()}
            self._write(MODELS, done=ended, total=sum(self._counts.values()), counts=counts)
        for name in list(self._news)[:MOST_MODELS]:
            self._tell_model(self._news.pop(name))

    def _tell_model(self, standing: Standing) -> None:
        failed = standing.state is State.FAILED
        self._write(
            STAGE,
            "warning" if failed else "info",
            model=standing.model,
            stage=str(standing.state),
            done=standing.done,
            total=standing.total,
            **({"kind": standing.kind} if failed else {}),
        )

    def _write(self, event: str, level: str = "info", **said: Any) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {**dict.fromkeys(KEYS), "time": now, "level": level, "event": event, "run": self.run, **said}
        # Everything beyond ASCII is escaped, so that nothing in a name can end the line or colour a terminal.
        text = json.dumps({key: self._clean(value) for key, value in line.items()}, ensure_ascii=True)
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # its reader went away, or it was closed
                self._stream = None

    def _clean(self, value: Any) -> Any:
        """Return a value without secrets, of bounded length; file names that are no Unicode are spelled out."""
        if not isinstance(value, str):
            return value
        text = self._redact(value).encode("utf-8", "backslashreplace").decode("utf-8")
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
