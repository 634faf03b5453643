"""How long a pool waits for a sign of life, and when it refuses to: what cannot start would be waited for for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import ray

from raycluster.errors import ClusterError
from raycluster.pool import room
from raycluster.pool.calls import Call, Making, Processing, Running, Starting
from raycluster.pool.marks import Marks
from raycluster.pool.work import Actors


class Patience:
    """Counts the seconds since something came back.

    Attributes
    ----------
    seconds
        So long nothing at all may run.
    since
        When the last sign came, by the monotonic clock.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since = time.monotonic()

    def sign(self) -> None:
        """Take in that something came back."""
        self.since = time.monotonic()

    def check(self, calls: Iterable[Call], marks: Marks, actors: Actors, nodes: Sequence[room.Node]) -> None:
        """Refuse to wait for what cannot start: nothing in flight has begun, and nothing has come for long.

        Raises
        ------
        ClusterError
            Saying what was asked for and what there is.
        """
        waited_s = time.monotonic() - self.since
        if waited_s < self.seconds:
            return
        self.sign()
        calls = list(calls)
        if any(isinstance(call, Processing) for call in calls):
            return  # an actor is at it
        if marks.any_started(call.mark for call in calls if isinstance(call, Making | Running)):
            return
        starting = sum(isinstance(call, Starting) for call in calls)
        waiting = f"{starting} process(es) of {room.asked(actors.cpus, actors.gpus)}"
        raise ClusterError(
            f"nothing could start for {waited_s:.0f} s: {waiting} and {len(calls) - starting} task(s) wait; "
            f"{room.offered(nodes, ray.available_resources())}. Wait for other work on the cluster to end, or add nodes"
        )
