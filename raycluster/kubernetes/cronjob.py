"""A CronJob that creates a RayJob whenever one is due, and what its pods must be allowed.

Not KubeRay's own RayCronJob: that is alpha, switched off by default, and knows no rule against overlapping runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from raycluster.kubernetes.asked import Asked, Schedule
from raycluster.kubernetes.creating import JOB_NAME, NAMESPACE, SCHEDULE_LABEL

FOLDER = "/etc/raycluster/rayjob"
FILE = "rayjob.json"
# A run that could not be created for so long is left out: the next one comes.
_LATE_S = 3600
# Whoever creates it may die in between and is started again; the name keeps it from creating two.
_TRIES = 6
_KEPT = 3
_SMALL = {"cpu": "100m", "memory": "256Mi"}


def scheduled(
    rayjob: Mapping[str, Any], asked: Asked, schedule: Schedule, metadata: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the CronJob with its template, service account and rights.

    Parameters
    ----------
    rayjob
        What is created; its name is given when it is.
    metadata
        Of the CronJob.
    """
    name = str(metadata["name"])
    own = f"{name}-submitter"
    rest = {key: value for key, value in metadata.items() if key != "name"}
    labels = {**rayjob["metadata"].get("labels", {}), SCHEDULE_LABEL: name}
    template = {
        **rayjob,
        "metadata": {**{k: v for k, v in rayjob["metadata"].items() if k != "name"}, "labels": labels},
    }
    subject = {"kind": "ServiceAccount", "name": own, "namespace": asked.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": own}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**rest, "name": f"{name}-rayjob"},
            "data": {FILE: json.dumps(template, indent=1)},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**rest, "name": own}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {**rest, "name": own},
            # To look whether one runs or is there already, and to create one; nothing else.
            "rules": [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "list", "create"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {**rest, "name": own},
            "subjects": [subject],
            "roleRef": role,
        },
        _cronjob(asked, schedule, metadata, own),
    ]


def _cronjob(asked: Asked, schedule: Schedule, metadata: Mapping[str, Any], account: str) -> dict[str, Any]:
    job = {"backoffLimit": _TRIES, "template": {"spec": _pod(asked, schedule, str(metadata["name"]), account)}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": dict(metadata),
        "spec": {
            "schedule": schedule.cron,
            "timeZone": schedule.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATE_S,
            "successfulJobsHistoryLimit": _KEPT,
            "failedJobsHistoryLimit": _KEPT,
            "jobTemplate": {"spec": job},
        },
    }


def _pod(asked: Asked, schedule: Schedule, name: str, account: str) -> dict[str, Any]:
    words = ["python3", "-m", "raycluster.kubernetes.creating", f"{FOLDER}/{FILE}"]
    field = "metadata.labels['batch.kubernetes.io/job-name']"
    return {
        "serviceAccountName": account,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "submitter",
                "image": asked.image,
                "command": words + ([] if schedule.overlap else ["--no-overlap"]),
                "env": [
                    {"name": JOB_NAME, "valueFrom": {"fieldRef": {"fieldPath": field}}},
                    {"name": NAMESPACE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                ],
                "resources": {"requests": _SMALL, "limits": {"memory": _SMALL["memory"]}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumeMounts": [{"name": "rayjob", "mountPath": FOLDER}],
            }
        ],
        "volumes": [{"name": "rayjob", "configMap": {"name": f"{name}-rayjob"}}],
    }
