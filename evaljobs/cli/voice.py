"""How the program speaks on its error stream: in words, or one JSON object a line."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

import evaljobs
from evaljobs.cli.consoles import console
from evaljobs.watching.log import JsonLog

if TYPE_CHECKING:
    from evaljobs.progress import Progress


class Voice:
    """Speaks in words until it is told to speak JSON."""

    def __init__(self) -> None:
        self._log: JsonLog | None = None

    def speak_json(self, run: str) -> None:
        """Write one JSON object a line from now on, of a run of this name; what libraries warn of is among them."""
        from evaljobs.run import redact

        self._log = JsonLog(sys.stderr, run, evaljobs.__version__, redact)
        logging.captureWarnings(capture=True)

    def call(self, run: str) -> None:
        """Take the name of the run, once it is known."""
        if self._log is not None:
            self._log.run = run

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yield where long work says how far it is."""
        if self._log is not None:
            yield self._log
            return
        from evaljobs.progress import shown

        with shown(console()) as progress:
            yield progress

    def remark(self, text: str) -> None:
        """Say what a person should know."""
        self._say(text, text, "warning")

    def error(self, text: str) -> None:
        """Say why the command ends."""
        self._say(f"evaljobs: {text}", text, "error")

    def interrupted(self, text: str) -> None:
        """Say that the command was ended, below whatever stood in the line."""
        self._say(f"\n{text}", text, "error")

    def bug(self) -> None:
        """Say what was raised, by a mistake of ours."""
        stack = traceback.format_exc()
        text = "this is a bug; please report it with the lines above"
        if self._log is None:
            click.echo(stack, err=True, nl=False)
        else:
            self._log.message(stack, "error")
        self.error(text)

    def end(self, code: object) -> None:
        """Say how the command ends: the last line of JSON."""
        if self._log is not None:
            logging.captureWarnings(capture=False)
            self._log.end(code if isinstance(code, int) else int(bool(code)))

    def _say(self, words: str, text: str, level: str) -> None:
        if self._log is None:
            click.echo(words, err=True)
        else:
            self._log.message(text, level)

    @property
    def handler(self) -> logging.Handler:
        """What takes in the warnings of libraries."""
        return _Handler(self)


class _Handler(logging.Handler):
    """Hands the records of libraries on to a voice."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # what a library says must not end a run
            self._voice.remark(self.format(record))


def log_option(command: Any) -> Any:
    """Add what a command takes that can speak JSON."""
    return click.option(
        "--log",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        envvar="EVALJOBS_LOG",
        show_envvar=True,
        help="How to say on standard error how far it is: in words, or one JSON object a line. "
        "EVALJOBS_LOG in the environment says the same.",
    )(command)
