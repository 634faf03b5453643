"""The program: its commands, its exit codes, and what an interruption says."""

from __future__ import annotations

import enum
import importlib
import importlib.metadata
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import click

from raycluster.errors import ClusterError, LostError

# Each command and where it is: imported when it is called, or when its help is.
COMMANDS = {
    "up": "raycluster.cli.clusters:up",
    "down": "raycluster.cli.clusters:down",
    "status": "raycluster.cli.clusters:status",
    "sensors": "raycluster.cli.sensors:sensors",
    "submit": "raycluster.cli.jobs:submit",
    "jobs": "raycluster.cli.jobs:jobs",
    "logs": "raycluster.cli.jobs:logs",
    "stop": "raycluster.cli.jobs:stop",
    "manifest": "raycluster.cli.manifests:manifest",
    "schedule": "raycluster.cli.schedules:schedule",
    "scheduler": "raycluster.cli.scheduler:scheduler",
}


class ExitCode(enum.IntEnum):
    """What the command line returns; a command that waits for a job returns the job's."""

    OK = 0
    FAILED = 2
    LOST = 4
    INTERRUPTED = 130
    TERMINATED = 143


class _Lazy(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evaljobs", message="raycluster %(version)s")
def cli() -> None:
    """Start clusters, submit runs to them, and schedule runs that come again."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = _command()
    except (KeyboardInterrupt, click.Abort) as interruption:
        terminated = bool(interruption.args) and interruption.args[0] == signal.SIGTERM
        click.echo("Terminated." if terminated else "Interrupted.", err=True)
        code = ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
    except Exception:  # a mistake of ours, not of the user's
        traceback.print_exc()
        click.echo("raycluster: this is a bug; please report it with the lines above", err=True)
        code = ExitCode.LOST
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
        return ExitCode.FAILED
    except ClusterError as error:
        click.echo(f"raycluster: {error}", err=True)
        return ExitCode.LOST if isinstance(error, LostError) else ExitCode.FAILED
    except BrokenPipeError:
        # The reader went away (`| head`): what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
