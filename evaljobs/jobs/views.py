"""Sets that jobs make themselves: views of others, so that one line of a job's keys is enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evaljobs.config import Config, Set, Step, View, lineage
from evaljobs.config.views import refuse_late_steps
from evaljobs.errors import UsageError
from evaljobs.jobs.job import Job


def view_of(of: str, *steps: Step) -> tuple[str, Set]:
    """Return a view of a set, and a name for it that says what it is: ``main, rotate 90``.

    Equal views have equal names and different ones different names, so that several jobs may ask for the same.
    """
    return ", ".join([of, *map(_in_words, steps)]), Set(of=of, view=View(steps=steps))


def sets_with_views(config: Config, jobs: Iterable[Job]) -> dict[str, Set]:
    """Return every set by name: those of the configuration, and the views that jobs make of them.

    Raises
    ------
    UsageError
        If a set of the configuration has a view's name and is another one, or nothing can be made of the set that a
        view is of.
    """
    sets = config.named_sets()
    for job in jobs:
        for name, view in job.views().items():
            if view.of not in sets:
                raise UsageError(f"job {job.name!r}: no set {view.of!r}; the sets are {', '.join(sets)}")
            if sets.setdefault(name, view) != view:
                raise UsageError(
                    f"job {job.name!r} makes a view named {name!r}, and the file has another one so named; rename it"
                )
            _refuse_steps_too_late(job, name, sets)
    return sets


def _refuse_steps_too_late(job: Job, name: str, sets: dict[str, Set]) -> None:
    try:
        refuse_late_steps([step for view in lineage(sets, name)[1] for step in view.steps])
    except ValueError as error:
        raise UsageError(f"job {job.name!r} makes the view {name!r} of a view: {error}") from None


def _in_words(step: Step) -> str:
    default = Step(**{step.kind: getattr(step, step.kind)}).point
    at = [] if step.point == default else [f"at {step.point}"]
    return " ".join([step.kind, *map(_text, step.values.values()), *at])


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "x".join(map(_text, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
