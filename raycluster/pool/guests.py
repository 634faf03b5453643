"""The processes of a pool that wait for machines which are shared with others: sent to wait, and listened to."""

from __future__ import annotations

import dataclasses
import os
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list

from raycluster.errors import ClusterError
from raycluster.pool.calls import Call, Making, Processing, Running
from raycluster.pool.events import Waited
from raycluster.pool.fan import as_it_is
from raycluster.pool.gate import Driver, Gate
from raycluster.pool.marks import NAMESPACE, Marks
from raycluster.pool.work import Actors, Work
from raycluster.sensors.pauses import Pauses
from raycluster.sensors.rules import Rules
from raycluster.sensors.telling import Told

_LOOK_EVERY_S = 1.0


class Guests:
    """Hears what processes say of their pauses, in the cluster's key-value store.

    Parameters
    ----------
    rules
        None: nobody waits for anything.

    Attributes
    ----------
    gate
        What the pool's work is sent through, if anything is asked of the machines.
    """

    def __init__(self, rules: Rules | None) -> None:
        self._rules = rules or Rules()
        self.gate: Gate | None = None
        if self._rules:
            here = Driver(str(ray.get_runtime_context().get_node_id()), os.getpid())
            self.gate = Gate(f"waits:{uuid.uuid4().hex}:", self._rules, here)
        self._pauses = Pauses(self._rules.every_s)
        self._heard: set[str] = set()
        self._looked_at = time.monotonic()
        self._alone = True
        self._done: dict[Hashable, int] = {}
        # Since when somebody waits, and nothing has come back.
        self._stuck_since: float | None = None

    def work(self, work: Work) -> Work:
        """Return a pool's work, whose tasks wait."""
        return dataclasses.replace(work, make=self.gate.task(work.make)) if self.gate else work

    def actors(self, actors: Actors) -> Actors:
        """Return a pool's actors, which wait before each block."""
        return dataclasses.replace(actors, build=self.gate.builder(actors.build)) if self.gate else actors

    @property
    def through(self) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """What makes a function one that waits before it begins; picklable."""
        return self.gate.task if self.gate else as_it_is

    @property
    def part(self) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The same for what a task has done by tasks of its own: called inside it."""
        return self.gate.part if self.gate else as_it_is

    def news(self, answers: Callable[[], bool], machines: int, *, last: bool = False) -> Iterator[Waited]:
        """Yield what is new, now and then, or for the last time when all is over; if the head of the cluster answers.

        Parameters
        ----------
        machines
            How many there are: one alone need not be named.
        """
        now = time.monotonic()
        if self.gate is None or (now - self._looked_at < _LOOK_EVERY_S and not last) or not answers():
            return
        self._looked_at, self._alone = now, machines == 1
        self._hear(self.gate.prefix, now)
        lines, seconds, waiting = self._pauses.news(now, alone=self._alone, over=last)
        self._stuck_since = (self._stuck_since or now) if waiting else None
        if lines or seconds:
            yield Waited(tuple(lines), seconds, waiting)

    def _hear(self, prefix: str, now: float) -> None:
        """Take in what was said since: a process says each thing under a key of its own, in place of the last."""
        keys = {key.decode() for key in _internal_kv_list(prefix, namespace=NAMESPACE)}
        for key in sorted(keys - self._heard, key=lambda key: int(key.rpartition("|")[2])):
            name, _, _ = key.removeprefix(prefix).rpartition("|")
            where = name.partition("#")[0]
            if data := _internal_kv_get(key, namespace=NAMESPACE):
                self._pauses.take(name, where, Told.from_bytes(data), now)
        self._heard = keys

    def went_on(self) -> None:
        """Take in that something came back."""
        self._stuck_since = None

    def advanced(self, tag: Hashable, done: int) -> None:
        """Take in how far a task is, whose own tasks may wait in part."""
        if self._done.get(tag) != done:
            self._done[tag] = done
            self.went_on()

    def check_patience(self, calls: Iterable[Call], marks: Marks) -> None:
        """Give up where all that runs has waited for longer than the patience allows.

        Parameters
        ----------
        calls
            What the pool has in flight.
        marks
            Of its tasks.

        Raises
        ------
        ClusterError
            Saying for what.
        """
        now, patience_s = time.monotonic(), self._rules.patience_s
        if patience_s is None or self._stuck_since is None or now - self._stuck_since < patience_s:
            return
        calls = list(calls)
        actors = {call.worker for call in calls if isinstance(call, Processing)}
        tasks = marks.processes(call.mark for call in calls if isinstance(call, Making | Running))
        # A process, or the one that waits for it.
        waiting = {parent or own for own, _, parent in (n.partition("|") for n in self._pauses.waiting(now))}
        if tasks <= waiting and len(waiting - tasks) >= len(actors):
            raise ClusterError(
                f"all that runs has waited for {now - self._stuck_since:.0f} s, and the patience was {patience_s:g} s: "
                f"{self._pauses.reasons(alone=self._alone)}"
            )

    def clear(self) -> None:
        """Forget what was said."""
        if self.gate is not None:
            _internal_kv_del(self.gate.prefix, del_by_prefix=True, namespace=NAMESPACE)
