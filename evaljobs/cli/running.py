"""The commands that read a configuration: run, plan, schema; and demo, which writes one."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from evaljobs.cli.consoles import console, stdout
from evaljobs.cli.paths import LOCAL_FILE
from evaljobs.cli.voice import Voice, log_option
from evaljobs.errors import ExitCode

F = TypeVar("F", bound=Callable[..., Any])


def config_options(command: F) -> F:
    """Add what every command that reads a configuration takes."""
    command = click.argument("config", type=LOCAL_FILE)(command)
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as cluster.workers=4."
    )(command)


def run_options(command: F) -> F:
    """Add what every command that carries a configuration out takes."""
    command = click.option("--out", metavar="FOLDER", help="Output folder, or s3://bucket/prefix.")(command)
    command = click.option("--address", help="A running Ray cluster; by default a Ray of its own on this machine.")(
        command
    )
    return click.option("--overwrite", is_flag=True, help="Replace another configuration's results in the folder.")(
        command
    )


@click.command()
@config_options
@run_options
@log_option
@click.pass_obj
def run(
    voice: Voice,
    config: Path,
    overrides: tuple[str, ...],
    out: str | None,
    address: str | None,
    overwrite: bool,
    log: str,
) -> ExitCode:
    """Evaluate the models of CONFIG on its images; what is computed already is not computed again."""
    from evaljobs.run import Options

    options = Options(out, address, overwrite, shlex.join([*_program(), *sys.argv[1:]]))
    if log == "text":
        return _run(voice, config, overrides, options)
    voice.speak_json(config.stem)
    try:
        return _run(voice, config, overrides, options)
    except KeyboardInterrupt:  # click would print an empty line, which is no JSON
        sys.exit(ExitCode.INTERRUPTED)


@click.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what a run of CONFIG would do, and start nothing."""
    from evaljobs.config import load
    from evaljobs.engine.forecast import forecast
    from evaljobs.progress import shown

    wanted = load(config, overrides)

    def memory(device: str) -> int | None:
        # It loads what a run needs, and is asked where a batch once did not fit.
        from evaljobs.run.memory import memory_of

        return None if wanted.cluster.address else memory_of(None, wanted.cluster.gpu.actors)(device)

    with shown(console()) as progress:
        found = forecast(wanted, config, progress, memory)
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else found.as_text())


@click.command()
@click.option("--out", type=LOCAL_FILE, default=Path("demo"), show_default=True, help="Folder.")
@click.pass_obj
def demo(voice: Voice, out: Path) -> ExitCode:
    """Write real images, real models and a configuration into a folder, and run it."""
    from evaljobs.demo.writing import write_demo
    from evaljobs.run import Options

    config = write_demo(out)
    again = shlex.join([*_program(), "run", str(config)])
    code = _run(voice, config, (), Options(command=again))
    click.echo(f"\nRun it again, nothing is computed twice:\n  {again}")
    return code


def _program() -> list[str]:
    """Return how this program was called, for a command that can be copied."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [sys.executable, "-m", "evaljobs"]
    found = shutil.which(called.name)
    return [called.name if found and called.exists() and Path(found).samefile(called) else str(called)]


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from evaljobs.jobs import config_schema

    click.echo(json.dumps(config_schema(), indent=1))


def _run(voice: Voice, path: Path, overrides: tuple[str, ...], options: Any) -> ExitCode:
    from evaljobs.config import load
    from evaljobs.report.text.remarks import remarks
    from evaljobs.report.text.terminal import render_results
    from evaljobs.run import run as carry_out

    config = load(path, overrides)
    voice.call(config.name or path.stem)
    with voice.progress() as progress:
        finished = carry_out(config, path, progress, options)
    stdout().print(render_results(finished.results))
    click.echo(f"Results, tables and figures: {finished.out} (open report.html)")
    for line in remarks(finished.results):
        voice.remark(line)
    return finished.exit_code
