"""The daemon's command."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from raycluster.cli.schedules import open_state, state_option

if TYPE_CHECKING:
    from raycluster.schedule.daemon import Daemon


@click.command()
@click.option("--poll", type=click.FloatRange(0.05), default=5.0, show_default=True, help="Seconds between two looks.")
@click.option("--once", is_flag=True, help="Do what there is to do now, and end.")
@state_option
def scheduler(poll: float, once: bool, state: Path | None) -> None:
    """Carry schedules out, until it is ended. It may be killed at any moment: the next one goes on from there."""
    from raycluster.schedule.daemon import AT_ONCE, Daemon
    from raycluster.schedule.hands import Hands
    from raycluster.schedule.outside import real
    from raycluster.schedule.places import hold

    path, book = open_state(state)
    outside = real(_say)
    with hold(path):
        _say(f"the scheduler works on {path}")
        hands = Hands(book, outside, path)
        if once:
            daemon = Daemon(book, hands, outside)
            while daemon.step():
                pass
            return
        pool = concurrent.futures.ThreadPoolExecutor
        with pool(AT_ONCE) as executor, pool(AT_ONCE) as launcher:
            daemon = Daemon(book, hands, outside, executor, launcher)
            _end_by_signals(daemon)
            daemon.run(poll)
            _say("ending; jobs go on, and the next scheduler takes them over. Once more ends at once")


def _say(text: str) -> None:
    """Print a line with its time; whatever it quotes, no secret of this process stands in it."""
    from raycluster.access.redaction import redact

    moment = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    click.echo(f"{moment} {' '.join(redact(text).split())}", err=True)


def _end_by_signals(daemon: Daemon) -> None:
    """End after what it is at; at the second signal at once, which is as safe."""
    asked: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        daemon.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
