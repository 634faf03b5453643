"""A cluster with a simulated clock around the real plan: it books where the workers' time goes."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from scheduling_scenario import Scenario, Span

from raycluster.planning import plan as plan_module
from raycluster.planning.plan import Cell


@dataclasses.dataclass
class Losses:
    """Where the workers' time went, in seconds at speed 1; together it is all the time that they lived."""

    work: float = 0.0
    first_loads: float = 0.0
    reloads: float = 0.0
    repeated: float = 0.0  # cells that were done already, or were done elsewhere first
    died: float = 0.0  # calls that ended with their node
    lost_blocks: float = 0.0  # waiting for a block that is made again
    calls: float = 0.0  # waiting for the driver
    idle_start: float = 0.0  # before the first block is there
    idle_middle: float = 0.0  # while blocks are still made
    idle_end: float = 0.0  # after the last block is made

    def total(self) -> float:
        """Return the sum of all."""
        return sum(dataclasses.astuple(self))


class Outcome(NamedTuple):
    """What a simulation found."""

    makespan: float
    bound: float
    losses: Losses
    loadings: int
    answers: int
    deaths: int


@dataclasses.dataclass(eq=False)
class _Worker:
    number: int
    node: int
    joined: float
    queue: deque[Cell] = dataclasses.field(default_factory=deque)
    load: int | None = None
    free_since: float = 0.0
    # Of the call that runs: when it began, and what it spends on what.
    began: float | None = None
    parts: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    dead: bool = False


class Simulation:
    """Plays a scenario against a plan, event by event."""

    def __init__(self, scenario: Scenario, code: Any = plan_module) -> None:
        self.scenario, self.shape = scenario, scenario.shape
        self.limits = code.Limits(scenario.memory_bytes)
        self.plan = code.Plan(scenario.block_bytes, scenario.needs, self.limits)
        self.losses = Losses()
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.workers: dict[int, _Worker] = {}
        self.hungry: dict[int, None] = {}
        self.numbers = itertools.count()
        self.draw = random.Random(f"{scenario.seed} places")
        self.home: dict[int, int] = {}
        self.there_at: dict[int, float] = {}
        self.done: set[Cell] = set()
        self.loaded: set[int] = set()
        self.loadings = self.answers = self.deaths = 0
        self.first_made = self.all_made = math.inf
        self.idle: list[tuple[float, float, float]] = []  # from, to, speed
        self.makers = [0.0] * self.shape.nodes

    def run(self) -> Outcome:
        """Play to the end."""
        for node, spans in enumerate(self.scenario.lives):
            for span in spans:
                self._at(span.joined, lambda node=node, span=span: self._node_up(node, span))
        self._dispatch()
        while not self.plan.finished:
            if not self.events:
                raise AssertionError(f"seed {self.scenario.seed}: the plan waits for ever")
            self.now, _, action = heapq.heappop(self.events)
            action()
            self._dispatch()
        self._end()
        bound = self.scenario.bound()
        capacity = self.scenario.capacity(self.now)
        if not math.isclose(self.losses.total(), capacity, rel_tol=1e-6):
            raise AssertionError(f"{self.losses.total()} s of the workers' time were booked, of {capacity} s")
        return Outcome(self.now, bound, self.losses, self.loadings, self.answers, self.deaths)

    def _at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (time, next(self.order), action))

    # As the pool does it

    def _dispatch(self) -> None:
        while (block := self.plan.next_block()) is not None:
            node = min(range(self.shape.nodes), key=lambda n: (self.makers[n], self.draw.random()))
            begin = max(self.now, self.makers[node])
            self.makers[node] = end = begin + self.scenario.make_s[block] * self.scenario.slowness[node]
            self.home[block] = node
            self._at(end, lambda block=block: self._block_made(block))
        turn = sorted(self.hungry)
        while turn:
            turn = [worker for worker in turn if self._give(self.workers[worker])]

    def _give(self, worker: _Worker) -> bool:
        cell = self.plan.next_cell(worker.number)
        if cell is None:
            return False
        worker.queue.append(cell)
        if len(worker.queue) == self.limits.calls_per_worker:
            del self.hungry[worker.number]
        if not worker.dead and worker.began is None:
            self._begin(worker, waits=True)
        return worker.number in self.hungry

    def _block_made(self, block: int) -> None:
        self.first_made = min(self.first_made, self.now)
        self.plan.block_made(block)
        if self.plan.all_made:
            self.all_made = min(self.all_made, self.now)

    # Workers

    def _begin(self, worker: _Worker, *, waits: bool = False) -> None:
        cell = worker.queue[0]
        slowness = self.scenario.slowness[worker.node]
        self.idle.append((worker.free_since, self.now, 1 / slowness))
        call = self.shape.call_s if waits else 0.0
        block = max(0.0, self.there_at.get(cell.block, 0.0) - self.now - call)
        load = self.scenario.load_s[cell.load] * slowness if worker.load != cell.load else 0.0
        work = self.scenario.cost(cell.load, cell.block) * slowness
        worker.began, worker.parts = self.now, (call, block, load, work)
        self._at(self.now + call + block + load + work, lambda: self._answer(worker, cell))

    def _answer(self, worker: _Worker, cell: Cell) -> None:
        if worker.dead:
            return
        self._book(worker, cell)
        worker.queue.popleft()
        worker.began, worker.free_since = None, self.now
        self.answers += 1
        self.done.add(cell)
        self.plan.cell_done(worker.number, cell)
        self.hungry[worker.number] = None
        if worker.queue:
            self._begin(worker)

    def _book(self, worker: _Worker, cell: Cell) -> None:
        """Write down what a call that ended well was spent on."""
        speed = 1 / self.scenario.slowness[worker.node]
        call, block, load, work = (part * speed for part in worker.parts)
        self.losses.calls += call
        self.losses.lost_blocks += block
        if worker.load != cell.load:
            self.loadings += 1
            worker.load = cell.load
            if cell.load in self.loaded:
                self.losses.reloads += load
            else:
                self.losses.first_loads += load
                self.loaded.add(cell.load)
        if cell in self.done:
            self.losses.repeated += work
        else:
            self.losses.work += work

    # Nodes

    def _node_up(self, node: int, span: Span) -> None:
        here = []
        for _ in range(self.shape.workers_per_node):
            worker = _Worker(next(self.numbers), node, self.now, free_since=self.now)
            self.workers[worker.number] = worker
            self.hungry[worker.number] = None
            self.plan.worker_joined(worker.number)
            here.append(worker)
        self._at(span.died, lambda: self._node_down(node, here))

    def _node_down(self, node: int, here: list[_Worker]) -> None:
        self.deaths += 1
        for worker in here:
            worker.dead = True
            self._stop(worker, "died")
            self.hungry.pop(worker.number, None)
        known = self.now + self.shape.detect_s
        for block in self.plan.live_blocks:
            if self.home.get(block) == node:
                self.there_at[block] = known + self.scenario.make_s[block]
                self.home[block] = self.draw.randrange(self.shape.nodes)
        self._at(known, lambda: self._detected(here))

    def _detected(self, here: list[_Worker]) -> None:
        for worker in here:
            del self.workers[worker.number]
            if self.plan.worker_lost(worker.number):
                raise AssertionError(f"seed {self.scenario.seed}: a load was given up")

    def _stop(self, worker: _Worker, cause: str) -> None:
        """Book the time of a call that never ends, or the idle time, of a worker that ends now."""
        speed = 1 / self.scenario.slowness[worker.node]
        if worker.began is None:
            self.idle.append((worker.free_since, self.now, speed))
        else:
            spent = (self.now - worker.began) * speed
            setattr(self.losses, cause, getattr(self.losses, cause) + spent)

    def _end(self) -> None:
        for worker in self.workers.values():
            if not worker.dead:
                self._stop(worker, "repeated")
        edges = [self.first_made, max(self.first_made, self.all_made)]
        names = ["idle_start", "idle_middle", "idle_end"]
        for begin, stop, speed in self.idle:
            points = [begin, *(min(max(begin, e), stop) for e in edges), stop]
            for name, (left, right) in zip(names, itertools.pairwise(points), strict=True):
                setattr(self.losses, name, getattr(self.losses, name) + (right - left) * speed)
