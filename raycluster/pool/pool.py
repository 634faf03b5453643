"""Carry a plan out on Ray: tasks make blocks, a pool of actors processes them, plain tasks run beside."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from raycluster.connection.head import Head
from raycluster.errors import ClusterError
from raycluster.planning.plan import Cell, Plan
from raycluster.pool import room
from raycluster.pool.calls import DEATHS, Call, Deaths, Making, Processing, Running, Starting, line
from raycluster.pool.crew import Crew
from raycluster.pool.events import (
    BLOCK_DIED,
    LOAD_DIED,
    TASK_DIED,
    BlockLost,
    BlockMade,
    CellDone,
    Event,
    LoadFinished,
    LoadLost,
    NodesChanged,
    TaskAdvanced,
    TaskDone,
    TaskLost,
)
from raycluster.pool.fan import Fan
from raycluster.pool.guests import Guests
from raycluster.pool.marks import Advances, Marks, Teller, name_of
from raycluster.pool.patience import Patience
from raycluster.pool.tasks import Tasks
from raycluster.pool.work import Actors, Work

# Of processes that die of the same block or plain task, before it is given up.
_ATTEMPTS = 3
# Between two looks at how far the running tasks are.
_TELL_EVERY_S = 1.0
# Nothing comes, and tasks find no room: actors that idle meanwhile may be what they wait for.
_STARVED_S = 10.0


class Pool:
    """Runs a plan and plain tasks, and yields what happened. Leaving it ends the actors and cancels what is in flight.

    Processes and machines may die and come at any moment: what they had in hand is done again, and there are as many
    actors as the nodes of that moment have room for.

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
        self._guests = Guests(actors.guest)
        self._work = self._guests.work(work)
        self._tasks = Tasks(work, self._work)
        self._actors = self._guests.actors(actors)
        self._patience = Patience(patience_s)
        self._head = Head()
        self._crew = Crew(self._actors)
        if plan.needs_workers:
            self._crew.require()
        self.note = self._crew.note if plan.needs_workers else None
        self._blocks: dict[int, ray.ObjectRef[Any]] = {}
        self._pending: dict[ray.ObjectRef[Any], Call] = {}
        self._shared: dict[Hashable, ray.ObjectRef[Any]] = {}
        self._deaths = Deaths()
        self._marks = Marks()
        self._told = Advances(self._marks)
        self._told_at = self._fed_at = 0.0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.clear()
        if not self._head.answers:
            return  # it would be asked in vain, and its workers end with it
        for ref, call in self._pending.items():
            if isinstance(call, Making | Running):
                ray.cancel(ref, force=True)
        self._end_actors()
        # A cluster that went away has forgotten them already.
        with contextlib.suppress(RayError, OSError, RuntimeError):
            self._marks.clear()
            self._guests.clear()

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
        through = self._guests.through(function)
        self._start_task(Running(tag, name_of(function), self._marks.new(), threads, through, arguments))

    def fan(self, tasks: int) -> Callable[[Any], Fan]:
        """Return what a plain task takes to run tasks of its own, so many at a time, of one thread each.

        It is handed to `submit` among the arguments, and called inside the task with the value that they share.
        """
        return functools.partial(Fan, cpus=self._share, at_once=tasks, through=self._guests.part)

    def teller(self, tag: Hashable) -> Teller:
        """Return what a plain task calls to say how far it is; it comes as TaskAdvanced(tag, done, of)."""
        return self._told.teller(tag)

    @property
    def nodes(self) -> Sequence[room.Node]:
        """What the nodes that are alive offer, as of the last look."""
        return self._crew.nodes

    def avoid(self, node: str) -> None:
        """Have no actor on a node any more, as long as another one has room for one."""
        self._crew.avoid(node)

    def others(self, node: str) -> bool:
        """Whether another node has room for an actor, so that what failed on this one can be tried there."""
        return bool(node) and self._crew.others(node)

    def give_up(self, load: int) -> None:
        """Ask nothing of a load any more."""
        self._plan.give_up(load)

    def events(self) -> Iterator[Event]:
        """Yield events until the plan is finished and no plain task is left. More may be submitted meanwhile."""
        self._patience.sign()
        while True:
            self._dispatch()
            if not self._pending and self._plan.finished:
                yield from self._guests.news(self._head.knock, len(self._crew.nodes), last=True)
                return
            if not self._pending and self._crew.count:
                raise ClusterError("work is left and nothing is in flight: a mistake of this program; run it again")
            yield from self._wait()
            self._head.look()
            if self._head.answers:
                yield from self._look_at_nodes()
                yield from self._advances()
                yield from self._guests.news(self._head.knock, len(self._crew.nodes))

    def _wait(self) -> Iterator[Event]:
        # A bound on the wait lets Ctrl-C and SIGTERM through.
        bound_s = min(1.0, self._patience.seconds)
        if not self._pending:  # no node is left that has room for an actor
            time.sleep(bound_s)
        done = ray.wait(list(self._pending), timeout=bound_s, fetch_local=False)[0] if self._pending else []
        if done:
            self._patience.sign()
            self._guests.went_on()
        elif self._head.answers:
            self._patience.check(self._pending.values(), self._marks, self._actors, self._crew.nodes)
            self._guests.check_patience(self._pending.values(), self._marks)
            yield from self._feed()
        for ref in done:
            if ref in self._pending:  # else it was answered together with another call to the same actor
                yield from self._handle(ref, self._pending.pop(ref))

    # What goes out

    def _dispatch(self) -> None:
        if not self._plan.needs_workers:
            self._end_actors()
        elif self._head.answers:
            for worker, ref in self._crew.fill(self._plan.cells_left):
                # It joins when it answers: cells given to one that finds no place would wait with it.
                self._pending[ref] = Starting(worker)
        while (block := self._plan.next_block()) is not None:
            self._make_block(block)
        # In turns: nobody has a second cell before everybody has a first one.
        workers = sorted(self._crew.joined)
        while workers:
            workers = [worker for worker in workers if self._give_cell(worker)]
        self._drop_blocks()

    def _give_cell(self, worker: int) -> bool:
        cell = self._plan.next_cell(worker)
        if cell is None:
            return False
        self._process(worker, cell)
        return True

    def _process(self, worker: int, cell: Cell) -> None:
        block = self._blocks[cell.block]
        ref = self._crew.process(worker, self._work.load_arguments[cell.load], block)
        self._pending[ref] = Processing(worker, cell, block)

    def _make_block(self, block: int, *, again: bool = False) -> None:
        mark = self._marks.new()
        self._blocks[block], info_ref = self._tasks.make(block, mark)
        self._pending[info_ref] = Making(block, mark, again)

    def _start_task(self, call: Running) -> None:
        self._pending[self._tasks.run(call, self._share, self._crew.nodes)] = call

    def _end_actors(self) -> None:
        self._crew.end_all()
        # Nobody waits for what they had in hand: it was of loads that were given up.
        self._pending = {r: c for r, c in self._pending.items() if isinstance(c, Making | Running)}

    def _drop_blocks(self) -> None:
        live = set(self._plan.live_blocks)
        for block in [b for b in self._blocks if b not in live]:
            del self._blocks[block]

    # What comes in

    def _handle(self, ref: Any, call: Call) -> Iterator[Event]:
        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            if isinstance(error.cause, BaseException) and not isinstance(error.cause, RayError):
                raise error.cause from error
            # What became of a block that was handed over, or of the tasks of a task that fans out.
            yield from self._failed(call, error.cause if isinstance(error.cause, RayError) else error)
        except (RayActorError, OutOfMemoryError) as error:
            yield from self._died(call, error)
        except RayError as error:
            yield from self._failed(call, error)
        else:
            yield from self._returned(call, answer)

    def _returned(self, call: Call, answer: Any) -> Iterator[Event]:
        match call:
            case Making(block, again=True):
                if block in self._blocks:  # the plan has it; what cannot be made any more is news all the same
                    yield BlockMade(block, answer[0], again=True)
            case Making(block):
                info, empty = answer
                finished = self._plan.block_made(block, empty=empty)
                self._crew.come_back()
                yield BlockMade(block, info)
                yield from (LoadFinished(load) for load in finished)
            case Processing(worker, cell):
                yield from self._answered(worker, cell, answer)
            case Running(tag):
                yield TaskDone(tag, answer)
            case Starting(worker):
                if self._crew.came_up(worker, *answer):
                    self._plan.worker_joined(worker)

    def _died(self, call: Call, error: RayActorError | OutOfMemoryError) -> Iterator[Event]:
        """Take in that the process of a call died; of an actor that Ray ended for its memory, it says nothing else."""
        match call:
            case Processing(worker):
                yield from self._lose(worker, line(error), out_of_memory=isinstance(error, OutOfMemoryError))
            case Starting(worker):
                self._crew.not_started(worker, error)
            case _:
                yield from self._failed(call, error)

    def _failed(self, call: Call, error: RayError) -> Iterator[Event]:
        """Take in that a process, a machine or a block is gone; anything else is a fault of the cluster."""
        match call, error:
            case Making(), _ if isinstance(error, DEATHS):
                yield from self._make_again(call, error)
            case Processing(), _ if isinstance(error, DEATHS):
                self._process_again(call)
            case Running(tag), _ if isinstance(error, DEATHS):
                if self._deaths.too_many(("task", tag), error, _ATTEMPTS):
                    yield TaskLost(tag, TASK_DIED, line(error))
                else:
                    self._start_task(call)
            case _:
                raise ClusterError(f"the cluster lost a part of the work: {line(error)}") from error

    def _make_again(self, call: Making, error: RayError) -> Iterator[Event]:
        """Make a block once more; give it up when its makers die of it."""
        if call.block not in self._blocks:
            return  # made for loads that are done or given up by now
        if not self._deaths.too_many(("block", call.block), error, _ATTEMPTS):
            self._make_block(call.block, again=call.again)
        elif call.again:
            raise ClusterError(f"a block that was lost cannot be made again: {line(error)}") from error
        else:
            finished = self._plan.block_made(call.block, empty=True)
            yield BlockLost(call.block, BLOCK_DIED, line(error))
            yield from (LoadFinished(load) for load in finished)

    def _process_again(self, call: Processing) -> None:
        """Hand a cell to its actor once more: the block went away with its machine, and is made again."""
        if call.worker not in self._crew.joined:
            return  # the plan has taken it back
        if call.cell.block not in self._blocks:
            self._plan.cell_done(call.worker, call.cell)  # a copy: another actor has answered meanwhile
            return
        if self._blocks[call.cell.block] is call.block:
            self._make_block(call.cell.block, again=True)
        self._process(call.worker, call.cell)

    def _lose(self, worker: int, why: str, *, out_of_memory: bool = False) -> Iterator[Event]:
        """Give what an actor had in hand to another one."""
        if not self._crew.end(worker):
            return  # known: a second call to the same actor
        # Answers that it gave before it died first: they are not tried again.
        calls = {r: c for r, c in self._pending.items() if isinstance(c, Processing) and c.worker == worker}
        for ref, call in calls.items():
            with contextlib.suppress(RayError, GetTimeoutError):
                answer = ray.get(ref, timeout=0)
                del self._pending[ref]
                yield from self._answered(worker, call.cell, answer)
        for load in self._plan.worker_lost(worker):
            yield LoadLost(load, LOAD_DIED, why, out_of_memory or self._crew.died_of_memory(worker))

    def _answered(self, worker: int, cell: Cell, answer: Any) -> Iterator[CellDone]:
        """Tell an answer once: of a cell that two workers had, the second is no news."""
        news = self._plan.awaits(cell)
        finished = self._plan.cell_done(worker, cell)
        if news:
            yield CellDone(cell, answer, finished, self._crew.joined.get(worker, ""))

    # What changes meanwhile

    def _look_at_nodes(self) -> Iterator[Event]:
        if not self._crew.look(self._head.knock):
            return
        for worker in self._crew.lost:
            yield from self._lose(worker, "its node went away, or is not used any more")
        if self._plan.needs_workers:
            yield NodesChanged(self._crew.note or f"{self._crew.count} worker(s): {room.offered(self._crew.nodes)}")

    def _feed(self) -> Iterator[Event]:
        """End an actor that idles where tasks find no room, since it may hold what they wait for.

        Two pools on one cluster hold each other up so: the actors of each take the room that the other's tasks need.
        """
        now = time.monotonic()
        if now - max(self._patience.since, self._fed_at) < _STARVED_S:
            return
        self._fed_at = now
        calls = list(self._pending.values())
        making = {call.block for call in calls if isinstance(call, Making)}
        if any(isinstance(call, Processing) and call.cell.block not in making for call in calls):
            return
        waiting = [call.mark for call in calls if isinstance(call, Making | Running)]
        if waiting and self._crew.joined and not self._marks.any_started(waiting):
            self._crew.make_room()
            yield from self._lose(min(self._crew.joined), "it made room for others")

    def _advances(self) -> Iterator[TaskAdvanced]:
        """Look now and then at how far the tasks are that tell it."""
        if not self._told or time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        if not self._head.knock():
            return
        for told in self._told.news([call.tag for call in self._pending.values() if isinstance(call, Running)]):
            self._guests.advanced(told.tag, told.done)
            yield TaskAdvanced(*told)
