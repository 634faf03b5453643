"""Actors that do not come up: which of their deaths count. On a real Ray of two CPUs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError

from raycluster.errors import ClusterError
from raycluster.pool.crew import Crew
from raycluster.pool.work import Actors

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
