"""What several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class _LocalFile(click.Path):
    """A path on this machine; a place elsewhere is refused, not taken for a folder named ``s3:``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).lower().startswith("s3:/"):
            say = f"{value} is on S3; expected a path on this machine (a run's results go to S3 by --set out=s3://...)"
            self.fail(say, param, ctx)
        return super().convert(value, param, ctx)


_LONGEST_S = 10 * 366 * 86400.0
LOCAL_FILE = _LocalFile()


def address_options(command: F) -> F:
    """Add what every command that talks to a cluster takes: `address` and `insecure`."""
    command = click.option(
        "--insecure-http",
        "insecure",
        is_flag=True,
        help="Let the token travel over plain HTTP to another machine, where others can read it.",
    )(command)
    return click.option(
        "--address",
        metavar="URL",
        help="The cluster's dashboard, such as http://127.0.0.1:8265; by default RAY_API_SERVER_ADDRESS, RAY_ADDRESS, "
        "or the head that `raycluster up --local` started.",
    )(command)


def duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Read seconds, or a number with s, m, h or d behind it."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST_S:
        raise click.BadParameter(f"found {text!r}, expected a time such as 90s, 15m, 4h or 1d, at most ten years")
    return seconds
