"""Say in a few lines how far a job is, however many models it has."""

from __future__ import annotations

from collections.abc import Sequence

from raycluster.program import Stage

# Models shown by name.
MOST = 20


def summary(stages: Sequence[Stage], most: int = MOST) -> list[str]:
    """Return lines for people: the job's own stages first, then the models that are not done, the first ones by name.

    Parameters
    ----------
    stages
        As `Program.stages` returns them. A model with nothing left to do is not shown: the job's stages count them.
    most
        Models by name.
    """
    lines = [_line(stage.stage, stage) for stage in stages if stage.model is None]
    open_ = [stage for stage in stages if stage.model is not None and stage.done < stage.total]
    lines += [f"{visible(stage.model or '')}: {_line(stage.stage, stage)}" for stage in open_[:most]]
    if len(open_) > most:
        lines.append(f"and {len(open_) - most:,} more models that are not done")
    return lines


def _line(name: str, stage: Stage) -> str:
    """Return so many of so many; of one step there is nothing to count."""
    shown = visible(name)
    return shown if stage.model is not None and stage.total == 1 else f"{shown}: {stage.done:,} of {stage.total:,}"


def visible(text: str) -> str:
    """Return text on one line, with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
