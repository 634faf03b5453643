"""Counters and gauges that Prometheus reads off a cluster's nodes, set by this process.

Where this process is connected to no cluster there is nobody to read them: then nothing is kept, and nothing fails.
Whether it is, is asked without importing Ray.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple


class Declared(NamedTuple):
    """A metric: its name without Ray's prefix, what it is, what people read of it, and its labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


class Meters:
    """Metrics of one piece of work.

    Parameters
    ----------
    declared
        All there are.
    labels
        Values of labels that are always the same.
    """

    def __init__(self, declared: Iterable[Declared], **labels: str) -> None:
        self._fixed = {name: _text(value) for name, value in labels.items()}
        self._meters: dict[str, Any] = {}
        if _connected():
            from ray.util.metrics import Counter, Gauge

            kinds = {"counter": Counter, "gauge": Gauge}
            self._meters = {
                metric.name: kinds[metric.kind](metric.name, metric.help, metric.labels) for metric in declared
            }

    @property
    def kept(self) -> bool:
        """Whether anybody can read them."""
        return bool(self._meters)

    def add(self, name: str, value: float, **labels: str) -> None:
        """Add to a counter. Nothing is no step, though it would be one for Ray."""
        if self._meters and value > 0:
            self._meters[name].inc(value, self._labels(labels))

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        if self._meters:
            self._meters[name].set(value, self._labels(labels))

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        return {**self._fixed, **{name: _text(value) for name, value in labels.items()}}


def _connected() -> bool:
    if "ray" not in sys.modules:
        return False
    import ray

    return bool(ray.is_initialized())


def _text(value: str) -> str:
    """Return what can be sent: file names that are no Unicode are spelled out."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
