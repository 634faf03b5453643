"""Actors that do not come up: which deaths count, and how many a cluster that grows is asked for. On a real Ray."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError

from raycluster.errors import ClusterError
from raycluster.pool import crew as crew_module
from raycluster.pool.crew import Crew
from raycluster.pool.work import Actors, Ready
from raycluster.sensors.cgroups import oom_kills

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Two actors that are told to start, and whose answer nobody waits for."""
    crew = Crew(Actors(lambda: lambda *_: None, count=2))
    yield crew
    crew.end_all()


def fail_starts(crew: Crew, error: RayActorError | OutOfMemoryError, times: int) -> None:
    """Have actors die before they answer, and others take their place."""
    for _ in range(times):
        worker, _ready = next(crew.fill(9))
        crew.not_started(worker, error)


@pytest.mark.parametrize(
    "error",
    [
        RayActorError(None, "The actor died because its node has died. Node Id: 0f"),
        RayActorError(None, "The actor died: the actor's node was preempted", preempted=True),
        ActorUnavailableError("its node is out of reach", b"0" * 16),
    ],
)
def test_actors_that_go_away_with_their_node_are_not_counted(crew: Crew, error: RayActorError) -> None:
    """A node with many actors that is taken away while they come up: those of other nodes come up all the same."""
    fail_starts(crew, error, 4)
    assert len(list(crew.fill(9))) == crew.count == 2


@pytest.mark.parametrize("error", [RayActorError(None, "its process died"), OutOfMemoryError("the node is full")])
def test_actors_that_die_by_themselves_are_given_up(crew: Crew, error: RayActorError | OutOfMemoryError) -> None:
    """Three of them in a row, also where Ray ends them for their memory: with none left that is the end."""
    with pytest.raises(ClusterError, match=f"no actor comes up, 3 died at once: {error}"):
        fail_starts(crew, error, 4)


def test_kills_of_the_kernel_since_an_actor_came_up_are_held_against_memory(crew: Crew) -> None:
    """Those before are not, nor is anything known of a node that is gone, or of an actor that never came up."""
    (node,) = crew._alive
    for worker, ready in enumerate([Ready(node, oom_kills() - 1), Ready(node, oom_kills()), Ready("gone", -1)]):
        crew._ready[worker] = ready
    assert [crew.died_of_memory(worker) for worker in range(4)] == [True, False, False, False]


HEAD, GPU_NODE = {"CPU": 0.0}, {"CPU": 8.0, "GPU": 1.0}


class Growing:
    """A cluster that starts nodes by itself, as its nodes are listed; actors on GPUs, which never come up here.

    Parameters
    ----------
    count
        Of the actors that are asked for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int | None = None) -> None:
        self._nodes = [{"NodeID": "head", "Alive": True, "Resources": HEAD}]
        monkeypatch.setattr(crew_module, "may_grow", lambda: True)
        monkeypatch.setattr(crew_module.ray, "nodes", lambda: list(self._nodes))
        self.crew = Crew(Actors(lambda: lambda *_: None, count=count, cpus=1, gpus=1))
        self.barred: dict[int, set[str]] = {}
        start = self.crew._start

        def noted(barred: Set[str]) -> tuple[int, Any]:
            worker, ready = start(barred)
            self.barred[worker] = set(barred)
            return worker, ready

        monkeypatch.setattr(self.crew, "_start", noted)

    def come(self, *names: str) -> None:
        """Have nodes join."""
        self._nodes += [{"NodeID": name, "Alive": True, "Resources": GPU_NODE} for name in names]
        self.crew._looked_at = -1e9
        assert self.crew.look(lambda: True)

    def pending(self, cells: int) -> list[int]:
        """Fill up, and return the actors that have not come up."""
        list(self.crew.fill(cells))
        return [worker for worker in self.crew._handles if worker not in self.crew.joined]


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Growing]:
    """A head alone."""
    cluster = Growing(monkeypatch)
    yield cluster
    cluster.crew.end_all()


def test_cluster_that_grows_is_asked_for_as_many_machines_again(growing: Growing) -> None:
    """From none to one, two, four, as long as there is work for them: nobody says how many machines there may be."""
    crew = growing.crew
    assert growing.pending(100) == [0]
    growing.come("a")
    assert crew.came_up(0, "a")
    assert growing.pending(100) == [1]
    # It is to wait for a new machine, and not in the half of the CPUs that is kept for tasks.
    assert growing.barred[1] == {"head", "a"}
    assert growing.pending(100) == [1]
    growing.come("b")
    assert crew.came_up(1, "b")
    assert len(growing.pending(100)) == 2
    assert crew.count == 2
    assert crew.note is None
    assert growing.pending(3) == []


def test_lost_actor_is_replaced_where_there_is_room(growing: Growing) -> None:
    """Those that wait for new machines do not count: the one that takes its place may be where it was."""
    crew = growing.crew
    growing.come("a")
    growing.pending(100)
    assert crew.came_up(0, "a")
    assert growing.pending(100) == [1]
    crew.end(0)
    assert growing.pending(100) == [1, 2]
    assert growing.barred[2] == {"head"}
    # Where it makes room for tasks, nothing takes that room.
    crew.make_room()
    assert growing.pending(100) == [1]


def test_machine_holds_no_more_actors_than_it_has_room_for(growing: Growing) -> None:
    """Ray would put more where tasks are to be; one that comes up before its node was seen goes at the next look."""
    crew = growing.crew
    growing.come("a", "b")
    growing.pending(100)
    assert crew.came_up(0, "a")
    assert not crew.came_up(1, "a")
    assert sorted(crew.joined) == [0]
    first, second, *_ = growing.pending(100)
    assert crew.came_up(first, "c")
    assert crew.came_up(second, "c")
    growing.come("c")
    assert crew.lost == [second]


def test_workers_that_are_asked_for_are_all_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three machines come side by side; fewer where there is less to do."""
    cluster = Growing(monkeypatch, count=3)
    assert len(cluster.pending(100)) == 3
    cluster.come("a")
    assert cluster.crew.came_up(0, "a")
    assert len(cluster.pending(100)) == 2
    assert len(cluster.pending(4)) == 1
    cluster.crew.end_all()
