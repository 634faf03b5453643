"""The outside as the daemon meets it; and as it is: clusters over HTTP, installed programs, this machine's clock."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from raycluster.access.servers import Server, find_server
from raycluster.cluster.looking import gpus, waiting_for
from raycluster.jobs.job import JobServer
from raycluster.jobs.server import RayJobServer
from raycluster.program import Program, find_program
from raycluster.schedule.records import Schedule


@dataclasses.dataclass(frozen=True)
class Outside:
    """The outside.

    Attributes
    ----------
    connect
        Returns the job server of a schedule's cluster, or raises ClusterError.
    find_program
        Returns an installed program by its name, or raises ClusterError.
    waits_for
        Says what the work of a schedule's job waits for, by the job's id: empty where it does not, or nobody knows.
    gpus
        Returns how many GPUs a schedule's cluster has at this moment, or raises ClusterError.
    clock
        Returns Unix seconds.
    say
        Takes a line for people.
    """

    connect: Callable[[Schedule], JobServer]
    find_program: Callable[[str], Program]
    waits_for: Callable[[Schedule, str], str]
    gpus: Callable[[Schedule], int]
    clock: Callable[[], float]
    say: Callable[[str], None]


def real(say: Callable[[str], None], clock: Callable[[], float] = time.time) -> Outside:
    """Return the outside as it is."""
    return Outside(
        connect=lambda schedule: RayJobServer(_server(schedule)),
        find_program=find_program,
        waits_for=_waits_for,
        gpus=lambda schedule: gpus(_server(schedule)),
        clock=clock,
        say=say,
    )


def _server(schedule: Schedule) -> Server:
    return find_server(schedule.address, insecure=schedule.insecure)


def _waits_for(schedule: Schedule, job_id: str) -> str:
    found = waiting_for(_server(schedule), job_id)
    return "; ".join(f"{one.demand.calls} {one.demand.what}: {one.reason}" for one in found)
