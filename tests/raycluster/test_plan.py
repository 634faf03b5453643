"""Scheduling without Ray, case by case; what holds whatever happens is in `test_histories.py`."""

from __future__ import annotations

from raycluster.planning.plan import Cell, Limits, Plan


def test_block_of_a_lost_load_counts_until_it_is_made() -> None:
    """Its task is in flight: what it tells is still to come, and it still takes memory."""
    plan = Plan([6, 6], {0: {0, 1}}, Limits(memory_bytes=12))
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
    plan = Plan([6] * 4, {0: set(range(4))}, Limits(memory_bytes=12), make_all=True)
    plan.give_up(0)
    assert not plan.needs_workers
    for block in range(0, 4, 2):
        assert not plan.finished
        assert [plan.next_block(), plan.next_block(), plan.next_block()] == [block, block + 1, None]
        plan.block_made(block)
        plan.block_made(block + 1)
        assert plan.live_blocks == []
    assert plan.finished


def made(plan: Plan) -> list[int]:
    """Make every block that there is room for."""
    blocks = list(iter(plan.next_block, None))
    for block in blocks:
        plan.block_made(block)
    return blocks


def test_block_larger_than_the_memory_lives_alone() -> None:
    """It is made all the same, when nothing else is there."""
    plan = Plan([3, 20, 3, 3], {0: set(range(4))}, Limits(memory_bytes=10))
    plan.worker_joined(0)
    lived = []
    while not plan.finished:
        made(plan)
        lived.append(plan.live_blocks)
        cell = plan.next_cell(0)
        assert cell is not None
        plan.cell_done(0, cell)
    assert lived == [[0], [1], [2, 3], [3]]


def test_blocks_slide_through_the_memory() -> None:
    """Room that one block leaves is given to the next at once: nobody waits for the end of a window."""
    plan = Plan([5] * 6, {0: set(range(6))}, Limits(memory_bytes=10))
    plan.worker_joined(0)
    assert made(plan) == [0, 1]
    for block in range(4):
        assert plan.next_cell(0) == Cell(0, block)
        plan.cell_done(0, Cell(0, block))
        assert made(plan) == [block + 2]


def test_load_that_is_furthest_behind_comes_first() -> None:
    """Loads take turns, each over all that is there; so the oldest block is soon passed over by all of them."""
    plan = Plan([1] * 6, {load: set(range(6)) for load in range(3)}, Limits(memory_bytes=3))
    plan.worker_joined(0)
    done: list[Cell] = []
    while not plan.finished:
        made(plan)
        cell = plan.next_cell(0)
        assert cell is not None
        done.append(cell)
        plan.cell_done(0, cell)
    loads = [cell.load for cell in done]
    changes = [load for n, load in enumerate(loads) if n == 0 or loads[n - 1] != load]
    assert changes == [0, 1, 2, 0, 1]
    assert len(set(done)) == len(done) == 18


def test_last_cells_are_copied_by_idle_workers() -> None:
    """A slow worker holds nobody up: what it has had for longest is done by another too; the first answer counts."""
    plan = Plan([1] * 2, {0: {0, 1}}, Limits(memory_bytes=10))
    plan.worker_joined(0)
    plan.worker_joined(1)
    assert plan.next_block() == 0
    plan.block_made(0)
    assert plan.next_cell(0) == Cell(0, 0)
    assert plan.next_block() == 1
    assert plan.next_cell(1) is None, "another block is on its way"
    plan.block_made(1)
    assert plan.next_cell(0) == Cell(0, 1)
    assert [plan.next_cell(1), plan.next_cell(1)] == [Cell(0, 0), None]
    plan.worker_joined(2)
    assert plan.next_cell(2) == Cell(0, 1)
    plan.worker_joined(3)
    assert plan.next_cell(3) is None, "two copies are enough"
    assert not plan.cell_done(1, Cell(0, 0))
    assert not plan.awaits(Cell(0, 0))
    assert plan.awaits(Cell(0, 1))
    assert not plan.cell_done(0, Cell(0, 0))
    assert plan.worker_lost(0) == []
    assert plan.next_cell(3) == Cell(0, 1), "one of the two is dead"
    assert plan.cell_done(2, Cell(0, 1))
    assert not plan.cell_done(3, Cell(0, 1))


def test_worker_that_never_answers_holds_nobody_up() -> None:
    """It lives, and its blocks fill the memory: others do its cells, the suspects too, and the blocks go on."""
    plan = Plan([1] * 6, {load: set(range(6)) for load in range(3)}, Limits(memory_bytes=2))
    made(plan)
    plan.worker_joined(0)
    suspects = [plan.next_cell(0), plan.next_cell(0)]
    assert plan.worker_lost(0) == []
    plan.worker_joined(1)
    assert plan.next_cell(1) in suspects, "it never answers"
    plan.worker_joined(2)
    done: set[Cell] = set()
    while not plan.finished:
        made(plan)
        cell = plan.next_cell(2)
        assert cell is not None, "nothing moves"
        done.add(cell)
        plan.cell_done(2, cell)
    assert len(done) == 18


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
