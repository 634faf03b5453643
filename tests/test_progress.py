"""What people see of long work."""

from __future__ import annotations

import io

from rich.console import Console

from evaljobs.progress import Passes, shown


def test_passes_add_up() -> None:
    """A second pass over a stage has more to do; it never shows more done than there is."""
    out = io.StringIO()
    with shown(Console(file=out, width=80), clock=lambda: 0.0, every_s=0.0) as progress:
        passes = Passes(progress)
        passes.start("models", 3)
        for _ in range(3):
            passes.advance("models")
        passes.start("models", 1)
        passes.advance("models")
        passes.say("done")
    lines = [line.split(" (")[0] for line in out.getvalue().splitlines()]
    assert lines == ["models: 1 of 3", "models: 2 of 3", "models: 3 of 3", "models: 4 of 4", "done"]
