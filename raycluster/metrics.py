"""Counters and gauges that Prometheus reads off a cluster's nodes, set by this process.

Where this process is connected to no cluster there is nobody to read them: then nothing is kept, and nothing fails.
Whether it is, is asked without importing Ray.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

# Ray hands a gauge on when it is set, and its agents forget it after two of their intervals, of ten seconds by default
# and at least one: what stays as it is, is set again.
_AGAIN_S = 1.5


class Declared(NamedTuple):
    """A metric: its name without Ray's prefix, what it is, what people read of it, and its labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


class Meters:
    """Metrics of one piece of work, from now until they are closed: while Ray is connected.

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
        self._gauges: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        if _connected():
            from ray.util.metrics import Counter, Gauge

            kinds = {"counter": Counter, "gauge": Gauge}
            self._meters = {
                metric.name: kinds[metric.kind](metric.name, metric.help, metric.labels) for metric in declared
            }
            threading.Thread(target=self._set_again, name="meters", daemon=True).start()

    @property
    def kept(self) -> bool:
        """Whether anybody can read them."""
        return bool(self._meters)

    def add(self, name: str, value: float, **labels: str) -> None:
        """Add to a counter. Nothing is no step, though it would be one for Ray."""
        if self._meters and value > 0:
            self._meters[name].inc(value, self._labels(labels))

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge, which keeps its value until it is set again."""
        if self._meters:
            found = self._labels(labels)
            with self._lock:
                self._gauges[name, frozenset(found.items())] = value
                self._meters[name].set(value, found)

    def close(self) -> None:
        """Set no gauge again; those that are set end by themselves."""
        self._closed.set()
        with self._lock:  # whoever is at it ends first: Ray may be left next
            self._gauges.clear()

    def _set_again(self) -> None:
        while not self._closed.wait(_AGAIN_S):
            with self._lock:
                for (name, labels), value in self._gauges.items():
                    self._meters[name].set(value, dict(labels))

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
