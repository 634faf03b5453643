"""The plan in random histories of a hostile cluster; `benchmarks/scheduling.py` plays many more of them."""

from __future__ import annotations

import pytest
from scheduling_histories import BrokenPromiseError, History
from scheduling_mutants import MODULES, Mutant, first_fault, mutants

ALL = {
    "block",
    "copy",
    "copy before all is made",
    "dead node",
    "dead worker",
    "doubled answer",
    "doubled block",
    "empty block",
    "full store",
    "hung worker",
    "late answer",
    "load given up",
    "load that kills",
    "lost block",
}


@pytest.mark.parametrize("chunk", range(10))
def test_every_cell_is_done_once_in_effect_whatever_happens(chunk: int) -> None:
    """Each load is done or given up for a reason, nothing waits for ever, and no bound is exceeded at any step."""
    happened: set[str] = set()
    cells = 0
    for seed in range(chunk * 200, chunk * 200 + 200):
        ended = History(seed).run()
        happened |= ended.happened
        cells += ended.cells
    assert cells > 1000
    assert happened == ALL, "something that must be survived did not happen"


def test_history_replays_from_its_seed() -> None:
    """A seed that was reported shows the same again."""
    assert [History(seed).run() for seed in range(50)] == [History(seed).run() for seed in range(50)]


# Each is a statement of the plan whose loss the histories must see: a leak of memory, a cell that is lost with its
# worker, a suspect that is never tried alone, a load that waits for ever, a copy that is counted as the only one.
FAULTS = [
    ("blocks", "self._live_bytes += self._sizes[block]"),
    ("plan", "self._loads.open(cell.load, cell.block)"),
    ("plan", "self._suspects.update(undone)"),
    ("loads", "self._ranking.refresh(load)"),
    ("hands", "self._holders[cell] = count"),
]


@pytest.mark.parametrize(("module", "text"), FAULTS)
def test_fault_in_the_plan_is_reported_with_its_seed(module: str, text: str) -> None:
    """One statement is taken out, in memory: a history fails, names its seed, and fails again from it."""
    mutant = one_mutant(module, text)
    seed = first_fault(mutant, histories=200)
    assert seed is not None
    History(seed).run()
    with pytest.raises(BrokenPromiseError, match=f"^seed {seed}, step "):
        History(seed, mutant.module()).run()


def one_mutant(module: str, text: str) -> Mutant:
    assert module in MODULES
    found = [mutant for mutant in mutants() if mutant.name == module and mutant.text.startswith(text)]
    assert len(found) == 1, f"{text} stands {len(found)} times in {module}"
    return found[0]
