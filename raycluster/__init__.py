"""Ray, and nothing of images or metrics: clusters, submissions, schedules, runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raycluster.cluster.launching import down, up
    from raycluster.cluster.local_head import start_head, stop_head
    from raycluster.cluster.looking import status
    from raycluster.jobs.commands import list_jobs, logs, stop
    from raycluster.jobs.submitting import submit

__all__ = ["down", "list_jobs", "logs", "start_head", "status", "stop", "stop_head", "submit", "up"]

# Where each public name is; loaded when it is asked for.
_DOOR = {
    "up": "raycluster.cluster.launching",
    "down": "raycluster.cluster.launching",
    "start_head": "raycluster.cluster.local_head",
    "stop_head": "raycluster.cluster.local_head",
    "status": "raycluster.cluster.looking",
    "list_jobs": "raycluster.jobs.commands",
    "logs": "raycluster.jobs.commands",
    "stop": "raycluster.jobs.commands",
    "submit": "raycluster.jobs.submitting",
}


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module 'raycluster' has no attribute {name!r}")
    return getattr(importlib.import_module(_DOOR[name]), name)
