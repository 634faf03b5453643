"""The commands about jobs: submit, jobs, logs, stop."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raycluster.cli.options import LOCAL_FILE, address_options, duration

if TYPE_CHECKING:
    from raycluster.jobs.attending import Attended
    from raycluster.jobs.job import Job
    from raycluster.jobs.submitting import Submitted, Wish
    from raycluster.program import Parcel


def _no_file(_context: click.Context, _option: click.Parameter, tree: Path | None) -> Path | None:
    """Refuse what was meant as CONFIG: the word after the option is its folder."""
    if tree is not None and tree.is_file():
        raise click.BadParameter(
            f"{tree} is a file, and taken for the project's folder; put CONFIG first "
            f"(`raycluster submit {tree} --working-tree`), or name the folder (`--working-tree . {tree}`)"
        )
    return tree


@click.command()
@click.argument("config", type=LOCAL_FILE)
@address_options
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of CONFIG.")
@click.option(
    "--working-tree",
    "tree",
    type=LOCAL_FILE,
    is_flag=False,
    flag_value=Path(),
    callback=_no_file,
    metavar="[FOLDER]",
    help="Run this folder's code in place of what the cluster has installed; files that git ignores stay here, those "
    "that are in no commit yet do not.",
)
@click.option("--shared-files", "shared", is_flag=True, help="The cluster sees this machine's files at their paths.")
@click.option("--out", type=LOCAL_FILE, metavar="FOLDER", help="Local folder for the results.")
@click.option("--wait/--detach", default=True, help="Wait, and end with the run's exit code; or only submit.")
@click.option("--again", is_flag=True, help="Run it once more, although it has run already.")
@click.option("--retries", type=click.IntRange(min=0), default=3, show_default=True, help="When its driver dies.")
@click.option(
    "--start-deadline",
    callback=duration,
    default="15m",
    show_default=True,
    metavar="TIME",
    help="Stop a run that has not begun by then, since the cluster lacks what it needs, and say what.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
def submit(
    config: Path,
    address: str | None,
    insecure: bool,
    overrides: tuple[str, ...],
    tree: Path | None,
    shared: bool,
    out: Path | None,
    wait: bool,
    again: bool,
    retries: int,
    start_deadline: float,
    dry_run: bool,
) -> int:
    """Run CONFIG on a cluster, show how far it is, and bring its results here.

    What is submitted already is not submitted twice: the same command waits for the run that is there. Ctrl-C leaves
    the run alone.
    """
    from raycluster.jobs.attending import Patience
    from raycluster.jobs.submitting import Wish
    from raycluster.jobs.submitting import submit as carry_out
    from raycluster.program import Asked

    wish = Wish(Asked(overrides, shared, out=out), tree, again)
    if dry_run:
        return _dry_run(config, wish)
    where = [*(["--address", address] if address else []), *(["--insecure-http"] if insecure else [])]
    try:
        submitted = carry_out(config, wish, address=address, insecure=insecure, say=_say)
    except KeyboardInterrupt:
        _say_unknown(where)
        raise
    _announce(submitted, where)
    return _attended(submitted, Patience(retries, start_deadline), where) if wait else 0


@click.command()
@address_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def jobs(address: str | None, insecure: bool, as_json: bool) -> None:
    """List the jobs that the cluster remembers, the latest first."""
    from raycluster.jobs.commands import list_jobs

    found = list_jobs(address, insecure=insecure)
    if as_json:
        click.echo(json.dumps({"version": 1, "jobs": [_as_json(job) for job in found]}, indent=1))
    elif not found:
        click.echo("no jobs")
    else:
        _print_table(found)


@click.command()
@click.argument("job")
@address_options
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
@click.option("--raw", is_flag=True, help="Print lines as the job printed them.")
def logs(job: str, address: str | None, insecure: bool, follow: bool, raw: bool) -> None:
    """Print what a job has printed."""
    from raycluster.jobs.commands import logs as read_logs
    from raycluster.jobs.submissions import shown
    from raycluster.program import find_program

    program = find_program()
    for line in read_logs(job, address, insecure=insecure, follow=follow):
        words = line if raw else shown(program, line)
        if words is not None:
            click.echo(words)


@click.command()
@click.argument("job")
@address_options
def stop(job: str, address: str | None, insecure: bool) -> None:
    """End a job; what it has computed is kept."""
    from raycluster.jobs.commands import stop as end

    ended = end(job, address, insecure=insecure)
    click.echo(f"{ended.id}: {ended.status}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _announce(submitted: Submitted, where: list[str]) -> None:
    job = submitted.job
    if not submitted.found:
        _say(f"submitted {job.id}")
    elif job.status == "succeeded":
        _say(f"{job.id} is done already; --again runs it once more")
    else:
        _say(f"{job.id} is {job.status} already")
    _say(f"  {shlex.join(['raycluster', 'logs', job.id, '--follow', *where])}")


def _say_detached(job_id: str, where: list[str]) -> None:
    _say(
        "\nDetached: the run goes on. To come back and get its results, repeat this command; to look at it:\n"
        f"  {shlex.join(['raycluster', 'logs', job_id, '--follow', *where])}\n"
        f"To end it:\n  {shlex.join(['raycluster', 'stop', job_id, *where])}"
    )


def _say_unknown(where: list[str]) -> None:
    _say(
        "\nWhether a job was submitted by then is not known here. To go on, repeat this command: it finds the job that "
        f"is there. To look:\n  {shlex.join(['raycluster', 'jobs', *where])}"
    )


def _attended(submitted: Submitted, patience: Any, where: list[str]) -> int:
    from raycluster.jobs.attending import fetched

    attended = _ended(submitted, patience, where)
    try:
        fetched(attended, _say)
    except KeyboardInterrupt:
        _say(
            f"\nThe run {attended.job.id} has ended; its results are in {attended.submitted.results}. Repeat this "
            "command to get them"
        )
        raise
    return attended.exit_code


def _ended(submitted: Submitted, patience: Any, where: list[str]) -> Attended:
    from raycluster.jobs.attending import Attended, attend

    if submitted.found and submitted.job.status == "succeeded":  # its log was shown when it ran
        return Attended(submitted, submitted.job, 0)
    latest: list[Submitted | None] = [submitted]
    try:
        return attend(submitted, click.echo, _say, patience, latest.append)
    except KeyboardInterrupt:
        if (last := latest[-1]) is None:
            _say_unknown(where)
        else:
            _say_detached(last.job.id, where)
        raise


def _dry_run(config: Path, wish: Wish) -> int:
    from raycluster.jobs.submissions import job_id
    from raycluster.jobs.submitting import packed
    from raycluster.program import find_program

    parcel = packed(find_program(), config, wish)
    for note in parcel.notes:
        _say(note)
    click.echo(_described(parcel, job_id(parcel, 1)))
    return 0


def _described(parcel: Parcel, job_id: str) -> str:
    size = sum(upload.size for upload in parcel.uploads)
    files = ", ".join(f"{name} ({len(data):,} bytes)" for name, data in parcel.files.items())
    return (
        f"job          {job_id} (or a later attempt)\n"
        f"command      python -m {shlex.join(parcel.command)}\n"
        f"files        {files}\n"
        f"uploads      {len(parcel.uploads):,} files, {size / 1e6:,.1f} MB, those that are there already among them\n"
        f"results      {parcel.results}" + (f", then {parcel.out}" if parcel.out else "") + "\nnothing was sent"
    )


def _as_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.status,
        "exit_code": job.exit_code,
        "message": job.message,
        "started": job.started,
        "ended": job.ended,
        "metadata": dict(job.metadata),
    }


def _print_table(found: list[Job]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from raycluster.jobs.stages import visible

    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "exit code", "submitted", "took"):
        table.add_column(column, no_wrap=column == "job")
    for job in found:
        code = "" if job.exit_code is None else str(job.exit_code)
        # Anybody may submit jobs of any name: no words of a markup, nothing that a terminal would obey.
        table.add_row(Text(visible(job.id)), job.status, code, _time(job.started), _took(job))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return dt.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _took(job: Job) -> str:
    if job.started is None or job.ended is None:
        return ""
    return str(dt.timedelta(seconds=round(job.ended - job.started)))
