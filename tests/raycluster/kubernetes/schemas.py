"""What Kubernetes takes: of its own kinds by its own schemas, of KubeRay's RayJob by what is written down here.

The RayJob's is a part of KubeRay's definition, version 1.6: the keys that are written, with their types and whether
they must be there; unknown keys are refused, which Kubernetes itself would drop without a word. Pods in it are checked
as pods.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import kubernetes_validate

# The oldest with what is used here, and the newest known.
VERSIONS = ("1.30", "1.36")


def _object(required: tuple[str, ...] = (), **properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_INTEGER = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_POD = {"type": "object", "required": ["spec"]}
_GROUP = _object(
    ("groupName", "minReplicas", "maxReplicas", "template"),
    groupName=_TEXT,
    replicas=_INTEGER,
    minReplicas=_INTEGER,
    maxReplicas=_POSITIVE,
    rayStartParams=_TEXTS,
    template=_POD,
)
_CLUSTER = _object(
    ("headGroupSpec",),
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=_object(mode={"enum": ["disabled", "token"]}),
    headGroupSpec=_object(("template",), rayStartParams=_TEXTS, template=_POD),
    workerGroupSpecs={"type": "array", "items": _GROUP},
)
RAYJOB = _object(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=_object(("labels",), name=_TEXT, namespace=_TEXT, labels=_TEXTS, annotations=_TEXTS),
    spec=_object(
        ("entrypoint", "rayClusterSpec"),
        entrypoint=_TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
        backoffLimit=_INTEGER,
        activeDeadlineSeconds=_POSITIVE,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=_INTEGER,
        suspend={"type": "boolean"},
        rayClusterSpec=_CLUSTER,
    ),
)


def check(found: dict[str, Any]) -> None:
    """Fail where Kubernetes or KubeRay would refuse an object, or drop a part of it."""
    if found["kind"] != "RayJob":
        for version in VERSIONS:
            kubernetes_validate.validate(found, version, strict=True)
        return
    jsonschema.validate(found, RAYJOB)
    spec = found["spec"]
    assert not spec.get("suspend") or spec["shutdownAfterJobFinishes"]
    for template in templates(found):
        for version in VERSIONS:
            kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **template}, version, strict=True)


def templates(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pods of a RayJob, the head first."""
    cluster = rayjob["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]


def rayjob_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the RayJob among objects, or in the template that a CronJob creates it from."""
    for one in objects:
        if one["kind"] == "RayJob":
            return one
        if "rayjob.json" in one.get("data", {}):
            found = json.loads(one["data"]["rayjob.json"])
            assert isinstance(found, dict)
            return found
    raise AssertionError("no RayJob")
