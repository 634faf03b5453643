"""Random histories of a hostile cluster, played against the plan: each is drawn from one seed and replays from it.

Answers are lost, late, doubled and reordered; workers and whole nodes die and come back, noticed late; blocks are lost;
some cells kill every process, some loads cannot be used; the store may be smaller than the plan believes; one worker at
a time may live and never answer. After every step the bounds are checked, and at the end that every cell was done once
in effect.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from raycluster.planning import plan as plan_module


class BrokenPromiseError(AssertionError):
    """A promise of the plan that was broken; it names the seed."""


class Ended(NamedTuple):
    """What a history came to, to see that it was one."""

    steps: int
    cells: int  # told once in effect
    lost_loads: int  # given up
    happened: frozenset[str]


class History:
    """One history.

    Parameters
    ----------
    seed
        All that happens follows from it.
    code
        The module with `Plan`, `Limits` and `Cell`: another one to see whether a fault in it is found.
    """

    def __init__(self, seed: int, code: Any = plan_module) -> None:
        self.seed, self.code = seed, code
        self.random = draw = random.Random(seed)
        self.sizes = [draw.randint(1, 40) for _ in range(draw.randint(0, 9))]
        blocks = range(len(self.sizes))
        wish = draw.choice([0.3, 0.8, 1.0])
        self.needs = {n: {b for b in blocks if draw.random() < wish} for n in range(draw.randint(0, 6))}
        self.limits = code.Limits(
            memory_bytes=draw.choice([1, 45, 80, 200, 10**6]),
            calls_per_worker=draw.choice([1, 2, 2, 3]),
            attempts=draw.choice([1, 3, 3, 5]),
        )
        self.make_all = draw.random() < 0.5
        self.plan = code.Plan(self.sizes, self.needs, self.limits, make_all=self.make_all)
        self._draw_misfortunes()
        self._begin()

    def _draw_misfortunes(self) -> None:
        draw, blocks = self.random, range(len(self.sizes))
        # The store holds less than the plan was told: a block beyond it cannot be made until memory is free.
        self.store_bytes = draw.choice([1, 60, 10**7])
        self.empty = {b for b in blocks if draw.random() < 0.1}
        self.unmakable = {b for b in blocks if draw.random() < 0.05}
        cells = [self.code.Cell(load, b) for load, needed in self.needs.items() for b in sorted(needed)]
        self.deadly = {cell for cell in cells if draw.random() < 0.02}
        self.unusable = {load for load in self.needs if draw.random() < 0.05}
        self.calm = draw.random() < 0.2  # nothing dies by chance
        self.silent = draw.random() < 0.3  # a worker may live and never answer
        self.eager = draw.choice([0.2, 1.0])  # how often the driver finds time to give work out

    def _begin(self) -> None:
        self.steps = 0
        self.happened: set[str] = set()
        self.making: list[int] = []
        self.made: set[int] = set()
        self.asked: set[int] = set()
        self.calls: list[tuple[int, Any]] = []  # in flight, of workers that live
        self.stuck: list[tuple[int, Any]] = []  # in flight, of workers whose death is not known yet
        self.unanswered: list[tuple[int, Any]] = []  # in flight, of the worker that never answers
        self.echoes: list[tuple[int, Any]] = []  # answers on their way after all, and second answers
        self.block_echoes: list[tuple[int, bool]] = []  # second answers, and whether the block is empty
        self.node: dict[int, int] = {}  # of every worker that the plan knows
        self.dead: set[int] = set()  # of those
        self.hung: int | None = None  # of those that live
        self.joined = 0
        self.hand: dict[int, list[Any]] = {}  # what the plan must think that each worker has
        self.told: set[Any] = set()
        self.blamed: dict[Any, int] = {}
        self.suspects: set[Any] = set()
        self.finished_loads: list[int] = []
        self.given_up: set[int] = set()

    def run(self) -> Ended:
        """Play until the plan is finished, then deliver all that is still on its way.

        Raises
        ------
        BrokenPromiseError
            Naming the seed and the broken promise.
        """
        try:
            self._play()
            self._drain()
        except BrokenPromiseError:
            raise
        except Exception as error:
            raise BrokenPromiseError(f"seed {self.seed}, step {self.steps}: {type(error).__name__}: {error}") from error
        return Ended(self.steps, len(self.told), len(self.given_up), frozenset(self.happened))

    def check(self, holds: bool, promise: str) -> None:
        """See that a promise holds."""
        if not holds:
            raise BrokenPromiseError(f"seed {self.seed}, step {self.steps}: {promise}")

    def _play(self) -> None:
        most = 2000 + 100 * sum(map(len, self.needs.values()))
        while not (self.plan.finished and not self.making):
            self.steps += 1
            self.check(self.steps < most, "the plan makes no progress")
            hire = not self.node.keys() - {self.hung} or (len(self.node) < 4 and self.random.random() < 0.3)
            if hire:
                self._join()
            if self.random.random() < self.eager:
                self._give_out()
                self._check_something_moves()
            self._act()
            self._check_bounds()

    # What the driver does

    def _join(self) -> None:
        worker, self.joined = self.joined, self.joined + 1
        self.node[worker] = self.random.randrange(2)
        self.hand[worker] = []
        self.plan.worker_joined(worker)

    def _give_out(self) -> None:
        while (block := self.plan.next_block()) is not None:
            self.check(block not in self.asked, "a block is made twice")
            self.asked.add(block)
            self.making.append(block)
        self._check_room_is_used()
        workers = sorted(self.node)
        self.random.shuffle(workers)
        while workers:
            workers = [worker for worker in workers if self._give_cell(worker)]
        if not all(self.hand.values()):
            self.check(not self._open_cells(), "a worker has empty hands, and a cell waits")

    def _check_room_is_used(self) -> None:
        loads = [load for load in self.needs if self.make_all or load not in self.given_up]
        waiting = set().union(*(self.needs[load] for load in loads)) - self.asked
        used = sum(self.sizes[block] for block in self.plan.live_blocks)
        room = not used or (waiting and used + self.sizes[min(waiting)] <= self.limits.memory_bytes)
        self.check(not (waiting and room), "there is room for a block, and it is not made")

    def _open_cells(self) -> set[Any]:
        """Return the cells whose block is there, that are not done and that nobody has in hand."""
        loads = {load for load in self.needs if load not in self.given_up}
        ready = {self.code.Cell(load, b) for load in loads for b in self.needs[load] & self.made}
        return ready - self.told - {cell for cells in self.hand.values() for cell in cells}

    def _give_cell(self, worker: int) -> bool:
        cell = self.plan.next_cell(worker)
        if cell is None:
            return False
        self.check(cell.block in self.made and cell.block in self.plan.live_blocks, "a cell without its block")
        self.check(cell not in self.told, "a cell that is done is given out")
        self.check(cell not in self.hand[worker], "a worker is given a cell that it has")
        self.check(cell.load not in self.given_up, "a cell of a load that was given up")
        self.check(cell.block in self.needs[cell.load], "a cell that nobody asked for")
        holders = sum(cell in cells for cells in self.hand.values())
        self.check(holders == 0 or (holders == 1 and not self.making), "a cell has too many copies")
        if holders:
            self.happened.add("copy")
            if not self.plan.all_made:
                self.happened.add("copy before all is made")
        together = [cell, *self.hand[worker]]
        self.check(len(together) == 1 or self.suspects.isdisjoint(together), "a suspect is not alone")
        self.hand[worker].append(cell)
        calls = self.stuck if worker in self.dead else self.unanswered if worker == self.hung else self.calls
        calls.append((worker, cell))
        return True

    def _check_something_moves(self) -> None:
        moving = self.making or self.calls or self.dead or self.plan.finished
        self.check(bool(moving), "work is left, workers are there, and nothing is in flight")

    # What happens

    def _act(self) -> None:
        actions = [self._make, self._answer, self._answer, self._answer, self._echo, self._notice]
        if not self.calm and self.random.random() < 0.3:
            actions += [self._kill_worker, self._kill_node, self._give_up]
        if self.silent:
            actions += [self._hang]
        self.random.choice(actions)()

    def _make(self) -> None:
        if not self.making:
            return
        block = self.making[self.random.randrange(len(self.making))]
        held = sum(self.sizes[b] for b in self.plan.live_blocks if b not in self.making)
        # While a worker never answers, there is room all the same: what it keeps for ever is spilled to the disk.
        if self.hung is None and held and held + self.sizes[block] > self.store_bytes:
            self.happened.add("full store")
            return
        self.making.remove(block)
        gone = block in self.empty or block in self.unmakable
        self.happened.add("empty block" if block in self.empty else "lost block" if gone else "block")
        if not gone:
            self.made.add(block)
        loads = [load for load, blocks in self.needs.items() if block in blocks and load not in self.given_up]
        if gone:
            self.told.update(self.code.Cell(load, block) for load in loads)
        self._finish(self.plan.block_made(block, empty=gone))
        if self.random.random() < 0.2:
            self.block_echoes.append((block, gone))

    def _answer(self) -> None:
        if not self.calls:
            return
        worker, cell = self.calls.pop(self.random.randrange(len(self.calls)))
        if cell in self.deadly:
            self.calls.append((worker, cell))
            self._die(worker)
            self._lost(worker)
        elif cell.load in self.unusable:
            self._deliver(worker, cell)
            self._give_up_one(cell.load)
        else:
            self._deliver(worker, cell)
            if self.random.random() < 0.2:
                self.echoes.append((worker, cell))

    def _deliver(self, worker: int, cell: Any) -> None:
        news = cell not in self.told and cell.load not in self.given_up
        self.check(self.plan.awaits(cell) == news, "the plan awaits what it knows, or does not await news")
        if cell in self.hand.get(worker, ()):
            self.hand[worker].remove(cell)
        elif worker not in self.node and news:
            self.happened.add("late answer")
        finished = self.plan.cell_done(worker, cell)
        self.check(news or not finished, "a second answer finishes a load")
        if news:
            self.told.add(cell)
            self.suspects.discard(cell)
        else:
            self.happened.add("doubled answer")
        self._finish([cell.load] if finished else [])

    def _echo(self) -> None:
        if self.echoes:
            self._deliver(*self.echoes.pop(self.random.randrange(len(self.echoes))))
        if self.block_echoes:
            block, gone = self.block_echoes.pop(self.random.randrange(len(self.block_echoes)))
            self.check(self.plan.block_made(block, empty=gone) == [], "a second answer for a block tells something")
            self.happened.add("doubled block")

    def _hang(self) -> None:
        alive = [worker for worker in self.node if worker not in self.dead]
        if alive and self.hung is None:
            self.happened.add("hung worker")
            self.hung = self.random.choice(alive)
            self.unanswered = [call for call in self.calls if call[0] == self.hung]
            self.calls = [call for call in self.calls if call[0] != self.hung]

    def _kill_worker(self) -> None:
        alive = [worker for worker in self.node if worker not in self.dead]
        if alive:
            self.happened.add("dead worker")
            self._die(self.random.choice(alive))

    def _kill_node(self) -> None:
        node = self.random.randrange(2)
        self.happened.add("dead node")
        for worker in [w for w, n in self.node.items() if n == node and w not in self.dead]:
            self._die(worker)

    def _die(self, worker: int) -> None:
        """End a process; nobody knows it yet."""
        self.dead.add(worker)
        self.stuck += [call for call in self.calls if call[0] == worker]
        self.calls = [call for call in self.calls if call[0] != worker]
        if worker == self.hung:
            self.stuck += self.unanswered
            self.hung, self.unanswered = None, []

    def _notice(self) -> None:
        if self.dead:
            self._lost(self.random.choice(sorted(self.dead)))

    def _lost(self, worker: int) -> None:
        """Tell the driver of a death. Some calls were done all the same: their answers come late."""
        mine = [call for call in self.stuck if call[0] == worker]
        self.stuck = [call for call in self.stuck if call[0] != worker]
        self.echoes += [call for call in mine if call[1] not in self.deadly and self.random.random() < 0.5]
        self.dead.remove(worker)
        del self.node[worker]
        cells = self.hand.pop(worker)
        awaited = [cell for cell in cells if cell not in self.told and cell.load not in self.given_up]
        expected: list[int] = []
        if len(cells) == 1 and awaited:
            self.blamed[cells[0]] = self.blamed.get(cells[0], 0) + 1
            expected = [cells[0].load] if self.blamed[cells[0]] >= self.limits.attempts else []
        elif len(cells) > 1:
            self.suspects.update(awaited)
        lost = self.plan.worker_lost(worker)
        self.check(lost == expected, f"loads {lost} were given up for a death, expected {expected}")
        self.given_up.update(lost)
        if lost:
            self.happened.add("load that kills")

    def _give_up(self) -> None:
        if self.needs and self.random.random() < 0.1:
            self._give_up_one(self.random.choice(sorted(self.needs)))

    def _give_up_one(self, load: int) -> None:
        self.plan.give_up(load)
        if load not in self.finished_loads and load not in self.given_up:
            self.happened.add("load given up")
            self.given_up.add(load)

    def _finish(self, loads: list[int]) -> None:
        for load in loads:
            self.check(load not in self.finished_loads, "a load is finished twice")
            self.check(load not in self.given_up, "a load that was given up is finished")
            wanted = {self.code.Cell(load, block) for block in self.needs[load]}
            self.check(wanted <= self.told, "a load is finished before its cells are")
            self.finished_loads.append(load)

    # What must hold

    def _check_bounds(self) -> None:
        live = self.plan.live_blocks
        self.check(live == sorted(set(live)), "live blocks are not in order")
        self.check(set(self.making) <= set(live), "a block in the making was forgotten")
        used = sum(self.sizes[block] for block in live)
        self.check(used <= self.limits.memory_bytes or len(live) == 1, "more memory than allowed")
        self.check(not (self.making and self.plan.all_made), "all blocks are made, and one is in the making")
        most = max(map(len, self.hand.values()), default=0)
        self.check(most <= self.limits.calls_per_worker, "too many calls in flight")
        open_loads = {load for load, blocks in self.needs.items() if blocks}
        open_loads -= self.given_up | set(self.finished_loads)
        self.check(self.plan.needs_workers == bool(open_loads), "it is not said whether workers are needed")
        # Dropped as soon as nobody needs it, and not before.
        needed = {b for load in open_loads for b in self.needs[load] if self.code.Cell(load, b) not in self.told}
        held = set(live) - set(self.making)
        self.check(held == needed & self.asked - set(self.making), "held blocks are not the blocks that are needed")

    def _drain(self) -> None:
        """Nothing that comes after the end changes anything; then the sum is drawn."""
        for call in [*self.calls, *self.stuck, *self.unanswered, *self.echoes]:
            self._deliver(*call)
        for worker in [w for w in self.node if w not in self.dead]:
            self.check(self.plan.next_cell(worker) is None, "a cell is given out after the end")
        wanted = {load for load, blocks in self.needs.items() if blocks} - self.given_up
        self.check(set(self.finished_loads) == wanted, "loads ended neither done nor given up")
        self.check(self.plan.finished and self.plan.next_block() is None, "it ended, and goes on")
        asked_for = set().union(*self.needs.values()) if self.needs else set()
        self.check(self.asked <= asked_for, "a block that nobody asked for was made")
        self.check(self.plan.all_made, "blocks are still to come after the end")
        self.check(self.asked == asked_for or not self.make_all, "a block was not made")
