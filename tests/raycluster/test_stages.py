"""How far a job is, in few lines."""

from __future__ import annotations

from raycluster.jobs.stages import MOST, summary
from raycluster.program import Stage


def test_hundreds_of_models_are_few_lines() -> None:
    """The job's own stages and the models at work; models that are done are only counted."""
    own = [Stage("embedding", 10, 1000), Stage("models done", 200, 300)]
    busy = [Stage("embedding", number, 1000, f"m{number}") for number in range(50)]
    done = [Stage("done", 1, 1, f"d{number}") for number in range(200)]
    lines = summary([*own, *busy, *done])
    assert lines[:3] == ["embedding: 10 of 1,000", "models done: 200 of 300", "m0: embedding: 0 of 1,000"]
    assert len(lines) == 2 + MOST + 1
    assert lines[-1] == f"and {50 - MOST} more models that are not done"
    assert summary([]) == []


def test_failed_model_is_named_with_its_kind() -> None:
    """One step of one has nothing to count; what a name would do to a terminal is written out."""
    lines = summary([Stage("failed: crashed", 0, 1, "a\x1b[31m\nb")])
    assert lines == ["a\\x1b[31m\\nb: failed: crashed"]
