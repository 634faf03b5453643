"""The tables: whatever names are in a cluster, a terminal is told nothing by them."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from raycluster.cluster.showing import render_status
from raycluster.cluster.state import ClusterState, Demand, Event, JobState, Node, Waiting
from raycluster.jobs.job import Job
from raycluster.program import Stage

EVIL = "a\x1b[31m\nb[bold]"


def shown(state: ClusterState) -> str:
    """Return what a terminal would get."""
    file = io.StringIO()
    Console(file=file, width=300, force_terminal=False).print(render_status(state))
    return file.getvalue()


def state(jobs: list[JobState], address: str = "") -> ClusterState:
    """Return a cluster in which all names are hostile."""
    head = Node("f" * 56, "10.0.0.1", True, True, {"memory": 2**33, "special": 2}, {})
    worker = Node("e" * 56, "10.0.0.2", True, False, {"CPU": 8, "GPU": 1}, {"CPU": 1.5, "GPU": 0.5}, EVIL)
    gone = Node("d" * 56, f"10.0.0.3{address}", False, False, {}, {}, message=EVIL)
    waiting = [Waiting(Demand(EVIL, EVIL, 1200, {"GPU": 1.0}), "1 of 1 GPU in use", ())]
    return ClusterState("http://127.0.0.1:8265", [head, worker, gone], jobs, waiting, [Event(f"now{address}", EVIL)])


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    """Neither colours nor line ends nor markup of a name reach the terminal as such."""
    text = shown(state([JobState(Job(EVIL, EVIL), [Stage(EVIL, 1, 2, EVIL)])], EVIL))
    assert "\x1b" not in text
    assert text.count("a\\x1b[31m\\nb[bold]") == 12


def test_slots_and_reasons_are_shown() -> None:
    """What is used of what there is, and why the rest waits."""
    text = shown(state([]))
    assert "1.5 of 8" in text
    assert "0.5 of 1" in text
    assert "1,200" in text
    assert "1 of 1 GPU in use" in text
    assert "gone: 10.0.0.3" in text
    assert "no jobs" in text


def test_counts_that_were_cut_off_say_so() -> None:
    """Ray lists so many at most."""
    found = dataclasses.replace(state([]), waiting=[Waiting(Demand("a", "b", 1000, {}, at_least=True), "", ())])
    assert "at least 1,000" in shown(found)


def test_many_jobs_are_few_lines() -> None:
    """Those that are at work are all shown, of those that have ended the latest."""
    jobs = [JobState(Job(f"done-{n}", "failed", exit_code=4)) for n in range(40)]
    text = shown(state([JobState(Job("open", "pending", "Job has not started yet")), *jobs]))
    assert "open: Job has not started yet" in text
    assert "done-4 " in text
    assert "done-5 " not in text
    assert "and 35 that have ended" in text
