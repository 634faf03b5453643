"""What goes wrong with a cluster.

ClusterError
├── UnreachableError    nobody answers now; somebody may later
├── DeniedError         a token is missing or wrong
├── ForgottenError      no such job: it never was, or the head that knew it is gone
└── LostError           a job was submitted, and cannot be brought to its end from here
"""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot be reached or started, lost a part of the work, or has not what is needed."""


class UnreachableError(ClusterError):
    """Nobody answers: the cluster (or the store of its program) has not started, is gone, or the network is down."""


class DeniedError(ClusterError):
    """The cluster asks for a token and does not get the right one."""


class ForgottenError(ClusterError):
    """The cluster knows no job of this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the cluster knows no job {job_id!r}; `raycluster jobs` lists those it knows. A head that was started "
            "again has forgotten the jobs of before"
        )


class LostError(ClusterError):
    """A job was submitted and did not come to its end; what it has computed is kept where it keeps things."""
