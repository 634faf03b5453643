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
@click.option("--gallery", type=click.Path(path_type=Path), help="Compare the rows of TABLE with those of this table.")
@click.option(
    "--pairs", type=click.Path(path_type=Path), help="Compare the pairs this CSV or Parquet file lists by id."
)
@click.option("--groups", type=int, default=20, show_default=True, help="Groups for the 95% intervals; 0 for none.")
@click.option("--hardest", type=int, default=0, show_default=True, help="How many hardest pairs of each kind to list.")
@click.option("--self-check", type=int, default=0, show_default=True, help="Check on so many rows with scikit-learn.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score(embedding: str, label: str, id_: str, fpr: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Verify vectors you already have: TABLE is Arrow, Parquet or .npz with an embedding and a label in every row.

    All its pairs are compared; or its rows with those of a gallery, except of equal ids; or the pairs that a file lists
    in columns id_a, id_b and, in place of the labels, genuine.
    """
    from evaljobs.config import DEFAULT_TARGETS
    from evaljobs.progress import pair_progress
    from evaljobs.report.scored import render_scored
    from evaljobs.scoring import Asked, score_tables
    from evaljobs.vectors import Columns

    wanted = Asked(columns=Columns(embedding, label, id_), fpr=fpr or DEFAULT_TARGETS, **asked)
    with pair_progress(_console()) as progress:
        found = score_tables(wanted, progress).to_json()
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        _stdout().print(render_scored(found))


def _targets(_context: click.Context, _option: click.Parameter, rates: tuple[str, ...]) -> tuple[float, ...]:
    from evaljobs.config import parse_target

    try:
        return tuple(dict.fromkeys(map(parse_target, rates)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@cli.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--job", help="Name of the job; by default all that both runs have.")
@click.option("--set", "set_", help="Name of the set; by default all that both runs have.")
@click.option("--fpr", multiple=True, callback=_targets, metavar="RATE", help="Target of both runs; repeatable.")
@click.option("--model", multiple=True, help="A model of RUN_A; by default those that both runs have.")
@click.option("--with", "with_", multiple=True, help="The model of RUN_B for each --model; by default of its name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write too: .csv, .parquet or .md.")
def compare(
    run_a: Path,
    run_b: Path,
    job: str | None,
    set_: str | None,
    fpr: tuple[float, ...],
    model: tuple[str, ...],
    with_: tuple[str, ...],
    as_json: bool,
    out: Path | None,
) -> None:
    """Say which models of RUN_B differ from those of RUN_A on the same images, with paired 95% intervals.

    A run is its folder or its results.json; both may be the same one.
    """
    from evaljobs.report.comparison import compare as compare_runs
    from evaljobs.report.comparison_page import render_comparison, to_document, write_comparison
    from evaljobs.report.matching import Wanted, named_pairs
    from evaljobs.report.reading import read_results, same_run

    wanted = Wanted(job, set_, fpr, named_pairs(model, with_), same_run(run_a, run_b))
    found = compare_runs(read_results(run_a), read_results(run_b), wanted)
    if out:
        write_comparison(out, found)
    if as_json:
        click.echo(json.dumps(to_document(found), indent=1, allow_nan=False))
    else:
        _stdout().print(render_comparison(found))


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
