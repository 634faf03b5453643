"""Create a RayJob from inside Kubernetes: ``python -m raycluster.kubernetes.creating rayjob.json [--no-overlap]``.

The RayJob has the name of the Kubernetes Job that carries this out, which follows from the minute that it is due. So
whoever dies in between and is started again finds it there, and creates no second one.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from raycluster.errors import ClusterError

JOB_NAME, NAMESPACE = "RAYCLUSTER_JOB_NAME", "RAYCLUSTER_NAMESPACE"
SCHEDULE_LABEL = "raycluster/schedule"
# Where Kubernetes puts what a pod may show.
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# What KubeRay says of a RayJob that goes no further.
ENDED = ("Complete", "Failed", "ValidationFailed")
_TIMEOUT_S = 30.0
_SAID = 300


class Api(NamedTuple):
    """The server of Kubernetes, as a pod sees it."""

    url: str
    token: str
    context: ssl.SSLContext | None

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer.

        Raises
        ------
        ClusterError
            If nobody answers, or the answer is an error other than that something is missing or there already.
        """
        request = urllib.request.Request(  # noqa: S310 - the address is Kubernetes' own
            self.url + path,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self.context) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            if error.code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return error.code, None
            raise ClusterError(f"Kubernetes answers {method} {path} with HTTP {error.code}: {said[:_SAID]}") from None
        except OSError as error:
            raise ClusterError(f"Kubernetes does not answer at {self.url}: {error}") from None


def create(api: Api, namespace: str, template: Mapping[str, Any], name: str, *, overlap: bool) -> str:
    """Create a RayJob unless it is there already, or another of its schedule has not ended; return what was done.

    Parameters
    ----------
    template
        The RayJob, without a name.
    name
        Of the RayJob.
    overlap
        Whether it may start while another runs.

    Raises
    ------
    ClusterError
        If Kubernetes does not answer, or refuses.
    """
    path = f"/apis/ray.io/v1/namespaces/{urllib.parse.quote(namespace, safe='')}/rayjobs"
    status, _ = api.ask("GET", f"{path}/{urllib.parse.quote(name, safe='')}")
    if status != HTTPStatus.NOT_FOUND:
        return f"{name} is there already"
    schedule = template["metadata"].get("labels", {}).get(SCHEDULE_LABEL, "")
    if not overlap and (running := _running(api, path, schedule)):
        return f"{name} is left out: {', '.join(running)} has not ended"
    status, _ = api.ask("POST", path, {**template, "metadata": {**template["metadata"], "name": name}})
    return f"{name} is there already" if status == HTTPStatus.CONFLICT else f"created {name}"


def _running(api: Api, path: str, schedule: str) -> list[str]:
    selector = urllib.parse.urlencode({"labelSelector": f"{SCHEDULE_LABEL}={schedule}"})
    status, found = api.ask("GET", f"{path}?{selector}")
    if status == HTTPStatus.NOT_FOUND:
        raise ClusterError("Kubernetes knows no RayJobs: is KubeRay installed?")
    states = {one["metadata"]["name"]: (one.get("status") or {}).get("jobDeploymentStatus") for one in found["items"]}
    return sorted(name for name, state in states.items() if state not in ENDED)


def _inside() -> Api:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    shown = f"[{host}]" if ":" in host else host
    context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    return Api(f"https://{shown}:{port}", (_ACCOUNT / "token").read_text(encoding="ascii").strip(), context)


def main(arguments: list[str]) -> int:
    """Carry it out; return the exit code."""
    template = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    overlap = "--no-overlap" not in arguments[1:]
    try:
        print(create(_inside(), os.environ[NAMESPACE], template, os.environ[JOB_NAME], overlap=overlap))
    except ClusterError as error:
        print(f"raycluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
