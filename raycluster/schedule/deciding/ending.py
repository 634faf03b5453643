"""What follows from the end of a job, and from judging its results."""

from __future__ import annotations

import dataclasses

from raycluster.jobs.job import Job
from raycluster.program import Verdict
from raycluster.schedule.deciding.actions import Write
from raycluster.schedule.records import Attempt, Cause, Outcome, Run, Schedule, State

# Exit codes of a program (raycluster.program), and those of a run that has none of its own.
DONE, PARTLY, WRONG, GATE, NOTHING, TERMINATED = 0, 1, 2, 3, 4, 143
# From here on they are those of signals.
_SIGNALS = 128
_JUDGED_AT_MOST = 5
_FIRST_REST_S, _LONGEST_REST_S = 60, 3600
_LONGEST = 2000


def rest_s(times: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return float(min(_LONGEST_REST_S, _FIRST_REST_S * 2 ** min(times - 1, 10)))


def end(run: Run, outcome: Outcome, exit_code: int | None, reason: str, now: float) -> Run:
    """Return a run that has ended."""
    return dataclasses.replace(
        run,
        state=State.ENDED,
        outcome=outcome,
        exit_code=exit_code,
        reason=clip(reason),
        ended=now,
        reported=outcome is Outcome.SKIPPED,  # the history has it; there is nothing to report
    )


def clip(text: str) -> str:
    """Return text of bearable length: its beginning, and its end, where logs say what went wrong."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 5]} [...] {text[-_LONGEST * 4 // 5 :]}"


def settle(run: Run, schedule: Schedule, job: Job | None, now: float, lost: str = "") -> Write:
    """Return what becomes of a run whose job has ended.

    Parameters
    ----------
    job
        None where the cluster has none of the run.
    lost
        Why it has none, where it has not just forgotten it.
    """
    attempt = Attempt(*run.key, run.attempt, 0, None, now, "not submitted" if lost else "forgotten", None, lost)
    if job is not None:
        why = f"stopped: {run.cause}" if run.cause and job.status != "succeeded" else clip(job.message)
        attempt = Attempt(*run.key, run.attempt, 0, job.started, job.ended or now, job.status, job.exit_code, why)
    began = (job.started if job else None) or now
    run = dataclasses.replace(run, started=run.started or began, missing_since=None)
    return Write(run, _after(run, schedule, job, now, lost), attempt)


def _after(run: Run, schedule: Schedule, job: Job | None, now: float, lost: str) -> Run:
    code = _own_code(job)
    if code == DONE:
        return _finished(run, DONE, "", now)
    if code == PARTLY:
        return _finished(run, PARTLY, "results were written, and something failed: see its report", now)
    if run.cause is not None:
        return _stopped(run, schedule, run.cause, now)
    if job is not None and job.status == "stopped":
        return end(run, Outcome.STOPPED, TERMINATED, "somebody has stopped its job", now)
    if job is not None and code is not None:
        return end(run, Outcome.FAILED, code, job.message, now)
    return died(run, schedule, NOTHING, lost or _how_it_died(job), now)


def _stopped(run: Run, schedule: Schedule, cause: Cause, now: float) -> Run:
    """Return what becomes of a run that was stopped by us, however its job took it."""
    match cause:
        case Cause.PREEMPTED:
            preemptions = run.preemptions + 1
            return dataclasses.replace(run, state=State.WAITING, preemptions=preemptions, cause=None, not_before=0)
        case Cause.DEADLINE:
            why = f"and was stopped; {run.reason}" if run.reason else "and was stopped"
            return end(run, Outcome.DEADLINE, NOTHING, late(schedule, why), now)
        case Cause.REMOVED:
            return end(run, Outcome.STOPPED, TERMINATED, "its schedule was removed", now)


def _own_code(job: Job | None) -> int | None:
    """Return the exit code with which a driver ended by itself; None where it was ended, or is not known."""
    if job is None or job.status == "stopped":
        return None
    if job.status == "succeeded":
        return DONE
    return job.exit_code if job.exit_code is not None and 0 < job.exit_code < _SIGNALS else None


def _how_it_died(job: Job | None) -> str:
    if job is None:
        return "the cluster has forgotten its job; its head was started anew"
    code = "" if job.exit_code is None else f" (exit code {job.exit_code})"
    return f"its driver died{code}: {job.message}"


def _finished(run: Run, code: int, reason: str, now: float) -> Run:
    if run.gates:
        return dataclasses.replace(
            run, state=State.JUDGING, exit_code=code, reason=reason, cause=None, not_before=0, judged=0
        )
    return end(run, Outcome.PASSED if code == DONE else Outcome.FAILED, code, reason, now)


def died(run: Run, schedule: Schedule, exit_code: int, why: str, now: float) -> Run:
    """Return a run whose attempt died: it rests and is tried again, unless that was once too often."""
    failures = run.failures + 1
    if failures > schedule.retries:
        tried = f"given up after {failures} attempt(s): " if failures > 1 else ""
        return end(dataclasses.replace(run, failures=failures), Outcome.FAILED, exit_code, tried + why, now)
    return dataclasses.replace(
        run,
        state=State.WAITING,
        failures=failures,
        cause=None,
        missing_since=None,
        reason=clip(why),
        not_before=now + rest_s(failures),
    )


def late(schedule: Schedule, what: str) -> str:
    """Say that a run has not ended in time."""
    return f"it had not ended {schedule.deadline_s} s after it was queued, {what}"


def overdue(run: Run, schedule: Schedule, now: float) -> bool:
    """Return whether a run should have ended by now."""
    return schedule.deadline_s is not None and now >= run.queued + schedule.deadline_s


def judged(run: Run, verdict: Verdict, baseline: str | None, now: float) -> Run:
    """Return a run whose results were judged."""
    run = dataclasses.replace(run, verdict=verdict.text, baseline=baseline)
    if verdict.passed is False:
        return end(run, Outcome.GATE_FAILED, GATE, run.reason, now)
    if run.exit_code == PARTLY:
        return end(run, Outcome.FAILED, PARTLY, run.reason, now)
    return end(run, Outcome.PASSED if verdict.passed else Outcome.INCONCLUSIVE, DONE, run.reason, now)


def put_off(run: Run, schedule: Schedule, why: str, now: float) -> Run:
    """Return a run whose results do not answer now: it is judged when they do, or never, where its deadline is over."""
    if overdue(run, schedule, now):
        return judged(run, Verdict(None, clip(late(schedule, f"for it could not be judged: {why}"))), None, now)
    return dataclasses.replace(run, verdict=clip(f"not judged yet: {why}"), not_before=now + rest_s(1))


def unjudged(run: Run, why: str, baseline: str | None, now: float) -> Run:
    """Return a run whose results could not be judged: once more later, for some time; then it is inconclusive."""
    times = run.judged + 1
    if times >= _JUDGED_AT_MOST:
        return judged(run, Verdict(None, clip(f"could not be judged: {why}")), baseline, now)
    return dataclasses.replace(run, judged=times, not_before=now + rest_s(times))
