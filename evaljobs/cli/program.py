"""The program: its commands, its exit codes, and what an interruption says."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

import evaljobs
from evaljobs.cli import explaining, exporting, models, reporting, running, stores, tables, tracking, watching
from evaljobs.cli.voice import Voice
from evaljobs.errors import EvaljobsError, ExitCode


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(evaljobs.__version__, package_name="evaljobs", message="evaljobs %(version)s")
def cli() -> None:
    """Find out which of hundreds of embedding models is best at the operating point you deploy.

    Every pair of images is compared, and every count is exact.
    """


for command in (
    running.run,
    running.plan,
    running.demo,
    running.schema,
    watching.dashboard,
    tables.score,
    tables.compare,
    reporting.report,
    tracking.track,
    stores.store,
    models.inspect,
    exporting.export,
    explaining.explain,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    voice = Voice()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[voice.handler])
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, functools.partial(_interrupt, received))
    try:
        code = _command(voice)
    except (KeyboardInterrupt, click.Abort):
        received.append(signal.SIGINT)
        code = ExitCode.INTERRUPTED
    except Exception:  # a mistake of ours, not of the user's: 1 would claim that results were written
        code = ExitCode.NO_RESULTS
        # An interrupted import fails with whatever the half-loaded module raises.
        if not received:
            voice.bug()
    # Ray's own handler, while it starts, turns a SIGTERM into an exit with that number.
    if received or code == signal.SIGTERM:
        code = _say_interrupted(voice, terminated=signal.SIGTERM in received or code == signal.SIGTERM)
    voice.end(code)
    sys.exit(code)


def _command(voice: Voice) -> int | str | None:
    """Run the command line and return its exit code; mistakes of the user are said without a traceback."""
    try:
        code = cli.main(standalone_mode=False, obj=voice)
        return int(code or 0)
    except SystemExit as leave:
        return leave.code
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except EvaljobsError as error:
        voice.error(str(error))
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _interrupt(received: list[int], number: int, _frame: FrameType | None) -> None:
    """End the command; remembered apart, since Ray and half-loaded modules raise other errors in place of this one."""
    received.append(number)
    raise KeyboardInterrupt


def _say_interrupted(voice: Voice, *, terminated: bool) -> ExitCode:
    kept = " What was computed is kept in the store: the same command goes on from there."
    word = "Terminated" if terminated else "Interrupted"
    voice.interrupted(f"{word}.{kept if sys.argv[1:2] in (['run'], ['demo']) else ''}")
    return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
