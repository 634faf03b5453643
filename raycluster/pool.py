"""Carry a plan out on Ray: tasks make blocks, a pool of actors processes them, plain tasks run beside.

Every CPU is offered twice, half to an actor and half to a task: whichever has work uses it. So actors that stay for
the whole run never starve the tasks that feed them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from raycluster.errors import ClusterError
from raycluster.plan import Cell, Plan

Builder = Callable[[], Callable[[Any, Any], Any]]


@dataclasses.dataclass(frozen=True)
class Actors:
    """How many actors, what each asks of the cluster, and what each holds.

    `build` runs inside the actor and returns what processes a block: ``handler(load_argument, block)``.
    """

    build: Builder
    count: int
    cpus: float = 1
    gpus: float = 0


@dataclasses.dataclass(frozen=True)
class Work:
    """What the numbers of a plan stand for.

    `make(*make_arguments(block))` runs in a task and returns ``(block, info, is_empty)``; the block stays there.
    """

    make: Callable[..., tuple[Any, Any, bool]]
    make_arguments: Callable[[int], tuple[Any, ...]]
    load_arguments: dict[int, Any]


@dataclasses.dataclass(frozen=True)
class BlockMade:
    """A block is there; `info` is what its maker says of it."""

    block: int
    info: Any


@dataclasses.dataclass(frozen=True)
class CellDone:
    """A block was processed by a load."""

    cell: Cell
    answer: Any
    load_finished: bool


@dataclasses.dataclass(frozen=True)
class LoadFinished:
    """A load has nothing left to do, without a call."""

    load: int


@dataclasses.dataclass(frozen=True)
class LoadLost:
    """A load was given up: the processes that ran it died."""

    load: int
    reason: str


@dataclasses.dataclass(frozen=True)
class TaskDone:
    """A plain task came back."""

    tag: Hashable
    answer: Any


Event = BlockMade | CellDone | LoadFinished | LoadLost | TaskDone


class _Worker:
    """The actor: one handler, built where it runs."""

    def __init__(self, build: Builder) -> None:
        self._handler = build()

    def process(self, load_argument: Any, block: Any) -> Any:
        return self._handler(load_argument, block)


class Pool:
    """Runs a plan and plain tasks, and yields what happened. Leaving it ends the actors and cancels what is in flight.

    Raises
    ------
    Exception
        From `events`: what a block's maker, a handler or a plain task raised, as it was raised there.
    ClusterError
        From `events`: a task died every time it was tried, or the cluster went away.
    """

    def __init__(self, plan: Plan, work: Work, actors: Actors) -> None:
        self._plan = plan
        self._work = work
        self._actors = actors
        self._handles: dict[int, Any] = {}
        self._blocks: dict[int, ray.ObjectRef[Any]] = {}
        self._pending: dict[ray.ObjectRef[Any], _Making | _Processing | _Running] = {}
        self._shared: dict[Hashable, ray.ObjectRef[Any]] = {}
        self._started = 0
        self._make = ray.remote(num_cpus=0.5, num_returns=2)(_split(work.make))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for ref in self._pending:
            if not isinstance(self._pending[ref], _Processing):
                ray.cancel(ref, force=True)
        for handle in self._handles.values():
            ray.kill(handle)
        self._blocks.clear()

    def put(self, name: Hashable, value: Any) -> Any:
        """Share a value with tasks: put once under its name, and handed to `submit` in place of the value."""
        if name not in self._shared:
            self._shared[name] = ray.put(value)
        return self._shared[name]

    def submit(self, tag: Hashable, threads: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Run a function as a plain task that uses so many threads; its answer comes as TaskDone(tag, answer)."""
        ref = ray.remote(num_cpus=threads / 2)(function).remote(*arguments)
        self._pending[ref] = _Running(tag)

    def give_up(self, load: int) -> None:
        """Ask nothing of a load any more."""
        self._plan.give_up(load)

    def events(self) -> Iterator[Event]:
        """Yield events until the plan is finished and no plain task is left. More may be submitted meanwhile."""
        while True:
            self._dispatch()
            if not self._pending:
                return
            # A bound on the wait lets Ctrl-C and SIGTERM through.
            done, _ = ray.wait(list(self._pending), timeout=1.0, fetch_local=False)
            for ref in done:
                yield from self._handle(ref, self._pending.pop(ref))

    # What goes out

    def _dispatch(self) -> None:
        if self._plan.finished:
            self._end_actors()
            return
        while (block := self._plan.next_block()) is not None:
            block_ref, info_ref = self._make.remote(*self._work.make_arguments(block))
            self._blocks[block] = block_ref
            self._pending[info_ref] = _Making(block)
        while len(self._handles) < self._actors.count:
            self._start_actor()
        for worker, handle in self._handles.items():
            while (cell := self._plan.next_cell(worker)) is not None:
                ref = handle.process.remote(self._work.load_arguments[cell.load], self._blocks[cell.block])
                self._pending[ref] = _Processing(worker, cell)
        self._drop_blocks()

    def _start_actor(self) -> None:
        worker, self._started = self._started, self._started + 1
        actor = ray.remote(_Worker).options(
            num_cpus=self._actors.cpus / 2, num_gpus=self._actors.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._handles[worker] = actor.remote(self._actors.build)
        self._plan.worker_joined(worker)

    def _end_actors(self) -> None:
        for handle in self._handles.values():
            ray.kill(handle)
        self._handles.clear()
        self._blocks.clear()

    def _drop_blocks(self) -> None:
        live = set(self._plan.live_blocks)
        for block in [b for b in self._blocks if b not in live]:
            del self._blocks[block]

    # What comes in

    def _handle(self, ref: Any, call: _Making | _Processing | _Running) -> Iterator[Event]:
        try:
            answer = ray.get(ref)
        except RayActorError as error:
            if isinstance(call, _Processing):
                yield from self._lose(call.worker, error)
                return
            raise
        except RayTaskError as error:
            if isinstance(error.cause, BaseException):
                raise error.cause from error
            raise
        except RayError as error:
            raise ClusterError(f"the cluster lost a part of the work: {_line(error)}") from error
        match call:
            case _Making(block):
                info, empty = answer
                yield BlockMade(block, info)
                for load in self._plan.block_made(block, empty=empty):
                    yield LoadFinished(load)
            case _Processing(worker, cell):
                yield CellDone(cell, answer, self._plan.cell_done(worker, cell))
            case _Running(tag):
                yield TaskDone(tag, answer)

    def _lose(self, worker: int, error: RayError) -> Iterator[Event]:
        """Give what a dead actor had in hand to another one."""
        if self._handles.pop(worker, None) is None:
            return  # known: a second call to the same actor
        # Answers that it gave before it died first: the call that it died in is then the first one in hand.
        calls = {r: c for r, c in self._pending.items() if isinstance(c, _Processing) and c.worker == worker}
        for ref, call in calls.items():
            with contextlib.suppress(RayActorError, GetTimeoutError):
                answer = ray.get(ref, timeout=0)
                del self._pending[ref]
                yield CellDone(call.cell, answer, self._plan.cell_done(worker, call.cell))
        for load in self._plan.worker_lost(worker):
            yield LoadLost(load, _line(error))


def _line(error: RayError) -> str:
    return " ".join(str(error).split())[:300]


@dataclasses.dataclass(frozen=True)
class _Making:
    block: int


@dataclasses.dataclass(frozen=True)
class _Processing:
    worker: int
    cell: Cell


@dataclasses.dataclass(frozen=True)
class _Running:
    tag: Hashable


def _split(make: Callable[..., tuple[Any, Any, bool]]) -> Callable[..., tuple[Any, tuple[Any, bool]]]:
    """Return what a task returns in two parts: the block stays in the cluster, the rest comes to the driver."""

    def make_block(*arguments: Any) -> tuple[Any, tuple[Any, bool]]:
        block, info, empty = make(*arguments)
        return block, (info, empty)

    return make_block
