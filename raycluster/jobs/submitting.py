"""Submit a configuration: checked here, all that it needs brought to its place, and only then a job."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from raycluster.access.remembered import local_head
from raycluster.cluster.looking import gpus
from raycluster.errors import ClusterError, LostError, UnreachableError
from raycluster.jobs.job import ENDED, Job
from raycluster.jobs.packages import tree_digest
from raycluster.jobs.server import RayJobServer, connect_jobs
from raycluster.jobs.submissions import ATTEMPT, RESULTS, job_id, latest, submission
from raycluster.program import Asked, Parcel, Program, find_program

Say = Callable[[str], None]
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN")


@dataclasses.dataclass(frozen=True)
class Wish:
    """How a configuration is to be submitted.

    Attributes
    ----------
    asked
        How it is packed; for how many GPUs is asked of the cluster.
    tree
        A working tree whose code runs in place of what the cluster has installed.
    again
        Whether it is run once more, although it has run already.
    """

    asked: Asked = dataclasses.field(default_factory=Asked)
    tree: Path | None = None
    again: bool = False


@dataclasses.dataclass(frozen=True)
class Errand:
    """What is to be run, and where: attempt after attempt."""

    server: RayJobServer
    program: Program
    parcel: Parcel
    tree: Path | None


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A job of an errand: submitted now, or found on the cluster.

    Attributes
    ----------
    number
        Of the attempt, from 1.
    job
        As it was found, or submitted.
    found
        Whether it was there already.
    """

    errand: Errand
    number: int
    job: Job
    found: bool

    @property
    def results(self) -> str:
        """Where the job leaves its results."""
        return self.job.metadata.get(RESULTS) or self.errand.parcel.results


def submit(
    config: Path | str,
    wish: Wish | None = None,
    *,
    address: str | None = None,
    insecure: bool = False,
    say: Say = lambda _: None,
) -> Submitted:
    """Submit a configuration, or return the job of it that runs or is done.

    Parameters
    ----------
    config
        Its file.
    address, insecure
        As `connect_jobs` has them.
    say
        Told what happens, a sentence at a time.

    Raises
    ------
    ClusterError
        If the configuration is wrong, the cluster does not answer, or something cannot be brought there. No job was
        submitted then.
    LostError
        If the cluster did not answer when the job was submitted: it may be there.
    """
    wish = wish or Wish()
    server = connect_jobs(address, insecure=insecure)
    server.jobs()  # who has no access knows it before anything is read
    program = find_program()
    parcel = packed(program, Path(config), wish, _gpus(server))
    program.check(parcel)
    errand = Errand(server, program, parcel, wish.tree)
    for note in (*parcel.notes, *_credentials_note(server, parcel)):
        say(note)
    last = latest(parcel, server.jobs())
    if last.job is not None:
        found = Submitted(errand, last.number, last.job, found=True)
        if not _once_more(found, again=wish.again):
            return found
    try:
        return send(errand, last.number + 1, say)
    except UnreachableError as error:
        raise LostError(f"{error}. Whether the job was submitted is not known: repeat this to go on with it") from error


def packed(program: Program, config: Path, wish: Wish, gpus: int = 0) -> Parcel:
    """Return the parcel of a configuration; code that travels with it is a part of what decides what it computes."""
    parcel = program.pack(config, dataclasses.replace(wish.asked, gpus=gpus))
    if wish.tree is None:
        return parcel
    digest = hashlib.sha256(f"{parcel.digest} {tree_digest(wish.tree)}".encode()).hexdigest()
    return dataclasses.replace(parcel, digest=digest)


def _gpus(server: RayJobServer) -> int:
    """Return how many GPUs a cluster has: every attempt is planned for these. One that does not say so has none."""
    try:
        return gpus(server.server)
    except ClusterError:
        return 0


def send(errand: Errand, number: int, say: Say) -> Submitted:
    """Submit an attempt; results that are to be brought here lie in a folder of that attempt's own."""
    name = job_id(errand.parcel, number)
    parcel = errand.parcel if errand.parcel.out is None else errand.parcel.placed(name)
    errand.program.upload(parcel, say)
    job = errand.server.submit(submission(parcel, name, {ATTEMPT: str(number)}, tree=errand.tree))
    return Submitted(errand, number, job, found=False)


def _once_more(last: Submitted, *, again: bool) -> bool:
    """Whether another attempt follows: the last did not succeed, left its results elsewhere, or the user says so.

    Raises
    ------
    ClusterError
        If it should, while the last one runs.
    """
    # Those that are brought here are brought from wherever they lie.
    parcel = last.errand.parcel
    elsewhere = parcel.out is None and last.results != parcel.results
    job = last.job
    if job.status in ENDED:
        return again or elsewhere or job.status != "succeeded"
    not_ended = f"attempt {last.number} of it, {job.id}, has not ended"
    if again:
        raise ClusterError(
            f"{not_ended}; stop it first (`raycluster stop {job.id}`), or leave --again out to wait for it"
        )
    if elsewhere:
        raise ClusterError(
            f"{not_ended}, and leaves its results in {last.results}, not in {parcel.results}; wait for it to end, or "
            f"stop it first (`raycluster stop {job.id}`)"
        )
    return False


def _credentials_note(server: RayJobServer, parcel: Parcel) -> list[str]:
    """Say that credentials are not sent; a head on this machine has inherited them."""
    held = [name for name in _CREDENTIALS if os.environ.get(name)]
    if not held or not parcel.results.startswith("s3://"):
        return []
    head = local_head()
    if head is not None and head.dashboard == server.server.url:
        return []
    return [f"{', '.join(held)} of this shell: not sent. The cluster's machines need a role, or variables of their own"]
