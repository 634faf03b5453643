"""The actors of a pool: as many as were asked for and the nodes have room for, while nodes come and go."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycluster.connection.autoscaler import may_grow
from raycluster.errors import ClusterError
from raycluster.pool import room
from raycluster.pool.calls import line
from raycluster.pool.work import Actors, Ready, _Worker
from raycluster.sensors.cgroups import oom_kills

# Of actors in a row that do not come up.
_START_ATTEMPTS = 3
_LOOK_EVERY_S = 2.0
# By which Ray tells nodes apart when it is told where an actor may be.
_NODE_ID_LABEL = "ray.io/node-id"
# What an actor has in hand at a time: more of them than half the cells would find nothing to do.
_IN_HAND = 2
# For a node to say how often its kernel has ended processes.
_ASK_S = 15.0
# Ray's words for an actor that went away with its machine; the error says it in no other way.
_NODE_DIED = "node has died"


class Crew:
    """Starts actors, and knows which of them have answered.

    Attributes
    ----------
    nodes
        What the nodes that are alive offer.
    joined
        The actors that have answered, by number, and the id of the node that each is on.
    """

    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._handles: dict[int, Any] = {}
        # Those of them that wait for machines which are not there yet.
        self._ahead: set[int] = set()
        self.joined: dict[int, str] = {}
        # What each actor has said when it came up; of those that have ended, too.
        self._ready: dict[int, Ready] = {}
        self._started = 0
        self._failed_starts = 0
        # What is left where actors do not come up; and how many were ended to make room for tasks.
        self._most: int | None = None
        self._yielded = 0
        self._grows = may_grow()
        self._looked_at = time.monotonic()
        self._take_in(ray.nodes())

    # How many

    def require(self) -> None:
        """Refuse to wait for a node that will not come.

        Raises
        ------
        ClusterError
            If no node has what one actor asks for, and the cluster does not start nodes by itself.
        """
        if not self.count:
            room.room(self.nodes, self._actors.cpus, self._actors.gpus)  # raises, and says what there is

    def _take_in(self, listed: Sequence[Mapping[str, Any]]) -> None:
        self._newly_avoided = False
        self._alive = {node["NodeID"] for node in listed if node["Alive"]}
        self.nodes = room.alive(listed)
        self._rooms = {node["NodeID"]: self._room(room.alive([node])) for node in listed}
        elsewhere = sum(held for node, held in self._rooms.items() if node not in self._actors.avoid)
        self._avoid = self._actors.avoid if elsewhere else frozenset()
        self._fit = elsewhere or self._room(self.nodes)

    def _room(self, nodes: Sequence[room.Node]) -> int:
        return room.fit(nodes, self._actors.cpus, self._actors.gpus)

    def look(self, answers: Callable[[], bool]) -> bool:
        """See now and then which nodes may be used, if the head answers; return whether that has changed."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S or not answers():
            return False
        self._looked_at = now
        if self._yielded and ray.available_resources().get("CPU", 0) >= 2 * self._actors.cpus * room.CPU_SHARE:
            self._yielded -= 1  # whoever needed it has gone: there is room for an actor, and for what feeds it
        listed = ray.nodes()
        if {node["NodeID"] for node in listed if node["Alive"]} == self._alive and not self._newly_avoided:
            return False
        self._take_in(listed)
        self._most, self._yielded, self._failed_starts = None, 0, 0
        return True

    @property
    def count(self) -> int:
        """How many actors there may be now; one at least where nodes come by themselves, which do so for what waits."""
        wanted = self._fit if self._actors.count is None else self._actors.count
        allowed = min(max(1, self._fit) if self._grows else self._fit, max(1, wanted))
        return max(0, (allowed if self._most is None else min(allowed, self._most)) - self._yielded)

    def _more(self, cells: int) -> int:
        """Return how many actors wait for machines to come: those that were asked for, else as many again as fit."""
        if not self._grows or self._most is not None:
            return 0
        wanted = 2 * self._fit if self._actors.count is None else self._actors.count
        return max(0, min(wanted, cells // _IN_HAND) - max(1, self._fit))

    def _full(self) -> set[str]:
        """Return the nodes that hold as many actors as they have room for: in Ray's books, tasks' halves look free."""
        held = collections.Counter(self.joined.values())
        return {node for node in self._alive if held[node] >= self._rooms[node]}

    def others(self, node: str) -> bool:
        """Whether a node other than this one, and than those to be avoided, has room for an actor."""
        return any(held for other, held in self._rooms.items() if other not in {node, *self._actors.avoid})

    def avoid(self, node: str) -> None:
        """Avoid one more node, from the next look on."""
        if node not in self._actors.avoid:
            self._actors = dataclasses.replace(self._actors, avoid=self._actors.avoid | {node})
            self._newly_avoided = True

    @property
    def lost(self) -> list[int]:
        """Actors that have answered, and whose node is not alive any more, is to be avoided, or has no room for it."""
        return [worker for worker, node in self.joined.items() if node not in self._alive - self._avoid] + self._surplus

    @property
    def _surplus(self) -> list[int]:
        """Actors beyond those that their nodes have room for: nodes that had not been seen when they were started."""
        on: dict[str, list[int]] = {}
        for worker, node in self.joined.items() if self._grows else ():
            on.setdefault(node, []).append(worker)
        return [worker for node in on.keys() & self._alive for worker in on[node][self._rooms[node] :]]

    @property
    def note(self) -> str | None:
        """What a person should know of the room for actors: that there are fewer than were asked for; else None."""
        each, wanted = room.asked(self._actors.cpus, self._actors.gpus), self._actors.count
        if not self._fit:
            coming = "waiting for the cluster to start one" if self._grows else "waiting for one to join"
            return f"no node has room for {each} now, {coming}: {room.offered(self.nodes)}"
        if wanted is None or self._fit >= wanted:
            return None
        waiting = ", until there are more nodes" if self._grows else ""
        return f"{self._fit} worker(s) of {each} in place of {wanted}{waiting}: {room.offered(self.nodes)}"

    # Coming and going

    def fill(self, cells: int) -> Iterator[tuple[int, Any]]:
        """Start what is missing, or end what is too much and has not come up; yield each new one and its first call.

        Parameters
        ----------
        cells
            How many are left to do.
        """
        more = self._more(cells)
        here = [worker for worker in self._handles if worker not in self._ahead]
        surplus = [worker for worker in here if worker not in self.joined][: max(0, len(here) - self.count)]
        for worker in surplus + sorted(self._ahead)[more:]:
            self.end(worker)
        while len(self._handles) - len(self._ahead) < self.count:
            yield self._start(self._avoid | self._full() if self._grows else self._avoid)
        while len(self._ahead) < more:
            self._ahead.add(self._started)
            yield self._start(self._avoid | self._alive)

    def _start(self, barred: Set[str]) -> tuple[int, Any]:
        worker, self._started = self._started, self._started + 1
        actor = ray.remote(_Worker).options(
            num_cpus=self._actors.cpus * room.CPU_SHARE,
            num_gpus=self._actors.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            label_selector={_NODE_ID_LABEL: f"!in({', '.join(sorted(barred))})"} if barred else {},
        )
        self._handles[worker] = actor.remote(self._actors.build)
        return worker, self._handles[worker].ready.remote()

    def process(self, worker: int, load_argument: Any, block: Any) -> Any:
        """Hand a block to an actor; return the reference of its answer."""
        return self._handles[worker].process.remote(load_argument, block)

    def came_up(self, worker: int, node: str, kills: int = 0) -> bool:
        """Take in that an actor has answered; False where it was ended meanwhile, or its node has no room for it."""
        if worker not in self._handles:
            return False
        self._ready[worker] = Ready(node, kills)
        self._failed_starts = 0
        self._ahead.discard(worker)
        self.joined[worker] = node
        return worker not in self._surplus or not self.end(worker)

    def not_started(self, worker: int, error: RayActorError | OutOfMemoryError) -> None:
        """Take in that an actor died before it answered: try again a few times, then do with those that there are.

        One that went away with its node, or is out of reach, is not counted: it says nothing of the others.

        Raises
        ------
        ClusterError
            If there are none, or what it holds cannot be built.
        """
        if not self.end(worker):
            return  # it was ended on purpose
        if getattr(error, "actor_init_failed", False):
            raise ClusterError(f"what an actor holds cannot be built there: {line(error)}") from error
        if _node_went_away(error):
            return
        self._failed_starts += 1
        if self._failed_starts < _START_ATTEMPTS:
            return
        here = len(self._handles) - len(self._ahead)
        if not here:
            raise ClusterError(f"no actor comes up, {self._failed_starts} died at once: {line(error)}") from error
        self._most = here

    def died_of_memory(self, worker: int) -> bool:
        """Whether, since an actor came up, the kernel has ended processes on its node for want of memory.

        The kernel does not say which. An actor that died meanwhile was most likely among them: Ray has its workers
        ended first.
        """
        ready = self._ready.get(worker)
        if ready is None or ready.node not in self._alive:
            return False
        there = NodeAffinitySchedulingStrategy(ready.node, soft=False)
        ask = ray.remote(num_cpus=0, max_retries=0)(oom_kills).options(scheduling_strategy=there)
        with contextlib.suppress(RayError):  # the node has gone with it
            return bool(ray.get(ask.remote(), timeout=_ASK_S) > ready.oom_kills)
        return False

    def end(self, worker: int) -> bool:
        """End an actor, also one that is only out of reach; False where it was ended before."""
        self.joined.pop(worker, None)
        self._ahead.discard(worker)
        handle = self._handles.pop(worker, None)
        if handle is not None:
            with contextlib.suppress(RayError):
                ray.kill(handle)
        return handle is not None

    def end_all(self) -> None:
        """End all actors."""
        for worker in list(self._handles):
            self.end(worker)

    def make_room(self) -> None:
        """Have one actor less, until there is room for it again."""
        self._yielded += 1

    def come_back(self) -> None:
        """Have one actor at least: there is something to do for it."""
        if not self.count and self._yielded:
            self._yielded -= 1


def _node_went_away(error: RayError) -> bool:
    return isinstance(error, ActorUnavailableError) or getattr(error, "preempted", False) or _NODE_DIED in str(error)
