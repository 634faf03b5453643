"""Whether a cluster starts nodes by itself.

Ray has no public word for it: an autoscaler runs on every head, and on most of them it only reports. One that acts
knows its nodes by the types of its configuration (version 1), or has given them ids of the cloud (version 2).
"""

from __future__ import annotations

import json

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler._private.util import format_readonly_node_type
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_get


def may_grow() -> bool:
    """Whether the cluster that this process is connected to starts nodes by itself."""
    try:
        return _grows_by_version_2() if is_autoscaler_v2() else _grows_by_version_1()
    except (RayError, RuntimeError, ValueError, KeyError, AttributeError):
        return False  # it does not say so: what is asked of it must fit what there is


def _grows_by_version_1() -> bool:
    status = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}")
    types = (status.get("autoscaler_report") or {}).get("node_type_mapping") or {}
    return any(not name.startswith(format_readonly_node_type("")) for name in types.values())


def _grows_by_version_2() -> bool:
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    return any(node.instance_id for node in [*status.active_nodes, *status.idle_nodes])
