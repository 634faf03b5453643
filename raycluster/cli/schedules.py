"""The commands about schedules: add, ls, rm, run-now, history, accept, fetch, quota."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from raycluster.cli.options import LOCAL_FILE, address_options, duration
from raycluster.errors import ClusterError

if TYPE_CHECKING:
    from raycluster.schedule.book import Book
    from raycluster.schedule.records import Run

F = TypeVar("F", bound=Callable[..., Any])
# Of whatever is counted; more is a slip of the keys, and the state file holds no number of any size.
_MOST = 1_000_000


def state_option(command: F) -> F:
    """Add the option that names the state file."""
    return click.option(
        "--state",
        type=LOCAL_FILE,
        metavar="FILE",
        help="The scheduler's state file; by default schedules.sqlite3 in raycluster's folder of the user's state.",
    )(command)


def open_state(state: Path | None) -> tuple[Path, Book]:
    """Return the path of a state file and what it holds.

    Raises
    ------
    ClusterError
        If it cannot be used, or the libraries for it are not installed.
    """
    if missing := [name for name in ("sqlalchemy", "cronsim") if find_spec(name) is None]:
        raise ClusterError(f"schedules need {' and '.join(missing)}: pip install 'evaljobs[schedule]'")
    from raycluster.schedule.book import Book
    from raycluster.schedule.database import Database
    from raycluster.schedule.places import default_state

    path = (state or default_state()).absolute()
    return path, Book(Database(path))


@click.group()
def schedule() -> None:
    """Plan runs that come again: `raycluster scheduler` carries them out."""


@schedule.command()
@click.argument("config", type=LOCAL_FILE)
@click.option("--cron", required=True, metavar="CRON", help="When: minute, hour, day of month, month, day of week.")
@click.option("--timezone", default="UTC", show_default=True, metavar="NAME", help="Whose clock that is.")
@click.option("--name", metavar="NAME", help="Of the schedule; the run's where it is left out.")
@click.option("--gpus", type=click.IntRange(1, _MOST), default=1, show_default=True, help="Slots that a run takes.")
@click.option("--team", default="default", show_default=True, metavar="NAME", help="Whose quota they count against.")
@click.option(
    "--priority",
    type=click.IntRange(-_MOST, _MOST),
    default=0,
    show_default=True,
    help="Greater ones go first, and stop lower ones.",
)
@click.option(
    "--deadline",
    "deadline_s",
    callback=duration,
    metavar="TIME",
    help="A run that has not ended so long after it was queued is stopped, and has failed.",
)
@click.option("--no-overlap", is_flag=True, help="A run waits until the one before has ended.")
@click.option(
    "--catch-up",
    type=click.Choice(["all", "last", "skip"]),
    default="last",
    show_default=True,
    help="Which missed runs are made up for.",
)
@click.option("--retries", type=click.IntRange(0, _MOST), default=3, show_default=True, help="When its driver dies.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of CONFIG.")
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="GATE",
    help="What each run must hold, such as 'auroc >= baseline - 0.005'; in place of CONFIG's own gates.",
)
@click.option("--shared-files", "shared", is_flag=True, help="The cluster sees this machine's files at their paths.")
@address_options
@state_option
def add(state: Path | None, deadline_s: float | None, catch_up: str, **asked: Any) -> None:
    """Run CONFIG again and again. All of it is checked now."""
    from raycluster.program import DEFAULT, find_program
    from raycluster.schedule.adding import Wanted
    from raycluster.schedule.adding import add as add_schedule
    from raycluster.schedule.places import is_held
    from raycluster.schedule.records import CatchUp

    path, book = open_state(state)
    wanted = Wanted(
        program=DEFAULT,
        deadline_s=None if deadline_s is None else max(1, round(deadline_s)),
        catch_up=CatchUp(catch_up),
        **asked,
    )
    plan, parcel = add_schedule(book, wanted, find_program, time.time(), _gpus(wanted.address, wanted.insecure))
    click.echo(f"{plan.name}: first due {_time(plan.next_due, plan.timezone)}")
    stay = "" if parcel.out is None else "; they stay there, nothing is brought here"
    click.echo(f"  results of each run in a folder of its own below {parcel.results}{stay}")
    if not is_held(path):
        click.echo(f"  start the scheduler, which carries it out: {_command('scheduler', state)}")


@schedule.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def ls(state: Path | None, as_json: bool) -> None:
    """List the schedules, when each is due, and what its open runs wait for."""
    from raycluster.schedule.listing import listed

    rows = listed(open_state(state)[1], time.time())
    if as_json:
        click.echo(json.dumps({"version": 1, "schedules": rows}, indent=1))
        return
    shown = [
        [
            row["name"],
            row["cron"],
            _time(row["next_due"], row["timezone"]),
            row["team"],
            row["gpus"],
            row["priority"],
            row["last"] or "-",
            "; ".join(row["open"]) or "-",
        ]
        for row in rows
    ]
    _table(["schedule", "cron", "next due", "team", "gpus", "priority", "last run", "now"], shown)


@schedule.command()
@click.argument("name")
@click.option("--stop", is_flag=True, help="Stop its run, too.")
@state_option
def rm(name: str, state: Path | None, stop: bool) -> None:
    """Remove a schedule. Its history stays; a run that waits is dropped, one that runs goes on."""
    from raycluster.schedule.adding import remove

    remove(open_state(state)[1], name, time.time(), stop=stop)
    click.echo(f"{name}: removed")


@schedule.command("run-now")
@click.argument("name")
@click.option("--wait", is_flag=True, help="Wait, and end with the run's exit code.")
@state_option
def run_now(name: str, state: Path | None, wait: bool) -> int:
    """Queue a run of a schedule at once; it takes its turn among the others."""
    from raycluster.schedule import adding
    from raycluster.schedule.document import summary
    from raycluster.schedule.places import is_held

    path, book = open_state(state)
    adding.find(book, name)
    if wait and not is_held(path):
        raise ClusterError(f"no scheduler runs; start it (`{_command('scheduler', state)}`). Nothing was queued")
    run = book.add_run(name, time.time())
    click.echo(f"{name}: queued as {run.id}", err=wait)
    if not wait:
        return 0
    ended = adding.wait(book, run.key, lambda: is_held(path), lambda line: click.echo(f"  {line}", err=True))
    click.echo(summary(ended))
    return adding.exit_code(ended)


@schedule.command()
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True, help="So many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def history(name: str | None, state: Path | None, limit: int, as_json: bool) -> None:
    """List the last runs, of one schedule or of all: what became of them, and why."""
    from raycluster.schedule.document import why
    from raycluster.schedule.listing import documents
    from raycluster.schedule.records import State, time_text

    book = open_state(state)[1]
    runs = book.history(name, limit)
    if as_json:
        click.echo(json.dumps({"version": 1, "runs": documents(book, runs)}, indent=1))
        return
    shown = [
        [
            time_text(run.due),
            run.schedule,
            run.outcome if run.state is State.ENDED else run.state,
            "-" if run.exit_code is None else run.exit_code,
            run.attempt,
            run.preemptions,
            _told(book, run),
            why(run) or "-",
        ]
        for run in runs
    ]
    _table(["due", "schedule", "outcome", "exit", "attempts", "stopped", "told", "why"], shown)


@schedule.command()
@click.argument("name")
@state_option
def accept(name: str, state: Path | None) -> None:
    """Take the last finished run for good, whatever its gates said: later runs are held against it."""
    from raycluster.program import find_program
    from raycluster.schedule.adding import accept as take
    from raycluster.schedule.records import time_text

    path, book = open_state(state)
    run, results = take(book, name, path, find_program)
    click.echo(f"{name}: later runs are held against that due {time_text(run.due)}, {results}")


@schedule.command()
@click.argument("name")
@click.option("--out", type=LOCAL_FILE, required=True, metavar="FOLDER", help="Local folder for the results.")
@state_option
def fetch(name: str, out: Path, state: Path | None) -> None:
    """Bring the results of the last finished run here; those of another run before it in FOLDER are replaced."""
    from raycluster.program import find_program
    from raycluster.schedule.adding import find, finished
    from raycluster.schedule.records import time_text

    book = open_state(state)[1]
    run, results = finished(book, name)
    click.echo(f"{name}: the run due {time_text(run.due)}: {run.outcome}")
    find_program(find(book, name).program).fetch(results, out, click.echo)


@schedule.command()
@click.argument("team", required=False)
@click.argument("gpus", type=click.IntRange(0, _MOST), required=False)
@click.option("--none", "unlimited", is_flag=True, help="Give TEAM no limit.")
@state_option
def quota(team: str | None, gpus: int | None, unlimited: bool, state: Path | None) -> None:
    """Give TEAM so many slots of GPUs, or list all quotas. The team `all` is all teams together: the whole cluster."""
    from raycluster.schedule.adding import set_quota

    book = open_state(state)[1]
    if team is not None and (gpus is None) != unlimited:
        raise click.UsageError("expected a team and a number of slots, or a team and --none")
    if team is not None:
        set_quota(book, team, gpus)
    _table(["team", "slots"], [[who, slots] for who, slots in sorted(book.snapshot().quotas.items())])


def _gpus(address: str | None, insecure: bool) -> int:
    """Return how many GPUs a cluster has, as far as is known: nobody need answer when a schedule is added."""
    from raycluster.access.servers import find_server
    from raycluster.cluster.looking import gpus

    try:
        return gpus(find_server(address, insecure=insecure))
    except ClusterError:
        return 0


def _told(book: Book, run: Run) -> str:
    outcome = book.message_outcome(*run.key)
    return "-" if outcome is None else outcome.partition(":")[0] or "trying"


def _time(moment: float, timezone: str) -> str:
    import datetime as dt
    import zoneinfo

    return dt.datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %Z")


def _command(command: str, state: Path | None) -> str:
    return f"raycluster {command}" + ("" if state is None else f" --state {state}")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table whose columns stand below each other; the last one is as long as it is."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
