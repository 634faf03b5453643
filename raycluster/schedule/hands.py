"""What is done to the outside: clusters, programs, files, webhooks.

Each act may be done twice, or end in the middle: what it does is found again by names that follow from the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from pathlib import Path

import sqlalchemy as sa

from raycluster.errors import ClusterError, DeniedError, ForgottenError, UnreachableError
from raycluster.jobs.job import Job, Submission
from raycluster.jobs.submissions import ATTEMPT, submission
from raycluster.program import Asked, Parcel, Program
from raycluster.schedule import baselines
from raycluster.schedule.book import Book
from raycluster.schedule.deciding.actions import Write
from raycluster.schedule.deciding.ending import NOTHING, WRONG, clip, died, judged, overdue, put_off, rest_s, unjudged
from raycluster.schedule.document import document, summary
from raycluster.schedule.outside import Outside
from raycluster.schedule.places import report_path, write_json
from raycluster.schedule.records import ORIGIN, Attempt, Message, Run, Schedule, Snapshot, State, due_text, time_text
from raycluster.schedule.webhook import post

_ACTIVE = {State.STARTING, State.RUNNING, State.STOPPING}
_TOLD_AT_MOST_S = 3 * 24 * 3600
DELIVERED = "delivered"


class Hands:
    """Carries out what was decided.

    Parameters
    ----------
    state
        The state file; reports lie beside it.
    """

    def __init__(self, book: Book, outside: Outside, state: Path) -> None:
        self._book, self._outside, self._state = book, outside, state
        # Clusters that did not answer the last time: said once.
        self._silent: set[str | None] = set()

    # Looking

    def observe(self, snapshot: Snapshot, busy: Set[tuple[str, int]]) -> dict[str, Job | None]:
        """Return what clusters say of the jobs of active runs; nothing of those of a cluster that does not answer."""
        found: dict[str, Job | None] = {}
        silent: dict[str | None, str] = {}
        for run in snapshot.runs:
            schedule = snapshot.schedules[run.schedule]
            if run.state not in _ACTIVE or run.key in busy or schedule.address in silent:
                continue
            try:
                found[run.job_id] = self._outside.connect(schedule).find(run.job_id)
            except Exception as error:  # whatever is wrong with one cluster, the others are looked at
                silent[schedule.address] = words(error)
        for address, why in silent.items():
            if address not in self._silent:
                self._outside.say(f"cannot see the jobs of {address or 'the cluster'}; nothing is concluded: {why}")
        self._silent = set(silent)
        return found

    def waits(self, snapshot: Snapshot, observed: Mapping[str, Job | None], now: float) -> dict[str, str]:
        """Return what the work of jobs waits for, of those that have run for too long: it is their reason."""
        found: dict[str, str] = {}
        for run in snapshot.runs:
            job, schedule = observed.get(run.job_id), snapshot.schedules[run.schedule]
            if job is not None and job.status == "running" and not run.cause and overdue(run, schedule, now):
                try:
                    found[run.job_id] = self._outside.waits_for(schedule, run.job_id)
                except Exception as error:  # no reason to let it run on
                    self._outside.say(f"{run.job_id}: it is not known what it waits for: {words(error)}")
        return found

    # Jobs

    def launch(self, run: Run, schedule: Schedule) -> bool:
        """Pack, upload, submit; return whether the run has changed. What is submitted already is found, not doubled."""
        gpus = self._planned_gpus(run, schedule)
        try:
            program = self._outside.find_program(schedule.program)
            parcel = self._pack(program, run, schedule, gpus)
        except UnreachableError as error:
            return self._not_now(run, error)
        except ClusterError as error:
            return self._lost(run, schedule, WRONG, f"it cannot be prepared: {error}")
        # Before it is submitted: whoever finds the job after a death must know where its results will be.
        prepared = dataclasses.replace(run, results=parcel.results, gates=parcel.gates)
        self._book.write(Write(run, prepared))
        if parcel.webhook != schedule.webhook:
            self._book.remember_webhook(schedule.name, parcel.webhook)
        try:
            program.upload(parcel, self._outside.say)
        except UnreachableError as error:
            return self._not_now(prepared, error)
        except ClusterError as error:
            return self._lost(prepared, schedule, NOTHING, f"its files could not be brought to their place: {error}")
        return self._submit(prepared, schedule, parcel)

    def _submit(self, run: Run, schedule: Schedule, parcel: Parcel) -> bool:
        try:
            job = self._outside.connect(schedule).submit(_submission(run, schedule, parcel))
        except (UnreachableError, DeniedError, ForgottenError) as error:
            self._outside.say(f"{run.job_id}: not submitted yet: {error}")
            return False  # the next look shows whether it was taken
        except ClusterError as error:
            return self._lost(run, schedule, NOTHING, f"the cluster did not take its job: {error}")
        if job.metadata.get(ORIGIN) != run.origin:
            return True  # somebody else's; the next look concludes from it
        began = run.started or job.started or self._outside.clock()
        self._book.write(Write(run, dataclasses.replace(run, state=State.RUNNING, started=began, reason="")))
        self._outside.say(f"{run.job_id}: submitted")
        return True

    def _pack(self, program: Program, run: Run, schedule: Schedule, gpus: int) -> Parcel:
        try:
            asked = Asked(schedule.overrides, schedule.shared, schedule.gpus, gpus)
            parcel = program.pack(Path(schedule.config), asked)
            # Each attempt has a folder of its own: what one that was killed has left there is in nobody's way.
            return parcel.placed(run.folder)
        except ClusterError:
            raise
        except Exception as error:  # whatever a program raises is this run's misfortune, not the scheduler's
            raise ClusterError(words(error)) from error

    def _planned_gpus(self, run: Run, schedule: Schedule) -> int:
        """Return the GPUs that a run is planned for: the cluster's, or, where those are away now, those that it had."""
        try:
            found = self._outside.gpus(schedule)
        except Exception:  # whatever is wrong will be heard of when the job is submitted
            return schedule.cluster_gpus
        if found and found != schedule.cluster_gpus:
            self._book.remember_gpus(schedule.name, found)
        elif not found and schedule.cluster_gpus:
            self._outside.say(f"{run.job_id}: the cluster has no GPUs now, and had {schedule.cluster_gpus}: it waits")
        return found or schedule.cluster_gpus

    def _not_now(self, run: Run, error: UnreachableError) -> bool:
        """Let a run rest that needs what does not answer now: an outage is no failure of its own."""
        why, then = f"not prepared yet: {error}", self._outside.clock() + rest_s(1)
        self._book.write(Write(run, dataclasses.replace(run, not_before=then, reason=clip(why))))
        self._outside.say(f"{run.job_id}: {why}")
        return False

    def _lost(self, run: Run, schedule: Schedule, exit_code: int, why: str) -> bool:
        """Write down an attempt that never became a job."""
        now = self._outside.clock()
        attempt = Attempt(*run.key, run.attempt, now, None, now, "not submitted", None, clip(why))
        self._book.write(Write(run, died(run, schedule, exit_code, why, now), attempt))
        self._outside.say(f"{run.job_id}: {why}")
        return True

    def halt(self, run: Run, schedule: Schedule) -> bool:
        """Ask the job of a run to end; asked again until it has."""
        try:
            self._outside.connect(schedule).stop(run.job_id)
        except ClusterError as error:
            self._outside.say(f"{run.job_id}: not stopped yet: {error}")
        return False

    # Results

    def judge(self, run: Run, schedule: Schedule) -> bool:
        """Hold results against the last good ones."""
        try:
            program = self._outside.find_program(schedule.program)
            verdict = program.judge(run.results or "", baselines.held_against(self._state, schedule), run.gates)
            after = judged(run, verdict, schedule.baseline, self._outside.clock())
        except UnreachableError as error:
            after = put_off(run, schedule, str(error), self._outside.clock())
            self._outside.say(f"{run.job_id}: not judged yet: {error}")
        except Exception as error:  # as in packing
            after = unjudged(run, words(error), schedule.baseline, self._outside.clock())
        self._book.write(Write(run, after))
        return True

    def report(self, run: Run, schedule: Schedule) -> bool:
        """Write the report of a run, keep the results of a good one, then write down that it is done."""
        found = document(schedule, run, self._book.attempts(*run.key))
        write_json(report_path(self._state, run), found)
        if run.results is not None and run.results == schedule.baseline:
            self._keep(run, schedule, run.results)
        self._book.write(Write(run, dataclasses.replace(run, reported=True)))
        self._outside.say(summary(run))
        return True

    def _keep(self, run: Run, schedule: Schedule, results: str) -> None:
        try:
            baselines.keep(self._outside.find_program(schedule.program), self._state, schedule.name, results)
        except UnreachableError:
            raise  # later
        except ClusterError as error:
            self._outside.say(f"{run.job_id}: its results are not kept for later runs to be held against: {error}")

    def send(self, message: Message, schedule: Schedule) -> bool:
        """Send a message; what was not taken is sent again later, for three days."""
        run = self._book.run(message.schedule, message.due)
        if run is None:
            return False
        now = self._outside.clock()
        try:
            post(message.webhook, document(schedule, run, self._book.attempts(*run.key)))
        except ClusterError as error:
            tries = message.tries + 1
            given_up = now - (run.ended or now) > _TOLD_AT_MOST_S
            again = dataclasses.replace(message, tries=tries, next_try=now + rest_s(tries))
            self._book.write_message(again, f"given up after {tries} tries: {error}" if given_up else "")
            self._outside.say(f"{run.schedule} {due_text(run.due)}: {error}{'; given up' if given_up else ''}")
        else:
            self._book.write_message(dataclasses.replace(message, tries=message.tries + 1), DELIVERED)
        return False


def words(error: Exception) -> str:
    """Return what an error says to people; of one that nobody expected its class, too. No SQL."""
    if isinstance(error, sa.exc.SQLAlchemyError):
        return f"the state file: {getattr(error, 'orig', None) or type(error).__name__}"
    return str(error) if isinstance(error, ClusterError | OSError) else f"{type(error).__name__}: {error}"


def _submission(run: Run, schedule: Schedule, parcel: Parcel) -> Submission:
    return submission(
        parcel,
        run.job_id,
        {
            ATTEMPT: str(run.attempt),
            ORIGIN: run.origin,
            "raycluster.schedule": schedule.name,
            "raycluster.due": time_text(run.due),
            "raycluster.team": schedule.team,
            "raycluster.gpus": str(schedule.gpus),
        },
    )
