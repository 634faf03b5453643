"""Jobs through Ray's Jobs API, over HTTP.

By hand and not through `ray.job_submission`: that client prefers an address of the environment to the one it is given,
waits for ever where nobody answers, follows redirects with the token, and takes two seconds to import.
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from raycluster.access.servers import Server, find_server
from raycluster.access.web import Answer, ask, expect
from raycluster.errors import ClusterError, ForgottenError, UnreachableError
from raycluster.jobs.following import follow
from raycluster.jobs.job import Job, Status, Submission
from raycluster.jobs.packages import Package, pack

_JOBS = "/api/jobs/"
# A working folder of hundreds of megabytes, over a slow line.
_PUT_S = 600.0
# A head that has just started looks for its own agent first.
_POST_S = 60.0
_POSTS = 4
_NO_AGENT = b"No available agent"
_AGAIN_S = 2.0
_SUBMISSION = "SUBMISSION"
# Of an answer that is not as Ray's are.
_SAID = 200
_STATUS: dict[str, Status] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "stopped",
}


def connect_jobs(address: str | None = None, *, insecure: bool = False) -> RayJobServer:
    """Return the job server that is meant; nothing is sent yet.

    Parameters
    ----------
    address
        ``http(s)://host:8265``. None: that of the environment (RAY_API_SERVER_ADDRESS, RAY_ADDRESS), else that of the
        head which `raycluster up --local` started.
    insecure
        Whether the user has said that the token may travel over plain HTTP to another machine.

    Raises
    ------
    ClusterError
        If there is none, or the address must not be used.
    """
    return RayJobServer(find_server(address, insecure=insecure))


class RayJobServer:
    """The job server of a head: a `JobServer`.

    Parameters
    ----------
    server
        Its address and token.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def submit(self, submission: Submission) -> Job:
        """Submit, or return the job that has this id already; see `JobServer`."""
        if (found := self.find(submission.id)) is not None:
            return found
        runtime_env: dict[str, Any] = {"env_vars": dict(submission.env_vars)}
        if submission.files or submission.tree is not None:
            runtime_env["working_dir"] = self._sent(pack(submission.files, submission.tree))
        body = {
            "entrypoint": submission.command,
            "submission_id": submission.id,
            "runtime_env": runtime_env,
            "metadata": dict(submission.metadata),
        }
        answer = self._posted(body)
        found = self.find(submission.id)
        # Ray has no word of its own for an id that is taken: whoever lost the race finds the other's job.
        if found is None:
            expect(self.server, answer)
        return found or Job(submission.id, "pending", metadata=submission.metadata)

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where the cluster knows none of this id."""
        answer = ask(self.server, "GET", _path(job_id))
        return None if _unknown(answer, job_id) else _job(expect(self.server, answer))

    def jobs(self) -> list[Job]:
        """Return all jobs that were submitted, the latest first."""
        found = expect(self.server, ask(self.server, "GET", _JOBS))
        if not isinstance(found, list):
            raise ClusterError(f"there is no job server at {self.server.url}; expected the head's dashboard")
        several = [_job(one) for one in found if not isinstance(one, dict) or one.get("type") == _SUBMISSION]
        return sorted(several, key=lambda job: (job.started or 0.0, job.id), reverse=True)

    def stop(self, job_id: str) -> None:
        """Ask a job to end; see `JobServer`."""
        answer = ask(self.server, "POST", f"{_path(job_id)}/stop")
        if _unknown(answer, job_id):
            raise ForgottenError(job_id)
        expect(self.server, answer)

    def log(self, job_id: str, tail: int | None = None) -> str:
        """Return what a job has printed: all, or the last lines."""
        answer = ask(self.server, "GET", f"{_path(job_id)}/logs")
        if _unknown(answer, job_id):
            raise ForgottenError(job_id)
        text = str(_dict(expect(self.server, answer)).get("logs") or "")
        return text if tail is None else "".join(text.splitlines(keepends=True)[-tail:] if tail else [])

    def follow(self, job_id: str) -> Iterator[str]:
        """Yield each line that a job prints once, from the first, until it ends; the connection may break meanwhile."""
        return follow(self, job_id)

    def _posted(self, body: dict[str, Any]) -> Answer:
        """Return the answer to a submission; a head that has just started is asked again, as it says itself."""
        for left in reversed(range(_POSTS)):
            try:
                answer = ask(self.server, "POST", _JOBS, body=body, timeout_s=_POST_S)
            except UnreachableError:
                # A busy head starts its job server anew, and drops what it was asked. Asked again with the same id, it
                # has one job, whether it took the first or not.
                if not left:
                    raise
                time.sleep(_AGAIN_S)
            else:
                if _NO_AGENT not in answer.body:
                    break
        return answer

    def _sent(self, package: Package) -> str:
        """Return the uri of a package that the cluster has; what is there is not sent again."""
        path = f"/api/packages/gcs/{package.name}"
        if ask(self.server, "GET", path).status != HTTPStatus.OK:
            expect(self.server, ask(self.server, "PUT", path, body=package.data, timeout_s=_PUT_S))
        return f"gcs://{package.name}"


def _path(job_id: str) -> str:
    return _JOBS + urllib.parse.quote(job_id, safe="")


def _unknown(answer: Answer, job_id: str) -> bool:
    """Whether a server says that it knows no such job, and not that it knows no jobs at all."""
    return answer.status == HTTPStatus.NOT_FOUND and job_id.encode() in answer.body


def _dict(answer: Any) -> dict[str, Any]:
    """Return an answer that is as Ray's are.

    Raises
    ------
    ClusterError
        If it is of another form.
    """
    if not isinstance(answer, dict):
        raise ClusterError(f"the job server answers {str(answer)[:_SAID]!r}; expected a job as Ray describes it")
    return answer


def _job(answer: Any) -> Job:
    found = _dict(answer)
    return Job(
        id=str(found.get("submission_id") or found.get("job_id")),
        status=_STATUS.get(str(found.get("status")), "pending"),
        message=str(found.get("message") or ""),
        exit_code=_exit_code(_number(found.get("driver_exit_code"))),
        started=_seconds(_number(found.get("start_time"))),
        ended=_seconds(_number(found.get("end_time"))),
        metadata=_dict(found.get("metadata") or {}),
    )


def _number(found: Any) -> int | None:
    """Return a number of an answer; None where there is none."""
    if found is None:
        return None
    if not isinstance(found, int | float):
        raise ClusterError(f"the job server answers {str(found)[:_SAID]!r}; expected a number")
    return int(found)


def _exit_code(code: int | None) -> int | None:
    """Return a code as a shell has it; Python's is -n where signal n ended a process."""
    return 128 - code if code is not None and code < 0 else code


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
