"""How far each model is, and how many are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from evaljobs.watching.standing import Counts, Standing, State, Sweep

NAMES = ("a", "b", "c")


class Told:
    """Everything that a sweep tells."""

    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.counts: Counts = {}

    def __call__(self, counts: Counts, changed: Standing) -> None:
        self.standings.append(changed)
        self.counts = counts


def test_model_goes_through_its_states() -> None:
    """Images first, then evaluations; a second pass embeds what is left, and the last evaluation is the end."""
    told = Told()
    sweep = Sweep(NAMES, told)
    sweep.embedding("a", 10)
    sweep.embedded("a", 4)
    sweep.embedding("a", 3)
    sweep.embedded("a", 3)
    sweep.evaluating("a", 1)
    sweep.evaluating("a", 1)
    sweep.evaluated("a")
    sweep.evaluated("a")
    steps = [(standing.state.value, standing.done, standing.total) for standing in told.standings]
    assert steps == [
        ("embedding", 0, 10), ("embedding", 4, 10), ("embedding", 4, 7), ("embedding", 7, 7),
        ("evaluating", 0, 1), ("evaluating", 0, 2), ("evaluating", 1, 2), ("done", 2, 2),
    ]  # fmt: skip
    assert told.counts == {**dict.fromkeys(State, 0), State.WAITING: 2, State.DONE: 1}


def test_failure_is_the_end() -> None:
    """What is still in flight of a model that failed changes nothing, and is not told."""
    told = Told()
    sweep = Sweep(NAMES, told)
    sweep.embedding("a", 10)
    sweep.failed("a", "crashed")
    sweep.embedded("a", 5)
    sweep.evaluating("a", 1)
    sweep.finished()
    of_a = [standing for standing in told.standings if standing.model == "a"]
    assert of_a[-1] == Standing("a", State.FAILED, 0, 10, "crashed")
    assert len(of_a) == 2
    assert sweep.counts[State.FAILED] == 1
    assert sweep.counts[State.DONE] == 2


def test_what_is_there_already_is_no_news() -> None:
    """A thousand models of yesterday are counted, not told one by one; a later job may want one of them after all."""
    told = Told()
    sweep = Sweep(NAMES, told)
    sweep.there_already(["a", "b"])
    assert (told.standings, sweep.counts[State.DONE]) == ([], 2)
    sweep.evaluating("a", 1)
    assert told.counts[State.EVALUATING] == 1


def test_another_way_begins_at_nothing() -> None:
    """Rows of a batch that did not fit are not used: none of them is shown as done."""
    told = Told()
    sweep = Sweep(NAMES, told)
    sweep.embedding("a", 10)
    sweep.embedded("a", 6)
    sweep.begun_again("a")
    sweep.embedded("a", 2)  # it was in flight
    sweep.embedding("a", 10)
    assert told.standings[-1] == Standing("a", State.EMBEDDING, 0, 10)


STEPS: tuple[Callable[[Sweep, str, int], None], ...] = (
    lambda sweep, name, number: sweep.embedding(name, number),
    lambda sweep, name, number: sweep.embedded(name, number),
    lambda sweep, name, number: sweep.evaluating(name, number),
    lambda sweep, name, _: sweep.evaluated(name),
    lambda sweep, name, _: sweep.begun_again(name),
    lambda sweep, name, _: sweep.failed(name, "crashed"),
    lambda sweep, name, _: sweep.there_already([name]),
)


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES), st.integers(1, 9)), max_size=40))
def test_counts_are_those_of_the_standings(steps: list[tuple[Callable[[Sweep, str, int], None], str, int]]) -> None:
    """Whatever happens in whatever order: every model is in one state, and nothing is done that is not there."""
    told = Told()
    sweep = Sweep(NAMES, told)
    states = dict.fromkeys(NAMES, State.WAITING)
    for step, name, number in steps:
        before = len(told.standings)
        step(sweep, name, number)
        if len(told.standings) > before:
            states[name] = told.standings[-1].state
            assert 0 <= told.standings[-1].done <= told.standings[-1].total
        elif step is STEPS[-1]:
            states[name] = State.DONE
        assert sweep.counts == {**dict.fromkeys(State, 0), **Counter(states.values())}
