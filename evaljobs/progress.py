"""Progress on long work: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import Task as BarTask
from rich.text import Text

from evaljobs.watching.standing import Counts, Standing

LINES_EVERY_S = 5.0


class Progress(Protocol):
    """Where long work says how far it is."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of so many steps; an unfinished one may be given a new total."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Say that steps of a stage are done."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Say how many models are in which state, and how far one is that has changed."""


class Quiet:
    """Shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Ignore it."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Ignore it."""


class Passes:
    """Tells of work in several passes: a stage that begins again has so many more steps than are done.

    Parameters
    ----------
    progress
        That is told.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = Counter[str]()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of so many steps, or of so many more."""
        self._progress.start(stage, self._done[stage] + total)

    def advance(self, stage: str, steps: int = 1) -> None:
        """Say that steps of a stage are done."""
        self._done[stage] += steps
        self._progress.advance(stage, steps)

    def say(self, text: str) -> None:
        """Show a line of text."""
        self._progress.say(text)

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Pass it on."""
        self._progress.models(counts, changed)


class PatientConsole(Console):
    """A console whose reader may go away: the work goes on, unseen."""

    def on_broken_pipe(self) -> None:
        """Write to nobody from now on."""
        self.quiet = True


class _Rate(TextColumn):
    """Steps a second, over the last half minute as rich counts them."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: BarTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{_short(speed)}/s" if speed else "", style="progress.data.speed")


class _Bars:
    """Bars on a terminal."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def start(self, stage: str, total: int) -> None:
        if stage in self._tasks:
            self._bars.update(self._tasks[stage], total=total)
        else:
            self._tasks[stage] = self._bars.add_task(stage, total=total)

    def advance(self, stage: str, steps: int = 1) -> None:
        self._bars.advance(self._tasks[stage], steps)

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Ignore it: the bars say enough."""


class _Lines:
    """A plain line now and then: for logs and pipes."""

    def __init__(self, console: Console, clock: Callable[[], float], every_s: float) -> None:
        self._console = console
        self._clock = clock
        self._every_s = every_s
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def start(self, stage: str, total: int) -> None:
        self._total[stage] = total
        if stage not in self._done:
            self._done[stage] = 0
            self._began[stage] = self._said[stage] = self._clock()

    def advance(self, stage: str, steps: int = 1) -> None:
        self._done[stage] += steps
        now = self._clock()
        if self._done[stage] >= self._total[stage] or now - self._said[stage] >= self._every_s:
            self._said[stage] = now
            self.say(self._line(stage, now))

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Ignore it: the lines on stages say enough."""

    def _line(self, stage: str, now: float) -> str:
        done, total = self._done[stage], self._total[stage]
        seconds = max(now - self._began[stage], 1e-9)
        line = f"{stage}: {done:,} of {total:,} ({_short(done / seconds)}/s)"
        if 0 < done < total:
            line += f", {(total - done) * seconds / done:.0f} s left"
        return line


@contextlib.contextmanager
def shown(
    console: Console, *, clock: Callable[[], float] = time.monotonic, every_s: float = LINES_EVERY_S
) -> Iterator[Progress]:
    """Yield progress on a console: bars where it is a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console, clock, every_s)
        return
    columns = (TextColumn("{task.description:<11}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        yield _Bars(bars)


@contextlib.contextmanager
def pair_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield what `verify` tells of its pairs (done, total)."""
    with shown(console) as progress:
        last = [0]

        def tell(done: int, total: int) -> None:
            progress.start("pairs", total)
            progress.advance("pairs", done - last[0])
            last[0] = done

        yield tell


def _short(number: float) -> str:
    """Write a number with three digits and a unit: 12.3k, 4.56M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"
