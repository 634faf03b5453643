"""What people ask for: schedules, quotas, runs at once, and what has become of them."""

from __future__ import annotations

import dataclasses
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from raycluster.access.addresses import parse_address
from raycluster.errors import ClusterError
from raycluster.program import Asked, Parcel, Program
from raycluster.schedule import baselines
from raycluster.schedule.book import Book
from raycluster.schedule.cron import check_cron, check_timezone, next_due
from raycluster.schedule.deciding.ending import NOTHING
from raycluster.schedule.records import EVERYBODY, CatchUp, Outcome, Run, Schedule, State, due_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_RULE = "expected up to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
_WAIT_S = 1.0
_HISTORY = 1000


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A schedule as it was asked for; see `Schedule`.

    `name` is the run's where it is left out; `gates`, where there are some, stand in place of the configuration's.
    """

    config: Path
    cron: str
    timezone: str
    gpus: int
    team: str
    priority: int
    program: str
    name: str | None = None
    overrides: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    shared: bool = False
    deadline_s: int | None = None
    no_overlap: bool = False
    catch_up: CatchUp = CatchUp.LAST
    retries: int = 3
    address: str | None = None
    insecure: bool = False


class Added(NamedTuple):
    """A schedule that was added, and the parcel of its runs as it is now."""

    schedule: Schedule
    parcel: Parcel


def add(book: Book, wanted: Wanted, find_program: Callable[[str], Program], now: float, gpus: int = 0) -> Added:
    """Add a schedule, after all of it was checked.

    Parameters
    ----------
    gpus
        That its cluster has.

    Raises
    ------
    ClusterError
        Naming every mistake; nothing was added.
    """
    mistakes = [found for check in _CHECKS if (found := _mistake(check, book, wanted, now))]
    parcel: Parcel | None = None
    try:
        program = find_program(wanted.program)
        if wanted.gates:
            overrides = (*wanted.overrides, *program.with_gates(wanted.gates))
            wanted = dataclasses.replace(wanted, overrides=overrides, gates=())
        parcel = program.pack(wanted.config, Asked(wanted.overrides, wanted.shared, wanted.gpus, gpus))
    except ClusterError as error:
        mistakes.append(str(error))
    if mistakes or parcel is None:
        lines = "\n".join(textwrap.indent(mistake, "    ").removeprefix("  ") for mistake in mistakes)
        raise ClusterError(f"{len(mistakes)} mistake(s), nothing was scheduled\n{lines}")
    name = wanted.name or _NO_NAME.sub("-", parcel.name).strip("-._")[:64] or "run"
    schedule = dataclasses.replace(_schedule(wanted, name, parcel.webhook, now), cluster_gpus=gpus)
    _refuse_unfinished(book, name)
    if not book.add_schedule(schedule):
        raise ClusterError(
            f"there is a schedule {schedule.name!r} already; remove it first (`raycluster schedule rm "
            f"{schedule.name}`), or choose another name with --name"
        )
    return Added(schedule, parcel)


def _refuse_unfinished(book: Book, name: str) -> None:
    """Refuse the name of a schedule that was removed while its last run goes on: that run is not the new one's."""
    snapshot = book.snapshot()
    open_runs = {run.schedule for run in snapshot.runs if run.state is not State.ENDED}
    if name in open_runs and snapshot.schedules[name].removed is not None:
        raise ClusterError(f"the last run of the removed schedule {name!r} goes on; wait for its end, or use --name")


def _schedule(wanted: Wanted, name: str, webhook: str | None, now: float) -> Schedule:
    asked = {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}
    del asked["gates"]  # they stand among the overrides
    asked |= {"name": name, "config": str(wanted.config.absolute()), "webhook": webhook, "created": now}
    return Schedule(**asked, next_due=next_due(wanted.cron, wanted.timezone, now))


def _mistake(check: Callable[[Book, Wanted, float], None], book: Book, wanted: Wanted, now: float) -> str:
    try:
        check(book, wanted, now)
    except ClusterError as error:
        return str(error)
    return ""


def _check_cron(_book: Book, wanted: Wanted, now: float) -> None:
    check_cron(wanted.cron, now)


def _check_timezone(_book: Book, wanted: Wanted, _now: float) -> None:
    check_timezone(wanted.timezone)


def _check_names(_book: Book, wanted: Wanted, _now: float) -> None:
    if wanted.name is not None and not _NAME.fullmatch(wanted.name):
        raise ClusterError(f"found the name {wanted.name!r}; {_NAME_RULE}")


def _check_team(_book: Book, wanted: Wanted, _now: float) -> None:
    if not _NAME.fullmatch(wanted.team):
        raise ClusterError(f"found the team {wanted.team!r}; {_NAME_RULE}")
    if wanted.team == EVERYBODY:
        raise ClusterError(f"the team {EVERYBODY!r} stands for all teams together; name one of them")


def _check_quota(book: Book, wanted: Wanted, _now: float) -> None:
    quotas = book.snapshot().quotas
    for who in (wanted.team, EVERYBODY):
        if wanted.gpus > quotas.get(who, wanted.gpus):
            whose = "all teams together have" if who == EVERYBODY else f"team {who!r} has"
            raise ClusterError(
                f"--gpus {wanted.gpus} would never start: {whose} {quotas[who]} slot(s); ask for fewer, or raise that "
                f"with `raycluster schedule quota {who} {wanted.gpus}`"
            )


def _check_address(book: Book, wanted: Wanted, _now: float) -> None:
    if wanted.address is not None:
        parse_address(wanted.address, insecure=wanted.insecure)
    for other in book.snapshot().schedules.values():
        if other.removed is None and other.address != wanted.address:
            raise ClusterError(
                f"found {_cluster(wanted.address)}, and the schedule {other.name!r} runs on {_cluster(other.address)}: "
                "quotas count the slots of one cluster; name another state file (--state), for a scheduler of its own"
            )


def _cluster(address: str | None) -> str:
    return "the default cluster (no --address)" if address is None else f"--address {address}"


_CHECKS = (_check_cron, _check_timezone, _check_names, _check_team, _check_quota, _check_address)


def find(book: Book, name: str) -> Schedule:
    """Return a schedule that is in force.

    Raises
    ------
    ClusterError
        If there is none.
    """
    schedules = {n: s for n, s in book.snapshot().schedules.items() if s.removed is None}
    if name not in schedules:
        raise ClusterError(f"there is no schedule {name!r}; found {', '.join(schedules) or 'none'}")
    return schedules[name]


def remove(book: Book, name: str, now: float, *, stop: bool) -> None:
    """Remove a schedule. Runs that wait are dropped; one whose job runs goes on to its end, or is stopped."""
    find(book, name)
    book.remove_schedule(name, now, stop=stop)


def accept(book: Book, name: str, state: Path, find_program: Callable[[str], Program]) -> Finished:
    """Take a schedule's last finished run for good, whatever its gates said: later runs are held against it.

    Raises
    ------
    ClusterError
        If there is none, or its results cannot be read.
    """
    found = finished(book, name)
    try:
        baselines.keep(find_program(find(book, name).program), state, name, found.results)
    except OSError as error:
        raise ClusterError(f"a copy of {found.results} cannot be written: {error}; nothing was changed") from None
    book.set_baseline(name, found.results)
    return found


class Finished(NamedTuple):
    """A run that has results, and where they are."""

    run: Run
    results: str


def finished(book: Book, name: str) -> Finished:
    """Return the last run of a schedule that was finished, whatever its gates said.

    Raises
    ------
    ClusterError
        If there is none, or no such schedule.
    """
    find(book, name)
    outcomes = {Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.GATE_FAILED}
    for run in book.history(name, _HISTORY):
        if run.outcome in outcomes and run.results is not None:
            return Finished(run, run.results)
    raise ClusterError(f"the schedule {name!r} has no finished run yet")


def set_quota(book: Book, team: str, gpus: int | None) -> None:
    """Give a team so many slots, or no limit; `EVERYBODY` is all teams together."""
    if not _NAME.fullmatch(team):
        raise ClusterError(f"found the team {team!r}; {_NAME_RULE}")
    book.set_quota(team, gpus)


def wait(book: Book, key: tuple[str, int], alive: Callable[[], bool], say: Callable[[str], None]) -> Run:
    """Wait for the end of a run and return it.

    Parameters
    ----------
    alive
        Whether a daemon works on it.
    say
        Takes a line whenever its state changes.

    Raises
    ------
    ClusterError
        If there is no such run.
    """
    shown: str | None = None
    while True:
        run = book.run(*key)
        if run is None:
            raise ClusterError(f"there is no run of {key[0]!r} due {due_text(key[1])}")
        if run.state is State.ENDED:
            return run
        line = f"{run.state}, job {run.job_id}" if run.attempt else str(run.state)
        line += "" if alive() else " (no scheduler runs: start one with `raycluster scheduler`)"
        if line != shown:
            say(line)
            shown = line
        time.sleep(_WAIT_S)


def exit_code(run: Run) -> int:
    """Return the exit code of a run that has ended."""
    return NOTHING if run.exit_code is None else run.exit_code
