"""Look at the jobs of a cluster, and end them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from raycluster.errors import ClusterError, ForgottenError
from raycluster.jobs.job import ENDED, Job, JobServer
from raycluster.jobs.server import connect_jobs
from raycluster.jobs.submissions import STOP_WAIT_S

_EVERY_S = 0.5


def list_jobs(address: str | None = None, *, insecure: bool = False) -> list[Job]:
    """Return all jobs that a cluster remembers, the latest first.

    Parameters
    ----------
    address, insecure
        As `connect_jobs` has them.

    Raises
    ------
    ClusterError
        If the cluster does not answer, or refuses.
    """
    return connect_jobs(address, insecure=insecure).jobs()


def logs(job_id: str, address: str | None = None, *, insecure: bool = False, follow: bool = False) -> Iterator[str]:
    """Yield the lines that a job has printed; with `follow` also those that it prints until it ends.

    Raises
    ------
    ClusterError
        As `list_jobs` does, and if there is no such job.
    """
    server = connect_jobs(address, insecure=insecure)
    if follow:
        yield from server.follow(job_id)
    else:
        yield from server.log(job_id).splitlines()


def stop(job_id: str, address: str | None = None, *, insecure: bool = False) -> Job:
    """End a job and return how it ended; one that has ended stays as it is.

    Raises
    ------
    ClusterError
        As `list_jobs` does, if there is no such job, or if it does not end.
    """
    return stop_and_wait(connect_jobs(address, insecure=insecure), job_id)


def stop_and_wait(server: JobServer, job_id: str) -> Job:
    """Ask a job to end, and wait until it has.

    Raises
    ------
    ClusterError
        If it has not some time after the cluster kills it.
    """
    server.stop(job_id)
    deadline = time.monotonic() + 2 * STOP_WAIT_S
    while True:
        job = server.find(job_id)
        if job is None:
            raise ForgottenError(job_id)
        if job.status in ENDED:
            return job
        if time.monotonic() > deadline:
            raise ClusterError(f"the job {job_id} was asked to end, and still runs after {2 * STOP_WAIT_S} s")
        time.sleep(_EVERY_S)
