"""Stay with a job until it ends: show what it prints, try again what died, give up what never begins.

Ray runs a job once, and remembers it as long as its head lives. So whoever waits for it submits it again where its
driver was killed, or where a head that was started anew knows nothing of it; it goes on from what its program has kept.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from raycluster.errors import ClusterError, ForgottenError, LostError, UnreachableError
from raycluster.jobs.commands import stop_and_wait
from raycluster.jobs.following import PATIENCE_S, Follower
from raycluster.jobs.job import Job
from raycluster.jobs.submissions import died, never_began, shown
from raycluster.jobs.submitting import Say, Submitted, send

if TYPE_CHECKING:
    from raycluster.cluster.state import Waiting

RETRIES = 3
START_DEADLINE_S = 900.0
STOPPED_CODE = 143
# Of a program's command: all done, or results although something failed.
_WITH_RESULTS = {0, 1}
_AGAIN_S = 2.0
# Of a cluster's message about a job that failed.
_SAID = 2000


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long, and how often.

    Attributes
    ----------
    retries
        So often a job is submitted again whose driver died.
    start_s
        A job that has not begun after so many seconds, and waits for what no machine of the cluster has, is stopped.
    silence_s
        So long a cluster is waited for that does not answer.
    """

    retries: int = RETRIES
    start_s: float = START_DEADLINE_S
    silence_s: float = PATIENCE_S


@dataclasses.dataclass(frozen=True)
class Attended:
    """A job that has ended, of the last attempt, and the exit code of its command."""

    submitted: Submitted
    job: Job
    exit_code: int


def attend(
    submitted: Submitted,
    show: Say,
    say: Say,
    patience: Patience | None = None,
    sent: Callable[[Submitted | None], None] = lambda _: None,
) -> Attended:
    """Wait for a job, and for those that are submitted in its place.

    Parameters
    ----------
    show
        Told each line of the log, as the program wants it shown.
    say
        Told what happens beside it.
    sent
        Told each job that is submitted in its place; None before, while it is not known whether it was.

    Raises
    ------
    LostError
        If it never begins, is killed time after time, or the cluster refuses or does not answer any more.
    """
    patience = patience or Patience()
    left = patience.retries
    while True:
        try:
            job = _Watch(submitted, patience, say).followed(show)
            reason = _death(job)
        except ForgottenError:
            job, reason = None, "the head of the cluster was started again, and knows nothing of it"
        if reason is None and job is not None:
            return Attended(submitted, job, _code(job))
        if left == 0:
            raise LostError(
                f"{submitted.job.id}: {reason}; after {patience.retries} more attempts it is given up. {_KEPT}"
            )
        left -= 1
        sent(None)
        submitted = _sent_again(submitted, reason or "", say, patience)
        sent(submitted)


def fetched(attended: Attended, say: Say) -> None:
    """Bring the results of a job here, where it left some and they are wanted here.

    Raises
    ------
    LostError
        If they cannot be brought here; they stay where they are.
    """
    submitted = attended.submitted
    if attended.exit_code not in _WITH_RESULTS:
        return
    if submitted.errand.parcel.out is None:
        say(f"results: {submitted.results}")
        return
    try:
        submitted.errand.program.fetch(submitted.results, submitted.errand.parcel.out, say)
    except ClusterError as error:
        raise LostError(f"{error}. The results are in {submitted.results}") from error


_KEPT = "What was computed is kept: submit it again"


def _death(job: Job) -> str | None:
    """Return why a job is to be tried again; None where it came to its end.

    Raises
    ------
    LostError
        If it failed before its command began: it would again.
    """
    if never_began(job):
        raise LostError(f"{job.id} did not begin: {job.message[:_SAID]}")
    if not died(job):
        return None
    if job.exit_code is None:
        return f"its driver went away: {' '.join(job.message.split())[:200]}"
    return f"its driver was killed (exit code {job.exit_code})"


def _code(job: Job) -> int:
    if job.status == "stopped":
        return STOPPED_CODE
    return 0 if job.exit_code is None else job.exit_code


def _sent_again(submitted: Submitted, reason: str, say: Say, patience: Patience) -> Submitted:
    """Submit the next attempt, as soon as the cluster answers."""
    number = submitted.number + 1
    say(f"{submitted.job.id}: {reason}; submitted again as attempt {number}")
    silence = _Silence(patience.silence_s, say)
    while True:
        try:
            return send(submitted.errand, number, say)
        except UnreachableError as error:
            if not silence.waited():
                raise LostError(f"{error}. {_KEPT}") from error
        except ClusterError as error:
            raise LostError(f"{error}. {_KEPT}") from error


class _Silence:
    """For how long a cluster has not answered, counted from the first time that it did not."""

    def __init__(self, patience_s: float, say: Say) -> None:
        self._patience_s = patience_s
        self._say = say
        self._since: float | None = None

    def broken(self) -> None:
        """Note that it has answered."""
        self._since = None

    def waited(self) -> bool:
        """Wait a little; return False where it has been silent for too long."""
        if self._since is None:
            self._since = time.monotonic()
            self._say("the cluster does not answer; waiting for it")
        if time.monotonic() - self._since >= self._patience_s:
            return False
        time.sleep(_AGAIN_S)
        return True


class _Watch:
    """One attempt, until it ends."""

    def __init__(self, submitted: Submitted, patience: Patience, say: Say) -> None:
        self._submitted = submitted
        self._server = submitted.errand.server
        self._id = submitted.job.id
        self._patience = patience
        self._say = say
        self._silence = _Silence(patience.silence_s, say)
        self._log: list[str] = []  # until it has begun
        self._begun = False
        self._moved = time.monotonic()

    def followed(self, show: Say) -> Job:
        """Show its log, and return it when it has ended."""
        follower = Follower(self._server, self._id)
        while True:
            try:
                self._show(follower, show)
                job = self._server.find(self._id)
            except (ForgottenError, LostError):
                raise
            except ClusterError as error:
                if not isinstance(error, UnreachableError) or not self._silence.waited():
                    raise LostError(
                        f"{error}. The job {self._id} may still run: `raycluster logs {self._id} --follow`"
                    ) from error
            else:
                if job is None:
                    raise ForgottenError(self._id)
                return job

    def _show(self, follower: Follower, show: Say) -> None:
        for line in follower.lines():
            self._silence.broken()
            if line is not None:
                self._moved = time.monotonic()
                if not self._begun:
                    self._log.append(line)
                words = shown(self._submitted.errand.program, line)
                if words is not None:
                    show(words)
            elif not self._begun and time.monotonic() - self._moved > self._patience.start_s:
                self._look_whether_it_waits()

    def _look_whether_it_waits(self) -> None:
        """Give it up where it has printed nothing for long, has done nothing yet, and the cluster lacks what it needs.

        What only waits for others to end goes on waiting; that is said.

        Raises
        ------
        LostError
            With what is missing.
        """
        from raycluster.cluster.looking import waiting_for

        self._moved = time.monotonic()
        stages = self._submitted.errand.program.stages("\n".join(self._log))
        if any(stage.done for stage in stages if stage.model is not None):
            self._begun = True
            self._log.clear()
            return
        job = self._server.find(self._id)
        waiting = waiting_for(self._server.server, self._id)
        reason = _in_words(one for one in waiting if one.missing)
        if job is not None and job.status == "pending" and not waiting:
            reason = f"its environment is not ready: {job.message}"
        if reason:
            stop_and_wait(self._server, self._id)
            raise LostError(f"{self._id} has not begun within {self._patience.start_s:.0f} s and was stopped: {reason}")
        if waiting:
            self._say(f"{self._id}: {_in_words(waiting)}")


def _in_words(waiting: Iterable[Waiting]) -> str:
    return "; ".join(f"{one.demand.what} ({one.demand.count}) waits: {one.reason}" for one in waiting)
