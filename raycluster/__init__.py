"""Ray, and nothing of images or metrics: connect, schedule, run, submit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raycluster.jobs.commands import jobs, logs, stop
    from raycluster.jobs.submitting import submit

__all__ = ["jobs", "logs", "stop", "submit"]

# Where each public name is; loaded when it is asked for.
_DOOR = {
    "jobs": "raycluster.jobs.commands",
    "logs": "raycluster.jobs.commands",
    "stop": "raycluster.jobs.commands",
    "submit": "raycluster.jobs.submitting",
}


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module 'raycluster' has no attribute {name!r}")
    return getattr(importlib.import_module(_DOOR[name]), name)
