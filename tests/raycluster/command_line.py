"""The command line `raycluster` in the process of the tests: what it imports is imported once, not for each command."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Mapping
from subprocess import CompletedProcess

import pytest

from raycluster.cli import main


def run(*words: object, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Carry a command out as its entry point does, with an environment of its own; return what it left."""
    arguments = [str(word) for word in words]
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["raycluster", *arguments])
        if environment is not None:
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as leave:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    code = leave.value.code
    assert isinstance(code, int)
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
