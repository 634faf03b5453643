"""What comes next, given what is kept, the time, and what the clusters say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from raycluster.jobs.job import ENDED, Job
from raycluster.jobs.submissions import RESULTS
from raycluster.schedule.deciding.actions import Action, Enqueue, Halt, Judge, Launch, Report, Send, Write
from raycluster.schedule.deciding.admission import admit
from raycluster.schedule.deciding.catching_up import enqueue, rewind, superseded
from raycluster.schedule.deciding.ending import NOTHING, TERMINATED, clip, end, late, overdue, settle
from raycluster.schedule.records import ORIGIN, Attempt, Cause, Outcome, Run, Schedule, Snapshot, State

# A job that the cluster does not know for so long is gone: its head was started anew, and has forgotten it.
FORGOTTEN_S = 30


def plan(
    snapshot: Snapshot,
    observed: Mapping[str, Job | None],
    now: float,
    *,
    waits: Mapping[str, str] | None = None,
    rewound: bool = False,
) -> list[Action]:
    """Decide what comes next.

    Parameters
    ----------
    observed
        By id, what clusters say of the jobs of runs that are starting, running or stopping: None where one answers
        that it knows no such job. Of a job that is not here nothing is known, and nothing is concluded.
    now
        Unix seconds.
    waits
        By id of a job that runs, what its work waits for.
    rewound
        Whether the clock may have gone back since the due times were looked at.

    Returns
    -------
    list of Action
        To be carried out in order. Every one of them is safe to be carried out twice, or not at all.
    """
    actions: list[Action] = [*_enqueued(snapshot, now, rewound=rewound)]
    runs: list[Run] = []
    for run in snapshot.runs:
        found = _next(run, snapshot, observed, waits or {}, now)
        actions += [] if found is None else [found]
        runs.append(found.after if isinstance(found, Write) else run)
    by_schedule = {name: [run for run in runs if run.schedule == name] for name in snapshot.schedules}
    gone = [r for name, schedule in snapshot.schedules.items() for r in superseded(schedule, by_schedule[name])]
    actions += [_superseded(run, snapshot, by_schedule[run.schedule], now) for run in gone]
    after = dataclasses.replace(snapshot, runs=tuple(run for run in runs if run not in gone))
    actions += _admitted(after, now)
    return actions + [Send(message) for message in snapshot.messages if message.next_try <= now]


def _enqueued(snapshot: Snapshot, now: float, *, rewound: bool) -> Iterator[Enqueue]:
    unfinished = {run.schedule for run in snapshot.runs if run.state is not State.ENDED}
    for schedule in snapshot.schedules.values():
        found = enqueue(schedule, schedule.name in unfinished, now)
        if found is None and rewound:
            found = rewind(schedule, now)
        if found is not None:
            yield found


def _admitted(snapshot: Snapshot, now: float) -> Iterator[Write]:
    decided = admit(snapshot, now)
    for run in decided.preempted:
        yield Write(run, dataclasses.replace(run, state=State.STOPPING, cause=Cause.PREEMPTED))
    for run in decided.admitted:
        begun = dataclasses.replace(run, state=State.STARTING, attempt=run.attempt + 1, not_before=0, reason="")
        yield Write(run, begun, Attempt(*run.key, begun.attempt, now))


def _superseded(run: Run, snapshot: Snapshot, others: Sequence[Run], now: float) -> Write:
    """Skip a run. One that waited for no run before it was starved: that is told, as an end is."""
    skipped = end(run, Outcome.SKIPPED, None, "the next one was due before its turn came", now)
    if any(other.attempt for other in others if other.state is not State.ENDED):
        return Write(run, skipped)
    why = f"{skipped.reason}; it waited for {_waited_for(run, snapshot, now)}"
    return Write(run, dataclasses.replace(skipped, reason=why, reported=False))


def _waited_for(run: Run, snapshot: Snapshot, now: float) -> str:
    # With it, its successor is gone: of several runs that wait, the later ones wait for the first.
    alone = [other for other in snapshot.runs if other.schedule != run.schedule or other.key == run.key]
    return admit(dataclasses.replace(snapshot, runs=tuple(alone)), now).waiting.get(run.key, "its turn")


def _next(
    run: Run, snapshot: Snapshot, observed: Mapping[str, Job | None], waits: Mapping[str, str], now: float
) -> Action | None:
    """Return what is to be done about one run, whatever the others do."""
    schedule = snapshot.schedules[run.schedule]
    match run.state:
        case State.WAITING:
            return _waiting(run, snapshot, now)
        case State.STARTING | State.RUNNING | State.STOPPING:
            if run.job_id not in observed:
                return None
            return _active(run, schedule, observed[run.job_id], waits.get(run.job_id, ""), now)
        case State.JUDGING:
            return Judge(run) if run.not_before <= now else None
        case State.ENDED:
            return Report(run)


def _waiting(run: Run, snapshot: Snapshot, now: float) -> Write | None:
    schedule = snapshot.schedules[run.schedule]
    if schedule.removed is not None and (run.attempt == 0 or schedule.stop_removed):
        return Write(run, end(run, Outcome.STOPPED, TERMINATED, "its schedule was removed", now))
    if overdue(run, schedule, now):
        what = f"and still waited for {admit(snapshot, now).waiting.get(run.key, 'its turn')}"
        why = late(schedule, f"{what}; its last attempt: {run.reason}" if run.reason else what)
        return Write(run, end(run, Outcome.DEADLINE, NOTHING, why, now))
    return None


def _active(run: Run, schedule: Schedule, job: Job | None, waits_for: str, now: float) -> Action | None:
    if job is None:
        return _unknown(run, schedule, now)
    if job.metadata.get(ORIGIN) != run.origin:
        return settle(run, schedule, None, now, f"the cluster has a job {job.id} of somebody else's")
    # Of several submissions of one attempt, whose answers were lost, the first counts: these are its results.
    run = dataclasses.replace(run, results=job.metadata.get(RESULTS, run.results))
    if job.status in ENDED:
        return settle(run, schedule, job, now)
    return Halt(run) if run.state is State.STOPPING else _going_on(run, schedule, job, waits_for, now)


def _going_on(run: Run, schedule: Schedule, job: Job, waits_for: str, now: float) -> Write | None:
    if cause := _why_stop(run, schedule, now):
        why = f"its work waited: {clip(waits_for)}" if waits_for else ""
        why = f"its job was still pending: {clip(job.message)}" if job.status == "pending" else why
        return Write(run, dataclasses.replace(run, state=State.STOPPING, cause=cause, missing_since=None, reason=why))
    if run.state is State.STARTING or run.missing_since is not None:
        # Submitted, though the answer was lost; or known again.
        began = run.started or job.started or now
        return Write(run, dataclasses.replace(run, state=State.RUNNING, started=began, missing_since=None))
    return None


def _unknown(run: Run, schedule: Schedule, now: float) -> Action | None:
    """Decide on a run whose job the cluster does not know: not yet, or not any more."""
    cause = run.cause or _why_stop(run, schedule, now)
    if run.state is State.STARTING and cause is None:
        return Launch(run) if run.not_before <= now else None
    if run.state is State.STARTING or run.state is State.STOPPING:
        return settle(dataclasses.replace(run, cause=cause), schedule, None, now)
    if run.missing_since is None or run.missing_since > now:
        return Write(run, dataclasses.replace(run, missing_since=now))
    return settle(run, schedule, None, now) if now - run.missing_since >= FORGOTTEN_S else None


def _why_stop(run: Run, schedule: Schedule, now: float) -> Cause | None:
    if schedule.removed is not None and schedule.stop_removed:
        return Cause.REMOVED
    return Cause.DEADLINE if overdue(run, schedule, now) else None
