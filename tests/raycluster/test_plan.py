"""Scheduling without Ray: every cell once in effect, whatever is lost, late, doubled or reordered."""

from __future__ import annotations

import random

import pytest

from raycluster.plan import Cell, Limits, Plan


class Simulation:
    """A cluster that loses, doubles, delays and reorders, from one seed; it checks the bounds at every step."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sizes = [self.random.randint(1, 40) for _ in range(self.random.randint(0, 12))]
        loads = range(self.random.randint(0, 6))
        blocks = range(len(self.sizes))
        self.needs = {load: {b for b in blocks if self.random.random() < 0.7} for load in loads}
        self.limits = Limits(memory_bytes=self.random.choice([1, 60, 200, 10**6]), attempts=self.random.choice([3, 50]))
        self.make_all = self.random.random() < 0.5
        self.plan = Plan(self.sizes, self.needs, self.limits, make_all=self.make_all)
        self.made: list[int] = []
        self.making: list[int] = []
        self.ready: set[int] = set()
        self.calls: list[tuple[int, Cell]] = []
        self.workers: list[int] = []
        self.joined = 0
        self.committed: set[Cell] = set()
        self.finished_loads: list[int] = []
        self.given_up: set[int] = set()
        self.empty = {b for b in blocks if self.random.random() < 0.1}

    def run(self) -> int:
        """Play until the plan is finished; return the number of steps."""
        for step in range(20_000):
            if self.plan.finished and not self.making:
                return step
            self.act()
            self.check_bounds()
        raise AssertionError("the plan waits for ever")

    def act(self) -> None:
        while len(self.workers) < 3:
            self.plan.worker_joined(self.joined)
            self.workers.append(self.joined)
            self.joined += 1
        while (block := self.plan.next_block()) is not None:
            self.making.append(block)
        for worker in self.workers:
            while (cell := self.plan.next_cell(worker)) is not None:
                assert cell.block in self.ready, "a cell was given out before its block was made"
                self.calls.append((worker, cell))
        self.random.choice([self.make, self.answer, self.answer, self.answer, self.lose, self.give_up])()

    def make(self) -> None:
        if self.making:
            block = self.making.pop(self.random.randrange(len(self.making)))
            self.ready.add(block)
            self.made.append(block)
            self.finished_loads += self.plan.block_made(block, empty=block in self.empty)

    def answer(self) -> None:
        if not self.calls:
            return
        worker, cell = self.calls.pop(self.random.randrange(len(self.calls)))
        self.committed.add(cell)
        for _ in range(self.random.choice([1, 1, 1, 2])):
            if self.plan.cell_done(worker, cell):
                self.finished_loads.append(cell.load)

    def lose(self) -> None:
        if self.random.random() < 0.3:
            worker = self.workers.pop(self.random.randrange(len(self.workers)))
            self.given_up.update(self.plan.worker_lost(worker))
            # Half of what it had in hand was done all the same: the answer comes late, or never.
            for call in [c for c in self.calls if c[0] == worker]:
                if self.random.random() < 0.5:
                    self.calls.remove(call)

    def give_up(self) -> None:
        if self.needs and self.random.random() < 0.1:
            load = self.random.choice(sorted(self.needs))
            if load not in self.finished_loads:
                self.given_up.add(load)
            self.plan.give_up(load)

    def check_bounds(self) -> None:
        assert set(self.making) <= set(self.plan.live_blocks), "a block in the making was forgotten"
        assert not (self.making and self.plan.all_made), "no block will come any more, and one is in the making"
        in_hand: dict[int, int] = {}
        for worker, _ in self.calls:
            if worker in self.workers:
                in_hand[worker] = in_hand.get(worker, 0) + 1
        assert all(n <= self.limits.calls_per_worker for n in in_hand.values())
        live = self.plan.live_blocks
        # Two windows, each within half the memory, but for a block that is larger than that by itself.
        largest = max(self.sizes, default=0)
        assert sum(self.sizes[b] for b in live) <= max(self.limits.memory_bytes, 2 * largest)


@pytest.mark.parametrize("chunk", range(20))
def test_every_cell_is_done_in_effect_whatever_happens(chunk: int) -> None:
    """Lost workers and late, doubled and reordered answers lose no cell, finish each load once, and exceed no bound."""
    finished = 0
    for seed in range(chunk * 50, chunk * 50 + 50):
        simulation = Simulation(seed)
        simulation.run()
        expected = {load for load, blocks in simulation.needs.items() if blocks} - simulation.given_up
        assert sorted(simulation.finished_loads) == sorted(expected), f"seed {seed}"
        for load in expected:
            wanted = {Cell(load, block) for block in simulation.needs[load] - simulation.empty}
            assert wanted <= simulation.committed, f"seed {seed}: load {load} lost a cell"
            finished += len(wanted)
    assert finished


def test_every_block_is_made_once_whichever_loads_are_lost() -> None:
    """What the making of blocks tells (which images are bad) is not a matter of when a load was given up."""
    spared = 0
    for seed in range(1000, 1400):
        simulation = Simulation(seed)
        simulation.run()
        asked = sorted(set().union(*simulation.needs.values()))
        assert len(set(simulation.made)) == len(simulation.made)
        assert simulation.plan.all_made
        if simulation.make_all:
            assert sorted(simulation.made) == asked, f"seed {seed}"
        else:
            assert set(simulation.made) <= set(asked)
            spared += len(asked) - len(simulation.made)
    assert spared, "without make_all, some blocks of lost loads are not made: else this test tells nothing"


def test_block_of_a_lost_load_counts_until_it_is_made() -> None:
    """Its task is in flight: what it tells is still to come, and it still takes memory."""
    plan = Plan([6, 6], {0: {0, 1}}, Limits(memory_bytes=10))
    assert [plan.next_block(), plan.next_block(), plan.next_block()] == [0, 1, None]
    plan.give_up(0)
    assert plan.finished
    assert not plan.all_made
    assert plan.live_blocks == [0, 1]
    assert plan.block_made(0) == []
    assert not plan.all_made
    plan.block_made(1)
    assert plan.all_made
    assert plan.live_blocks == []


def test_blocks_of_a_lost_load_are_made_within_the_memory_and_dropped() -> None:
    """With make_all the plan goes on, block by block, and is finished after the last."""
    plan = Plan([6] * 4, {0: set(range(4))}, Limits(memory_bytes=10), make_all=True)
    plan.give_up(0)
    assert not plan.needs_workers
    for block in range(0, 4, 2):
        assert not plan.finished
        assert [plan.next_block(), plan.next_block(), plan.next_block()] == [block, block + 1, None]
        plan.block_made(block)
        plan.block_made(block + 1)
        assert plan.live_blocks == []
    assert plan.finished


def test_worker_keeps_its_load_over_a_window() -> None:
    """Loading costs more than a call: two workers with two loads never exchange them."""
    plan = Plan([1] * 8, {0: set(range(8)), 1: set(range(8))}, Limits(memory_bytes=1000))
    for _ in range(8):
        block = plan.next_block()
        assert block is not None
        plan.block_made(block)
    loads: dict[int, list[int]] = {0: [], 1: []}
    for worker in (0, 1):
        plan.worker_joined(worker)
    for _ in range(8):
        for worker in (0, 1):
            cell = plan.next_cell(worker)
            assert cell is not None
            loads[worker].append(cell.load)
            plan.cell_done(worker, cell)
    assert loads == {0: [0] * 8, 1: [1] * 8}
    assert plan.finished


def test_idle_worker_helps_with_the_longest_load() -> None:
    """One model and two workers: both work."""
    plan = Plan([1] * 4, {0: set(range(4))}, Limits(memory_bytes=1000))
    for block in range(4):
        assert plan.next_block() == block
        plan.block_made(block)
    plan.worker_joined(0)
    plan.worker_joined(1)
    assert plan.next_cell(0) == Cell(0, 0)
    assert plan.next_cell(1) == Cell(0, 1)


def test_load_that_kills_its_worker_is_given_up() -> None:
    """A model that crashes every process ends itself, not the sweep."""
    plan = Plan([1], {0: {0}, 1: {0}}, Limits(memory_bytes=10, attempts=3))
    assert plan.next_block() == 0
    plan.block_made(0)
    lost: list[int] = []
    for worker in range(3):
        plan.worker_joined(worker)
        assert plan.next_cell(worker) == Cell(0, 0)
        lost += plan.worker_lost(worker)
    assert lost == [0]
    plan.worker_joined(9)
    cell = plan.next_cell(9)
    assert cell == Cell(1, 0)
    assert plan.cell_done(9, cell)
    assert plan.finished


def test_call_beside_one_that_kills_its_worker_is_not_blamed() -> None:
    """An answer can be lost with its process: whose fault a death was is learnt by trying each alone."""
    plan = Plan([1], {0: {0}, 1: {0}}, Limits(memory_bytes=10, attempts=1))
    assert plan.next_block() == 0
    plan.block_made(0)
    plan.worker_joined(0)
    assert [plan.next_cell(0), plan.next_cell(0), plan.next_cell(0)] == [Cell(0, 0), Cell(1, 0), None]
    assert plan.worker_lost(0) == []
    plan.worker_joined(1)
    assert [plan.next_cell(1), plan.next_cell(1)] == [Cell(0, 0), None]
    assert plan.cell_done(1, Cell(0, 0))
    assert [plan.next_cell(1), plan.next_cell(1)] == [Cell(1, 0), None]
    assert plan.worker_lost(1) == [1]
    assert plan.finished
