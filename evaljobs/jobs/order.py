"""Which job waits for which, and how many of its models it takes: refused before the start where that cannot be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from evaljobs.config import JobConfig
from evaljobs.errors import UsageError
from evaljobs.jobs.job import After, Job


def connect(jobs: Sequence[Job], entries: Sequence[JobConfig]) -> None:
    """Let each job know what it comes after, as its entry says or its kind does by itself.

    Parameters
    ----------
    jobs, entries
        In the same order.

    Raises
    ------
    UsageError
        If there is no such job, it ranks no models, or jobs wait for each other in a circle.
    """
    by_name = {job.name: job for job in jobs}
    for job, entry in zip(jobs, entries, strict=True):
        job.after = _asked(job, entry, by_name) if entry.after is not None else _by_itself(job, entry, jobs)
        if job.uses_before:
            _refuse_other(job, by_name)
    _refuse_circles(by_name)


def in_order(jobs: Sequence[Job]) -> Iterator[Job]:
    """Yield each job behind the one that it waits for, else as they stand."""
    left, done = list(jobs), set[str]()
    while left:
        job = next(job for job in left if job.after is None or job.after.job in done)
        left.remove(job)
        done.add(job.name)
        yield job


def _asked(job: Job, entry: JobConfig, by_name: Mapping[str, Job]) -> After:
    other = by_name.get(str(entry.after))
    if other is None:
        near = difflib.get_close_matches(str(entry.after), by_name, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the jobs are {', '.join(map(repr, by_name))}"
        raise UsageError(f"job {job.name!r}: `after` names no job {entry.after!r}; {hint}")
    most = _most(job, entry)
    if most is not None and not other.ranks_models:
        raise UsageError(
            f"job {job.name!r} asks for the best models of {other.name!r}, and a {other.kind} ranks none; "
            "write `models: all`, or name another job with `after`"
        )
    return After(other.name, most)


def _by_itself(job: Job, entry: JobConfig, jobs: Sequence[Job]) -> After | None:
    """Return what a job comes after whose entry does not say: the first of the kind that it follows, on its own set."""
    if entry.models == "all":
        return None
    others = [other for other in jobs if other is not job and other.kind == job.follows]
    same_set = [other for other in others if set(other.sets().values()) & set(job.sets().values())]
    if others:
        return After((same_set or others)[0].name, _most(job, entry))
    if entry.models is not None:
        raise UsageError(
            f"job {job.name!r}: `models: {entry.models}` does not say which job they are best in; add `after: NAME`"
        )
    return None


def _most(job: Job, entry: JobConfig) -> int | None:
    if isinstance(entry.models, int):
        return entry.models
    best = entry.models == "best" or (entry.models is None and job.follows is not None)
    return 1 if best else None


def _refuse_other(job: Job, by_name: Mapping[str, Job]) -> None:
    """Refuse that a job reads what it cannot read: it is to be of the kind that it follows, and on its own set."""
    other = None if job.after is None else by_name[job.after.job]
    kind = job.follows or "other"
    if other is None:
        raise UsageError(f"job {job.name!r} reads what another job found; add one of kind {kind}, or name it: `after`")
    if other.kind != kind:
        raise UsageError(
            f"job {job.name!r} reads what a job of kind {kind} found, and comes after {other.name!r} of kind "
            f"{other.kind}; name one of kind {kind} with `after`"
        )
    if other.sets() != job.sets():
        found, own = (" and ".join(one.sets().values()) for one in (other, job))
        raise UsageError(
            f"job {job.name!r} reads what {other.name!r} found on the set {found}, and is itself on {own}; "
            "expected the same set: change one of them"
        )


def _refuse_circles(by_name: Mapping[str, Job]) -> None:
    for job in by_name.values():
        path = [job.name]
        while (after := by_name[path[-1]].after) is not None:
            path.append(after.job)
            if after.job == job.name:
                circle = " after ".join(map(repr, path))
                raise UsageError(f"jobs wait for each other: {circle}; leave one `after` out")
            if len(path) > len(by_name):  # into a circle that this one is not part of: told of another
                break
