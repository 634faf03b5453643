"""A cluster, a program and a clock of which tests know everything; the scheduler that meets them is the real one.

The cluster is honest: it computes what it is given, a job at a time for each id, keeps what a job has computed in its
store, and sees at every call that no rule is broken.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from raycluster.errors import ClusterError, ForgottenError, UnreachableError
from raycluster.jobs.job import ENDED, Job, Status, Submission
from raycluster.program import Asked, Parcel, Stage, Verdict
from raycluster.schedule.book import Book
from raycluster.schedule.daemon import Daemon
from raycluster.schedule.database import Database
from raycluster.schedule.hands import Hands
from raycluster.schedule.outside import Outside
from raycluster.schedule.records import NO_TEAM, CatchUp, Run, Schedule

STOP_TAKES_S = 30.0


class Killed(BaseException):
    """The scheduler's process is killed here."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Moments:
    """The moments at which a process can be killed so that somebody could see a difference; at one of them it is."""

    def __init__(self) -> None:
        self.count = 0
        self.kill_at: int | None = None
        self.names: list[str] = []

    def pass_by(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.kill_at:
            raise Killed(name)


@dataclasses.dataclass
class Work:
    """What a run is: so many seconds of work, the seconds at which its driver dies, and how it ends."""

    seconds: float = 600
    dies_at: list[float] = dataclasses.field(default_factory=list)
    exit_code: int = 0
    done: float = 0
    completions: int = 0


@dataclasses.dataclass
class _Live:
    submission: Submission
    begun: float
    status: Status = "running"
    exit_code: int | None = None
    ended: float | None = None
    stops: float | None = None

    @property
    def run(self) -> tuple[str, str]:
        return self.submission.metadata["raycluster.schedule"], self.submission.metadata["raycluster.due"]


class Cluster:
    """A JobServer in memory."""

    def __init__(self, clock: Clock, moments: Moments) -> None:
        self._clock, self._moments = clock, moments
        self.make_work: Callable[[tuple[str, str]], Work] = lambda _run: Work()
        self._jobs: dict[str, _Live] = {}
        self.work: dict[tuple[str, str], Work] = {}
        # Every job that was begun, and those that a head has forgotten.
        self.ids: list[str] = []
        self.forgotten: list[str] = []
        self.silent_until = 0.0
        self.lost_answers = 0  # to what is asked to be done
        self.gpus = 0
        self.quotas: dict[str, int] = {}
        self.no_overlap: set[str] = set()
        self.most: Counter[str] = Counter()

    # As the scheduler sees it

    def submit(self, submission: Submission) -> Job:
        with self._called("submit"):
            if submission.id not in self._jobs:
                self.ids.append(submission.id)
                self._jobs[submission.id] = _Live(submission, self._clock())
                self.check()
            return self._job(submission.id)

    def find(self, job_id: str) -> Job | None:
        with self._called("find"):
            return self._job(job_id) if job_id in self._jobs else None

    def stop(self, job_id: str) -> None:
        with self._called("stop"):
            if job_id not in self._jobs:
                raise ForgottenError(job_id)
            live = self._jobs[job_id]
            if live.status == "running" and live.stops is None:
                live.stops = self._clock() + STOP_TAKES_S

    def jobs(self) -> list[Job]:
        return [self._job(job_id) for job_id in self._jobs]

    def log(self, job_id: str, tail: int | None = None) -> str:
        del job_id, tail
        return ""

    def follow(self, job_id: str) -> Iterator[str]:
        del job_id
        return iter(())

    # As it is

    def restart_head(self) -> None:
        """Forget all jobs, whose drivers die with the head; what they have computed stays."""
        self.advance()
        self.forgotten += self._jobs
        self._jobs.clear()

    def advance(self) -> None:
        """Bring all jobs to the present."""
        now = self._clock()
        for live in self._jobs.values():
            if live.status == "running":
                self._advance(live, now)

    def live(self) -> list[str]:
        self.advance()
        return [job_id for job_id, live in self._jobs.items() if live.status not in ENDED]

    def next_end(self) -> float:
        """Return when the next job ends by itself or by a stop."""
        live = [self._jobs[job_id] for job_id in self.live()]
        ends = [one.begun + min([w.seconds, *w.dies_at[:1]]) - w.done for one in live if (w := self.work[one.run])]
        return min([*ends, *(one.stops for one in live if one.stops is not None)], default=math.inf)

    def check(self) -> None:
        """See that quotas and overlaps hold, and that no run has two jobs."""
        self.advance()
        slots: Counter[str] = Counter()
        runs: defaultdict[str, list[str]] = defaultdict(list)
        for live in self._jobs.values():
            if live.status not in ENDED:
                about = live.submission.metadata
                for who in (about["raycluster.team"], "all"):
                    slots[who] += int(about["raycluster.gpus"])
                runs[live.run[0]].append(live.run[1])
        over = {who: n for who, n in slots.items() if n > self.quotas.get(who, n)}
        assert not over, f"more slots in use than there are: {over} of {self.quotas}"
        for schedule, dues in runs.items():
            assert len(set(dues)) == len(dues), f"two jobs of one run of {schedule}: {dues}"
            assert len(dues) == 1 or schedule not in self.no_overlap, f"runs of {schedule} overlap: {dues}"
        self.most |= slots

    def _advance(self, live: _Live, now: float) -> None:
        work = self.work.setdefault(live.run, self.make_work(live.run))
        until = now if live.stops is None else min(now, live.stops)
        ends_at = min([work.seconds, *work.dies_at[:1]])
        seconds = max(0.0, min(until - live.begun, ends_at - work.done))
        work.done += seconds
        moment = live.begun + seconds
        live.begun = moment
        if work.done == ends_at:
            dead = ends_at in work.dies_at
            work.dies_at = work.dies_at[1:] if dead else work.dies_at
            live.exit_code = 137 if dead else work.exit_code
            live.status, live.ended = "succeeded" if live.exit_code == 0 else "failed", moment
            work.completions += not dead
        elif live.stops is not None and now >= live.stops:
            live.status, live.ended = "stopped", live.stops

    def _job(self, job_id: str) -> Job:
        self.advance()
        live = self._jobs[job_id]
        return Job(job_id, live.status, "", live.exit_code, live.begun, live.ended, live.submission.metadata)

    @contextmanager
    def _called(self, what: str) -> Iterator[None]:
        self._moments.pass_by(f"before {what}")
        if self._clock() < self.silent_until:
            raise UnreachableError("nobody answers")
        yield
        if self.lost_answers and what != "find":
            self.lost_answers -= 1
            raise UnreachableError("the answer was lost")
        self._moments.pass_by(f"after {what}")


class Program:
    """A program whose configurations are files that say what their gates are."""

    version = "1"

    def __init__(self, moments: Moments, webhook: str | None = None) -> None:
        self._moments, self.webhook = moments, webhook
        self.outages = 0  # so many requests of the store get no answer
        self.verdicts: dict[str, Verdict] = {}
        self.judged: list[tuple[str, str | None]] = []
        self.asked: list[Asked] = []

    def pack(self, config: Path, asked: Asked) -> Parcel:
        self.asked.append(asked)
        self._moments.pass_by("pack")
        self._ask_store()
        if not config.exists():
            raise ClusterError(f"no configuration file {config}")
        gates = tuple(config.read_text(encoding="utf-8").split("\n")) if config.stat().st_size else ()
        results = f"results/{config.stem}"
        command = ("somewhere", "run", config.name, "--out", results)
        return Parcel(config.stem, "0" * 64, {}, command, results, gates=gates, webhook=self.webhook)

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        del parcel, say
        self._moments.pass_by("upload")
        self._ask_store()

    def _ask_store(self) -> None:
        if self.outages:
            self.outages -= 1
            raise UnreachableError("the store does not answer")

    def fetch(self, results: str, out: Path, say: Callable[[str], None]) -> None:
        raise NotImplementedError

    def keep(self, results: str, folder: Path) -> None:
        self._moments.pass_by("keep")
        self._ask_store()
        (folder / "kept").write_text(results, encoding="utf-8")

    def with_gates(self, gates: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"gate={gate}" for gate in gates)

    def stages(self, log: str) -> Sequence[Stage]:
        del log
        return []

    def line(self, text: str) -> str | None:
        return text

    def judge(self, results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
        assert gates
        self._moments.pass_by("judge")
        self._ask_store()
        self.judged.append((results, baseline and _kept(baseline)))
        return self.verdicts.get(results, Verdict(True, "passed: as it should"))


def _kept(baseline: str) -> str:
    """Return which results a baseline is a copy of."""
    copy = Path(baseline) / "kept"
    return copy.read_text(encoding="utf-8") if copy.exists() else baseline


class _Watched(Database):
    """A state file whose commits are moments, just before and just after."""

    def __init__(self, path: Path, moments: Moments) -> None:
        self._moments = Moments()
        super().__init__(path)
        self._moments = moments

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with super().writing() as connection:
            yield connection
            self._moments.pass_by("before commit")
        self._moments.pass_by("after commit")


class World:
    """All of it: the state file, the cluster, the program, the clock; and the scheduler, which can be killed."""

    def __init__(self, folder: Path, now: float, webhook: str | None = None) -> None:
        self.folder, self.clock, self.moments = folder, Clock(now), Moments()
        self.cluster = Cluster(self.clock, self.moments)
        self.program = Program(self.moments, webhook)
        self.said: list[str] = []
        # What the work of jobs waits for, by id.
        self.waits: defaultdict[str, str] = defaultdict(str)
        self.kills = 0
        self.begin()

    def begin(self) -> None:
        """Start the scheduler."""
        outside = Outside(
            connect=lambda _: self.cluster,
            find_program=lambda _: self.program,
            waits_for=lambda _, job: self.waits[job],
            gpus=lambda _: self.cluster.gpus,
            clock=self.clock,
            say=self.said.append,
        )
        self.database = _Watched(self.folder / "state.sqlite3", self.moments)
        self.book = Book(self.database)
        self.daemon = Daemon(self.book, Hands(self.book, outside, self.database.path), outside)

    def kill(self) -> None:
        """End the scheduler without a word."""
        self.kills += 1
        self.database.close()
        self.begin()

    def settle(self) -> None:
        """Let the scheduler do all there is to do now; started again where it is killed."""
        for _ in range(500):
            try:
                again = self.daemon.step()
            except Killed:
                self.kill()
                continue
            self.cluster.check()
            if not again:
                return
        raise AssertionError(f"the scheduler does not come to rest: {self.said[-20:]}")

    def run_until(self, end: float, every_s: float) -> None:
        """Let time pass."""
        while self.clock.now < end:
            self.settle()
            self.clock.now = min(end, self.clock.now + every_s)
        self.settle()

    def runs(self) -> list[Run]:
        return sorted(self.book.history(None, 100_000), key=lambda run: (run.due, run.schedule))

    def add(self, name: str, cron: str = "0 3 * * *", gates: str = "", **other: object) -> Schedule:
        """Add a schedule, with a configuration of its own."""
        from raycluster.schedule.cron import next_due

        config = self.folder / f"{name}.yaml"
        config.write_text(gates, encoding="utf-8")
        plain = Schedule(
            name, "sim", str(config), (), False, cron, "UTC", NO_TEAM, 0, 1, None, False, CatchUp.LAST, 3, None, False,
            None, self.clock.now, 0,
        )  # fmt: skip
        schedule = dataclasses.replace(plain, **other)
        due = next_due(schedule.cron, schedule.timezone, self.clock.now)
        schedule = dataclasses.replace(schedule, next_due=due, webhook=self.program.webhook)
        assert self.book.add_schedule(schedule)
        if schedule.no_overlap:
            self.cluster.no_overlap.add(name)
        return schedule

    def quota(self, team: str, gpus: int) -> None:
        self.book.set_quota(team, gpus)
        self.cluster.quotas[team] = gpus
