"""Who gets slots: pure decisions, over states that hypothesis makes up too."""

from __future__ import annotations

import dataclasses
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from raycluster.schedule.deciding.admission import Admission, admit
from raycluster.schedule.records import EVERYBODY, CatchUp, Kind, Run, Schedule, Snapshot, State

NOW = 1_000_000.0
HOLDING = {State.STARTING, State.RUNNING, State.STOPPING}


def schedule(
    name: str, gpus: int = 1, priority: int = 0, team: str = "default", *, no_overlap: bool = False
) -> Schedule:
    return Schedule(
        name, "sim", "/c.yaml", (), False, "0 3 * * *", "UTC", team, priority, gpus, None, no_overlap, CatchUp.LAST, 3,
        None, False, None, 0.0, 0,
    )  # fmt: skip


def run(name: str, due: int = 0, state: State = State.WAITING, **other: object) -> Run:
    plain = Run(name, due, Kind.DUE, state, 0.0, "", attempt=int(state is not State.WAITING))
    return dataclasses.replace(plain, **other)  # type: ignore[arg-type] # fields by name


def decide(schedules: list[Schedule], runs: list[Run], **quotas: int) -> Admission:
    return admit(Snapshot({one.name: one for one in schedules}, tuple(runs), quotas), NOW)


def names(runs: tuple[Run, ...]) -> list[str]:
    return [one.schedule for one in runs]


def test_greater_priorities_first_then_older_ones() -> None:
    """Of what waits, rank decides; among equals the due time."""
    schedules = [schedule("a"), schedule("b", priority=3), schedule("c")]
    found = decide(schedules, [run("a", 20), run("b", 30), run("c", 10)], all=2)
    assert names(found.admitted) == ["b", "c"]
    assert found.waiting[("a", 20)] == "1 slot(s) of all teams together"


def test_without_quotas_everything_starts() -> None:
    """Nobody has set a limit: the cluster is left to sort it out."""
    found = decide([schedule("a", 50), schedule("b", 60)], [run("a"), run("b")])
    assert len(found.admitted) == 2


def test_lowest_is_stopped_for_a_higher_one() -> None:
    """The lowest, of equals the one begun last, and no more than are needed."""
    schedules = [schedule("a"), schedule("b"), schedule("c", priority=1), schedule("d", priority=5)]
    active = [run(n, 0, State.RUNNING, started=float(k)) for k, n in enumerate("abc")]
    found = decide(schedules, [*active, run("d", 9)], all=3)
    assert names(found.preempted) == ["b"]
    assert found.admitted == ()


def test_large_ones_are_not_stopped_beside_what_suffices() -> None:
    """One that turns out not to be needed goes on."""
    schedules = [schedule("small"), schedule("large", 4, priority=1), schedule("high", 4, priority=5)]
    active = [run("small", 0, State.RUNNING, started=1.0), run("large", 0, State.RUNNING, started=2.0)]
    found = decide(schedules, [*active, run("high", 9)], all=5)
    assert names(found.preempted) == ["large"]


def test_nobody_is_stopped_for_nothing() -> None:
    """Where stopping all lower ones would not make room, all go on."""
    schedules = [schedule("low"), schedule("equal", 3, priority=5), schedule("high", 3, priority=5)]
    active = [run("low", 0, State.RUNNING), run("equal", 0, State.RUNNING)]
    assert decide(schedules, [*active, run("high", 9)], all=4).preempted == ()


def test_equals_are_never_stopped() -> None:
    """So a run that was stopped does not stop its like, and nothing swings to and fro."""
    schedules = [schedule("a", priority=2), schedule("b", priority=2)]
    found = decide(schedules, [run("a", 0, State.RUNNING), run("b", 9)], all=1)
    assert (found.admitted, found.preempted) == ((), ())


def test_what_is_being_stopped_counts() -> None:
    """While one run ends, no second one is stopped for the same slots, and nobody else gets them."""
    schedules = [schedule("a"), schedule("b"), schedule("high", priority=5), schedule("small")]
    active = [run("a", 0, State.STOPPING), run("b", 0, State.RUNNING)]
    found = decide(schedules, [*active, run("high", 9), run("small", 1)], all=2)
    assert (found.admitted, found.preempted) == ((), ())


def test_small_ones_do_not_slip_past_a_large_one() -> None:
    """A run that needs much gets it in time: what is free is kept for it."""
    schedules = [schedule("running", 2), schedule("large", 4), schedule("small")]
    found = decide(schedules, [run("running", 0, State.RUNNING), run("large", 1), run("small", 2)], all=4)
    assert found.admitted == ()


def test_quota_of_a_team_keeps_nobody_else_waiting() -> None:
    """A team at its limit waits alone."""
    schedules = [
        schedule("a", 2, team="vision"),
        schedule("b", 2, priority=9, team="vision"),
        schedule("c", team="nlp"),
    ]
    found = decide(schedules, [run("a", 0, State.STARTING), run("b", 1), run("c", 2)], all=4, vision=2)
    assert names(found.admitted) == ["c"]
    assert found.waiting[("b", 1)] == "2 slot(s) of team vision"


def test_run_that_never_fits_keeps_nobody_waiting() -> None:
    """A quota may be lowered below what a schedule asks for."""
    found = decide([schedule("huge", 8, priority=9), schedule("a")], [run("huge", 1), run("a", 2)], all=4)
    assert names(found.admitted) == ["a"]
    assert "larger quota" in found.waiting[("huge", 1)]


def test_no_overlap_lets_one_run_of_a_schedule_start() -> None:
    """The oldest; and none while one is running, ending, or being judged."""
    one = [schedule("a", no_overlap=True)]
    assert [r.due for r in decide(one, [run("a", 2), run("a", 1)]).admitted] == [1]
    for state in (*HOLDING, State.JUDGING):
        found = decide(one, [run("a", 1, state), run("a", 2)])
        assert found.admitted == ()
        assert found.waiting[("a", 2)] == "the run before"


def test_rest_before_the_next_attempt() -> None:
    """One that died rests, holds no slots meanwhile, and is not overtaken by the next run of its schedule."""
    schedules = [schedule("a", no_overlap=True), schedule("b")]
    runs = [run("a", 1, attempt=1, not_before=NOW + 1), run("a", 2), run("b", 3)]
    found = decide(schedules, runs, all=1)
    assert names(found.admitted) == ["b"]
    assert found.waiting == {("a", 1): "its next attempt", ("a", 2): "the run before"}


RUNS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(0, 3), st.sampled_from(["x", "y"]), st.booleans(), st.sampled_from(list(State))
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(RUNS, st.dictionaries(st.sampled_from(["x", "y", "all"]), st.integers(1, 8)))
def test_rules_hold_in_every_state(asked: list[tuple[int, int, str, bool, State]], quotas: dict[str, int]) -> None:
    """No quota is exceeded by what is admitted; none is stopped but lower ones, and only where it makes room."""
    schedules = {f"s{n}": schedule(f"s{n}", g, p, t, no_overlap=o) for n, (g, p, t, o, _) in enumerate(asked)}
    runs = [run(f"s{n}", n, state, started=float(n)) for n, (*_, state) in enumerate(asked)]
    found = admit(Snapshot(schedules, tuple(runs), quotas), NOW)

    def used(some: list[Run]) -> Counter[str]:
        slots: Counter[str] = Counter()
        for one in some:
            for who in (schedules[one.schedule].team, EVERYBODY):
                slots[who] += schedules[one.schedule].gpus
        return slots

    before = [one for one in runs if one.state in HOLDING]
    for who, slots in used([*before, *found.admitted]).items():
        assert slots <= max(quotas.get(who, slots), used(before)[who])
    waiting = [one for one in runs if one.state is State.WAITING and one not in found.admitted]
    assert {one.key for one in waiting} == set(found.waiting)
    if found.preempted:
        top = max(schedules[one.schedule].priority for one in waiting)
        assert all(schedules[one.schedule].priority < top for one in found.preempted)
        gone = [one for one in before if one not in found.preempted and one.state is not State.STOPPING]
        fits = [
            one
            for one in waiting
            if all(used([*gone, one])[w] <= quotas.get(w, 99) for w in (schedules[one.schedule].team, EVERYBODY))
        ]
        assert fits
    # Nothing idles: whoever leads the queue and fits is admitted.
    if waiting and not found.admitted and not before:
        assert all("larger quota" in why for why in found.waiting.values())
