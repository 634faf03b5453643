"""The command line: parse, call, print, exit code. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import functools
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

import evaljobs
from evaljobs.errors import EvaljobsError, ExitCode

F = TypeVar("F", bound=Callable[..., Any])


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, functools.partial(_interrupt, received))
    try:
        code = _command()
    except (KeyboardInterrupt, click.Abort):
        received.append(signal.SIGINT)
        code = ExitCode.INTERRUPTED
    except Exception:  # a mistake of ours, not of the user's: 1 would claim that results were written
        code = ExitCode.NO_RESULTS
        # An interrupted import fails with whatever the half-loaded module raises.
        if not received:
            traceback.print_exc()
            click.echo("evaljobs: this is a bug; please report it with the lines above", err=True)
    # Ray's own handler, while it starts, turns a SIGTERM into an exit with that number.
    if received or code == signal.SIGTERM:
        code = _say_interrupted(terminated=signal.SIGTERM in received or code == signal.SIGTERM)
    sys.exit(code)


def _command() -> int | str | None:
    """Run the command line and return its exit code; mistakes of the user are said without a traceback."""
    try:
        code = cli.main(standalone_mode=False)
        return int(code or 0)
    except SystemExit as leave:
        return leave.code
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except EvaljobsError as error:
        click.echo(f"evaljobs: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _interrupt(received: list[int], number: int, _frame: FrameType | None) -> None:
    """End the command; remembered apart, since Ray and half-loaded modules raise other errors in place of this one."""
    received.append(number)
    raise KeyboardInterrupt


def _say_interrupted(*, terminated: bool) -> ExitCode:
    kept = " What was computed is kept in the store: the same command goes on from there."
    word = "Terminated" if terminated else "Interrupted"
    click.echo(f"\n{word}.{kept if sys.argv[1:2] in (['run'], ['demo']) else ''}", err=True)
    return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED


def config_options(command: F) -> F:
    """Add what every command that reads a configuration takes."""
    command = click.argument("config", type=click.Path(path_type=Path))(command)
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as cluster.workers=4."
    )(command)


def run_options(command: F) -> F:
    """Add what every command that carries a configuration out takes."""
    command = click.option("--out", type=click.Path(path_type=Path), help="Output folder.")(command)
    command = click.option("--address", help="A running Ray cluster; by default a Ray of its own on this machine.")(
        command
    )
    return click.option("--overwrite", is_flag=True, help="Replace another configuration's results in the folder.")(
        command
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(evaljobs.__version__, package_name="evaljobs", message="evaljobs %(version)s")
def cli() -> None:
    """Find out which of hundreds of embedding models is best at the operating point you deploy.

    Every pair of images is compared, and every count is exact.
    """


@cli.command()
@config_options
@run_options
def run(config: Path, overrides: tuple[str, ...], out: Path | None, address: str | None, overwrite: bool) -> ExitCode:
    """Evaluate the models of CONFIG on its images; what is computed already is not computed again."""
    from evaljobs.run import Options

    return _run(config, overrides, Options(out, address, overwrite))


@cli.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what a run of CONFIG would do, and start nothing."""
    from evaljobs.config import load
    from evaljobs.engine.forecast import forecast
    from evaljobs.progress import shown

    with shown(_console()) as progress:
        found = forecast(load(config, overrides), config, progress)
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder.")
def demo(out: Path) -> ExitCode:
    """Write real images, real models and a configuration into a folder, and run it."""
    from evaljobs.demo.writing import write_demo
    from evaljobs.run import Options

    config = write_demo(out)
    code = _run(config, (), Options())
    click.echo(f"\nRun it again, nothing is computed twice:\n  {shlex.join([*_program(), 'run', str(config)])}")
    return code


def _program() -> list[str]:
    """Return how this program was called, for a command that can be copied."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [sys.executable, "-m", "evaljobs"]
    found = shutil.which(called.name)
    return [called.name if found and called.exists() and Path(found).samefile(called) else str(called)]


@cli.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--fpr", multiple=True, metavar="RATE", help="Target false-positive rate, such as 1e-4; repeatable.")
@click.option("--embedding", default="embedding", show_default=True, help="Column of the vectors.")
@click.option("--label", default="label", show_default=True, help="Column of the labels.")
@click.option("--id", "id_", default="id", show_default=True, help="Column of the sample ids, if there is one.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score(
    table: Path, fpr: tuple[str, ...], embedding: str, label: str, id_: str, threads: int | None, as_json: bool
) -> None:
    """Verify vectors you already have: TABLE is Arrow, Parquet or .npz with an embedding and a label in every row."""
    from evaljobs.config import DEFAULT_TARGETS
    from evaljobs.pairs.verification import verify
    from evaljobs.progress import pair_progress
    from evaljobs.report.leaderboard import render_verification
    from evaljobs.vectors import Columns, read_vectors

    vectors = read_vectors(table, Columns(embedding, label, id_))
    with pair_progress(_console()) as progress:
        found = verify(
            vectors.embeddings,
            vectors.labels,
            fpr or DEFAULT_TARGETS,
            ids=vectors.ids,
            threads=threads,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({**found.to_json(), "notes": list(found.notes)}, indent=1, allow_nan=False))
    else:
        _stdout().print(render_verification(found.to_json(), found.notes))


@cli.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from evaljobs.jobs import config_schema

    click.echo(json.dumps(config_schema(), indent=1))


def _run(path: Path, overrides: tuple[str, ...], options: Any) -> ExitCode:
    from evaljobs.config import load
    from evaljobs.progress import shown
    from evaljobs.report.leaderboard import render_terminal
    from evaljobs.report.remarks import remarks
    from evaljobs.run import run as carry_out

    config = load(path, overrides)
    with shown(_console()) as progress:
        finished = carry_out(config, path, progress, options)
    _stdout().print(render_terminal(finished.results))
    click.echo(f"Results, tables and figures: {finished.out}")
    for line in remarks(finished.results):
        click.echo(line, err=True)
    return finished.exit_code


def _console() -> Any:
    """Progress and remarks go to the error stream: standard output is for results."""
    from evaljobs.progress import PatientConsole

    return PatientConsole(stderr=True)


def _stdout() -> Any:
    from rich.console import Console

    return Console()
