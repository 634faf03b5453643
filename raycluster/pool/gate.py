"""Where processes of a pool wait for machines that are shared with others: before every block, and every task."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_put

from raycluster.pool.marks import NAMESPACE, process
from raycluster.pool.work import Builder
from raycluster.sensors.machine import MachineSensor
from raycluster.sensors.nvml import NvmlSensor
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Limits, Sensor
from raycluster.sensors.recorded import RecordedSensor
from raycluster.sensors.rules import Rules
from raycluster.sensors.telling import Told
from raycluster.sensors.waiting import Waiter, Watched

# Processes of one machine do not look at the same moment: where two wait for each other, one is first.
_SPREAD = 0.2
_SLOTS = 16


class Driver(NamedTuple):
    """The process that owns a pool: where it runs, and its id there."""

    node: str
    pid: int


@dataclasses.dataclass(frozen=True)
class Gate:
    """Travels with the work, and stops it where it is carried out.

    Attributes
    ----------
    prefix
        Of the keys under which processes tell that they wait.
    rules
        What must hold.
    driver
        Its own use counts as the cluster's.
    """

    prefix: str
    rules: Rules = dataclasses.field(compare=False)
    driver: Driver = dataclasses.field(compare=False)

    def builder(self, build: Builder) -> Builder:
        """Return a builder of handlers that wait before each block, for the GPU of their actor too."""
        return functools.partial(_build, self, build)

    def task(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that waits before it begins."""
        return functools.partial(_run, self, "", function)

    def part(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same for tasks of the task that this is called in, which waits as long as they do."""
        return functools.partial(_run, self, process(), function)


def _build(gate: Gate, build: Builder) -> Callable[[Any, Any], Any]:
    handler = build()

    def handle(load_argument: Any, block: Any) -> Any:
        _waiter(gate, gpu=True).wait()
        return handler(load_argument, block)

    return handle


def _run(gate: Gate, parent: str, function: Callable[..., Any], *arguments: Any) -> Any:
    _waiter(gate, parent, gpu=False).wait()
    return function(*arguments)


# One for each process and not for each of its tasks: most of these need not look.
@functools.lru_cache(maxsize=2)
def _waiter(gate: Gate, parent: str = "", *, gpu: bool) -> Waiter:
    """Return what this process waits with, and the one that waits for it: made when it is first asked for."""
    node, pid = str(ray.get_runtime_context().get_node_id()), os.getpid()
    rules = gate.rules
    own = Own(gate.driver.pid if gate.driver.node == node else None)
    watched = [Watched(sensor, limits) for sensor, limits in _sensors(rules, own, gpu=gpu)]
    every_s = rules.every_s * (1 + _SPREAD * (pid % _SLOTS) / _SLOTS)
    return Waiter(watched, every_s, rules.margin, _Teller(f"{gate.prefix}{process()}|{parent}|"))


class _Teller:
    """Says things under one key after another, so that who listens sees from the keys alone what is new."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._said = 0

    def __call__(self, told: Told) -> None:
        self._said += 1
        # A pause that cannot be told, since the head is away, is a pause all the same.
        with contextlib.suppress(RayError, OSError, RuntimeError):
            _internal_kv_put(f"{self._prefix}{self._said}", told.to_bytes(), namespace=NAMESPACE)
            _internal_kv_del(f"{self._prefix}{self._said - 1}", namespace=NAMESPACE)


def _sensors(rules: Rules, own: Own, *, gpu: bool) -> list[tuple[Sensor, Limits]]:
    """Return the sensors of this process that something is asked of."""
    found: list[tuple[Sensor, Limits]] = []
    if rules.cpu:
        recorded = RecordedSensor("cpu", [row.cpu for row in rules.recording]) if rules.recording else None
        found.append((recorded or MachineSensor(own, rules.cpu), rules.cpu))
    if rules.gpu and gpu:
        recorded = RecordedSensor("gpu", [row.gpu for row in rules.recording]) if rules.recording else None
        found.append((recorded or NvmlSensor(os.environ.get("CUDA_VISIBLE_DEVICES"), own), rules.gpu))
    return found
