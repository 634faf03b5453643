"""Where commands print: results to standard output, all else to the error stream."""

from __future__ import annotations

from typing import Any


def console() -> Any:
    """Progress and remarks go to the error stream: standard output is for results."""
    from evaljobs.progress import PatientConsole

    return PatientConsole(stderr=True)


def stdout() -> Any:
    """Return the console for results."""
    from rich.console import Console

    return Console()
