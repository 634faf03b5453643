"""Carry a plan out on Ray: tasks make blocks, a pool of actors processes them, plain tasks run beside."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import ray
from ray.exceptions import (
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from raycluster import room
from raycluster.errors import ClusterError
from raycluster.events import (
    BLOCK_DIED,
    LOAD_DIED,
    TASK_DIED,
    BlockLost,
    BlockMade,
    CellDone,
    Event,
    LoadFinished,
    LoadLost,
    TaskAdvanced,
    TaskDone,
    TaskLost,
)
from raycluster.fan import Fan
from raycluster.marks import Marks, Teller, marked, marked_block
from raycluster.plan import Cell, Plan
from raycluster.work import Actors, Work, _Worker

__all__ = [
    "Actors",
    "BlockLost",
    "BlockMade",
    "CellDone",
    "Event",
    "LoadFinished",
    "LoadLost",
    "Pool",
    "TaskAdvanced",
    "TaskDone",
    "TaskLost",
    "Work",
]

# Of actors in a row that do not come up.
_START_ATTEMPTS = 3
# What a task whose process died leaves, after Ray has tried again.
_DEATHS = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
# Between two looks at how far the running tasks are.
_TELL_EVERY_S = 1.0


class Pool:
    """Runs a plan and plain tasks, and yields what happened. Leaving it ends the actors and cancels what is in flight.

    Attributes
    ----------
    note
        What a person should know of the room for actors, or None: that fewer are started than were asked for.

    Raises
    ------
    Exception
        From `events`: what a block's maker, a handler or a plain task raised, as it was raised there.
    ClusterError
        If no node has what one actor asks for. From `events`: no actor can be started or built, nothing at all runs
        for `patience_s`, or the cluster went away.
    """

    def __init__(self, plan: Plan, work: Work, actors: Actors, *, patience_s: float = 600) -> None:
        self._plan = plan
        self._work = work
        self._actors = actors
        self._patience_s = patience_s
        self._nodes = room.alive(ray.nodes())
        self._count = min(actors.count, room.room(self._nodes, actors.cpus, actors.gpus)) if plan.needs_workers else 0
        self.note = self._describe_clamp() if plan.needs_workers and self._count < actors.count else None
        self._handles: dict[int, Any] = {}
        self._joined: set[int] = set()
        self._blocks: dict[int, ray.ObjectRef[Any]] = {}
        self._pending: dict[ray.ObjectRef[Any], _Call] = {}
        self._shared: dict[Hashable, ray.ObjectRef[Any]] = {}
        self._marks = Marks()
        self._tellers: dict[Hashable, str] = {}
        self._told_at = 0.0
        self._make = ray.remote(num_cpus=room.CPU_SHARE, num_returns=2, max_retries=1)(marked_block)
        self._run = ray.remote(max_retries=2)(marked)
        self._started = 0
        self._failed_starts = 0
        self._last_sign = time.monotonic()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for ref, call in self._pending.items():
            if isinstance(call, _Making | _Running):
                ray.cancel(ref, force=True)
        self._end_actors()
        self._blocks.clear()
        # A cluster that went away has forgotten them already.
        with contextlib.suppress(RayError, OSError, RuntimeError):
            self._marks.clear()

    def put(self, name: Hashable, value: Any) -> Any:
        """Share a value with tasks: put once under its name, and handed to `submit` in place of the value."""
        if name not in self._shared:
            self._shared[name] = ray.put(value)
        return self._shared[name]

    @property
    def _share(self) -> float:
        """The part of a CPU that one thread of a task asks for: all of it, unless actors hold their half."""
        return room.CPU_SHARE if self._plan.needs_workers else 1.0

    def submit(self, tag: Hashable, threads: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Run a function as a plain task that uses so many threads; its answer comes as TaskDone(tag, answer)."""
        largest = max((node.cpus for node in self._nodes), default=threads)
        mark = self._marks.new()
        task = self._run.options(num_cpus=min(threads, largest) * self._share)
        self._pending[task.remote(mark, function, *arguments)] = _Running(tag, mark)

    def fan(self, tasks: int) -> Callable[[Any], Fan]:
        """Return what a plain task takes to run tasks of its own, so many at a time, of one thread each.

        It is handed to `submit` among the arguments, and called inside the task with the value that they share.
        """
        return functools.partial(Fan, cpus=self._share, at_once=tasks)

    def teller(self, tag: Hashable) -> Teller:
        """Return what a plain task calls to say how far it is; it comes as TaskAdvanced(tag, done, of)."""
        return Teller(self._tellers.setdefault(tag, self._marks.new()))

    def give_up(self, load: int) -> None:
        """Ask nothing of a load any more."""
        self._plan.give_up(load)

    def events(self) -> Iterator[Event]:
        """Yield events until the plan is finished and no plain task is left. More may be submitted meanwhile."""
        self._last_sign = time.monotonic()
        while True:
            self._dispatch()
            if not self._pending:
                if not self._plan.finished:
                    raise ClusterError("work is left and nothing is in flight: a mistake of this program; run it again")
                return
            # A bound on the wait lets Ctrl-C and SIGTERM through.
            done, _ = ray.wait(list(self._pending), timeout=min(1.0, self._patience_s), fetch_local=False)
            if done:
                self._last_sign = time.monotonic()
            else:
                self._check_patience()
            for ref in done:
                if ref in self._pending:  # else it was answered together with another call to the same actor
                    yield from self._handle(ref, self._pending.pop(ref))
            yield from self._advances()

    # What goes out

    def _dispatch(self) -> None:
        if self._plan.needs_workers:
            while len(self._handles) < self._count:
                self._start_actor()
        else:
            self._end_actors()
        while (block := self._plan.next_block()) is not None:
            self._make_block(block)
        # In turns: nobody has a second cell before everybody has a first one.
        workers = sorted(self._joined)
        while workers:
            workers = [worker for worker in workers if self._give_cell(worker)]
        self._drop_blocks()

    def _give_cell(self, worker: int) -> bool:
        cell = self._plan.next_cell(worker)
        if cell is None:
            return False
        ref = self._handles[worker].process.remote(self._work.load_arguments[cell.load], self._blocks[cell.block])
        self._pending[ref] = _Processing(worker, cell)
        return True

    def _make_block(self, block: int) -> None:
        mark = self._marks.new()
        self._blocks[block], info_ref = self._make.remote(mark, self._work.make, *self._work.make_arguments(block))
        self._pending[info_ref] = _Making(block, mark)

    def _start_actor(self) -> None:
        worker, self._started = self._started, self._started + 1
        actor = ray.remote(_Worker).options(
            num_cpus=self._actors.cpus * room.CPU_SHARE,
            num_gpus=self._actors.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._handles[worker] = actor.remote(self._actors.build)
        # It joins when it answers: cells given to one that finds no place would wait with it.
        self._pending[self._handles[worker].ready.remote()] = _Starting(worker)

    def _end_actors(self) -> None:
        for handle in self._handles.values():
            ray.kill(handle)
        self._handles.clear()
        self._joined.clear()
        # Nobody waits for what they had in hand: it was of loads that were given up.
        self._pending = {r: c for r, c in self._pending.items() if isinstance(c, _Making | _Running)}

    def _drop_blocks(self) -> None:
        live = set(self._plan.live_blocks)
        for block in [b for b in self._blocks if b not in live]:
            del self._blocks[block]

    # What comes in

    def _handle(self, ref: Any, call: _Call) -> Iterator[Event]:
        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            if isinstance(error.cause, BaseException) and not isinstance(error.cause, RayError):
                raise error.cause from error
            # A task that fans out raises what became of its own tasks.
            own = isinstance(call, _Running) and isinstance(error.cause, RayError)
            yield from self._failed(call, error.cause if own else error)
            return
        except RayError as error:
            yield from self._failed(call, error)
            return
        match call:
            case _Making(block):
                info, empty = answer
                finished = self._plan.block_made(block, empty=empty)
                yield BlockMade(block, info)
                yield from (LoadFinished(load) for load in finished)
            case _Processing(worker, cell):
                yield CellDone(cell, answer, self._plan.cell_done(worker, cell))
            case _Running(tag):
                yield TaskDone(tag, answer)
            case _Starting(worker):
                self._failed_starts = 0
                self._joined.add(worker)
                self._plan.worker_joined(worker)

    def _failed(self, call: _Call, error: RayError) -> Iterator[Event]:
        """Take in that a process died; anything else is a fault of the cluster."""
        match call, error:
            case _Processing(worker), RayActorError():
                yield from self._lose(worker, error)
            case _Starting(worker), RayActorError():
                self._not_started(worker, error)
            case _Making(block), _ if isinstance(error, _DEATHS):
                finished = self._plan.block_made(block, empty=True)
                yield BlockLost(block, BLOCK_DIED, _line(error))
                yield from (LoadFinished(load) for load in finished)
            case _Running(tag), _ if isinstance(error, _DEATHS):
                yield TaskLost(tag, TASK_DIED, _line(error))
            case _:
                raise ClusterError(f"the cluster lost a part of the work: {_line(error)}") from error

    def _lose(self, worker: int, error: RayError) -> Iterator[Event]:
        """Give what a dead actor had in hand to another one."""
        handle = self._handles.pop(worker, None)
        if handle is None:
            return  # known: a second call to the same actor
        ray.kill(handle)  # one that is only out of reach must not come back
        self._joined.discard(worker)
        # Answers that it gave before it died first: they are not tried again.
        calls = {r: c for r, c in self._pending.items() if isinstance(c, _Processing) and c.worker == worker}
        for ref, call in calls.items():
            with contextlib.suppress(RayActorError, GetTimeoutError):
                answer = ray.get(ref, timeout=0)
                del self._pending[ref]
                yield CellDone(call.cell, answer, self._plan.cell_done(worker, call.cell))
        for load in self._plan.worker_lost(worker):
            yield LoadLost(load, LOAD_DIED, _line(error))

    def _not_started(self, worker: int, error: RayActorError) -> None:
        """Try again a few times; then do with the actors that there are."""
        del self._handles[worker]
        self._failed_starts += 1
        if error.actor_init_failed:
            raise ClusterError(f"what an actor holds cannot be built there: {_line(error)}") from error
        if self._failed_starts < _START_ATTEMPTS:
            return
        if not self._handles:
            raise ClusterError(f"no actor comes up, {self._failed_starts} died at once: {_line(error)}") from error
        self._count = len(self._handles)

    def _advances(self) -> Iterator[TaskAdvanced]:
        """Look now and then at how far the tasks are that tell it."""
        if not self._tellers or time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        for tag in [call.tag for call in self._pending.values() if isinstance(call, _Running)]:
            if tag in self._tellers and (told := self._marks.told(self._tellers[tag])):
                yield TaskAdvanced(tag, *told)

    # What does not come

    def _check_patience(self) -> None:
        """Refuse to wait for what cannot start: nothing in flight has begun, and nothing has come for long.

        Raises
        ------
        ClusterError
            Saying what was asked for and what there is.
        """
        waited_s = time.monotonic() - self._last_sign
        if waited_s < self._patience_s:
            return
        self._last_sign = time.monotonic()
        calls = list(self._pending.values())
        if any(isinstance(call, _Processing) for call in calls):
            return  # an actor is at it
        if self._marks.any_started(call.mark for call in calls if isinstance(call, _Making | _Running)):
            return
        starting = sum(isinstance(call, _Starting) for call in calls)
        free = ray.available_resources()
        raise ClusterError(
            f"nothing could start for {waited_s:.0f} s: {starting} process(es) of "
            f"{room.asked(self._actors.cpus, self._actors.gpus)} and {len(calls) - starting} task(s) wait; "
            f"{room.offered(room.alive(ray.nodes()))}, of which {free.get('CPU', 0):g} CPU(s) and "
            f"{free.get('GPU', 0):g} GPU(s) are free. Wait for other work on the cluster to end, or add nodes"
        )

    def _describe_clamp(self) -> str:
        wanted, each = self._actors.count, room.asked(self._actors.cpus, self._actors.gpus)
        return f"{self._count} worker(s) of {each} in place of {wanted}: {room.offered(self._nodes)}"


def _line(error: RayError) -> str:
    return " ".join(str(error).split())[:300]


@dataclasses.dataclass(frozen=True)
class _Starting:
    worker: int


@dataclasses.dataclass(frozen=True)
class _Making:
    block: int
    mark: str


@dataclasses.dataclass(frozen=True)
class _Processing:
    worker: int
    cell: Cell


@dataclasses.dataclass(frozen=True)
class _Running:
    tag: Hashable
    mark: str


_Call = _Starting | _Making | _Processing | _Running
