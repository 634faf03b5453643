"""A RayJob: a Ray cluster of its own for one run, gone when the run has ended."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Mapping
from typing import Any

from raycluster.jobs.submissions import command_line
from raycluster.kubernetes.asked import Asked
from raycluster.kubernetes.files import FILES, FOLDER, START, volume
from raycluster.program import Parcel

# Where the cluster's name stands in the command until the shell puts it there.
_RUN = "RAYCLUSTER-RUN"
# How long the cluster stays after the run, for its logs.
_TTL_S = 300
_SPILL = "/spill"
_SPILLING = {"object-spilling-directory": _SPILL}
_HEAD = {"cpu": "2", "memory": "8Gi"}
_GPU = "nvidia.com/gpu"
_NO_REPORTS = ("RAY_USAGE_STATS_ENABLED", "0")
# KubeRay's names for the first containers, by which it finds them.
_HEAD_NAME, _WORKER_NAME = "ray-head", "ray-worker"


def rayjob(parcel: Parcel, asked: Asked, files: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a RayJob.

    Parameters
    ----------
    files
        Name of the ConfigMap with the parcel's files.
    metadata
        Of the RayJob; Kueue's labels are put to it.
    """
    spec: dict[str, Any] = {
        # One word and a path: KubeRay puts it into a shell script of another pod, where anything more would be carried
        # out there.
        "entrypoint": f"sh {FOLDER}/{START}",
        "submissionMode": "K8sJobMode",
        "backoffLimit": asked.retries,
        # What Kueue asks of whatever it suspends, and what keeps a machine from costing after the run.
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": _TTL_S,
        "rayClusterSpec": _cluster(parcel, asked, files),
    }
    if asked.deadline_s is not None:
        spec["activeDeadlineSeconds"] = asked.deadline_s
    labels = dict(metadata.get("labels", {}))
    if asked.queue is not None:
        # Kueue lets it go when there is quota; without Kueue it waits, and takes nobody's GPUs.
        spec["suspend"] = True
        labels["kueue.x-k8s.io/queue-name"] = asked.queue
        if asked.priority_class is not None:
            labels["kueue.x-k8s.io/priority-class"] = asked.priority_class
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {**metadata, "labels": labels}, "spec": spec}


def start_script(parcel: Parcel) -> str:
    """Return the script that starts the run, in a copy of its files that may be written to.

    Its results lie in a folder with the name of its Ray cluster: KubeRay makes a new one for every attempt, and no
    attempt waits for one that was killed.
    """
    placed = parcel.placed(_RUN)
    where = shlex.quote(f"{parcel.results}/") + '"$RAY_CLUSTER_NAME"'
    command = command_line(placed.command).replace(shlex.quote(placed.results), where)
    return f'cd "$(mktemp -d)" && cp -rL {FOLDER}/{FILES}/. . || exit 1\n{command}\n'


def _cluster(parcel: Parcel, asked: Asked, files: str) -> dict[str, Any]:
    workers = asked.workers
    return {
        # KubeRay turns token authentication on for this version and later ones; it is that of the image.
        "rayVersion": importlib.metadata.version("ray"),
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            # No work on the head. KubeRay opens its dashboard to the pods' network, for whoever has the token.
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0", **_SPILLING},
            "template": _pod(asked, _container(_HEAD_NAME, parcel, asked, _HEAD), [volume(parcel, files)]),
        },
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                # A fixed number: Kueue admits no cluster that grows by itself.
                **dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), workers.pods),
                "rayStartParams": dict(_SPILLING),
                "template": _pod(asked, _container(_WORKER_NAME, parcel, asked, _worker_resources(asked)), []),
            }
        ],
    }


def _worker_resources(asked: Asked) -> dict[str, str]:
    workers = asked.workers
    each = workers.gpus // workers.pods
    return {"cpu": workers.cpus, "memory": workers.memory} | ({_GPU: str(each)} if each else {})


def _container(name: str, parcel: Parcel, asked: Asked, resources: Mapping[str, str]) -> dict[str, Any]:
    mounts = [{"name": "spill", "mountPath": _SPILL}]
    if name == _HEAD_NAME:
        mounts.append({"name": "run", "mountPath": FOLDER})
    found: dict[str, Any] = {
        "name": name,
        "image": asked.image,
        "env": [{"name": key, "value": value} for key, value in (*parcel.environment.items(), _NO_REPORTS)],
        # Equal, so that no pod is put out for memory that it was promised.
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    }
    if asked.secret is not None:
        found["envFrom"] = [{"secretRef": {"name": asked.secret}}]
    return found


def _pod(asked: Asked, container: dict[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    spill = {"name": "spill", "emptyDir": {"sizeLimit": asked.workers.spill}}
    spec: dict[str, Any] = {
        # Runs have no business with Kubernetes; roles of a cloud come by other tokens.
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [spill, *volumes],
    }
    if asked.service_account is not None:
        spec["serviceAccountName"] = asked.service_account
    if _GPU in container["resources"]["limits"]:
        spec["tolerations"] = [{"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return {"spec": spec}
