"""Read a log of JSON lines again: how far a run is, and each line in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from evaljobs.watching.log import BEGIN, END, KEYS, MODELS, SAY, STAGE
from evaljobs.watching.standing import State

_EVENTS = frozenset({BEGIN, STAGE, MODELS, SAY, END})


class Reported(NamedTuple):
    """The last word on a stage: so many steps of so many. `model` where it is one model's."""

    stage: str
    done: int
    total: int
    model: str | None = None


def read_stages(log: str) -> list[Reported]:
    """Return the last word on every stage and model of the last run in a log.

    Parameters
    ----------
    log
        Its text, or the end of it; lines that are not ours are passed over.

    Returns
    -------
    Stages of the run first; then how many models are in which state; then models that are at work, and those that
    failed (nothing done of one step); then models that are done.
    """
    stages: dict[str, Reported] = {}
    models: dict[str, Reported] = {}
    counts: list[Reported] = []
    for text in log.splitlines():
        line = parse_line(text) or {}
        match line:
            case {"event": "begin"}:
                stages, models, counts = {}, {}, []
            case {"event": "stage", "stage": str(stage), "done": int(done), "total": int(total), "model": None}:
                stages[stage] = Reported(stage, done, total)
            case {"event": "stage", "stage": str(stage), "done": int(done), "total": int(total), "model": str(model)}:
                # Taken out first, so that who was told last stands last.
                models.pop(model, None)
                models[model] = _of_model(line, Reported(stage, done, total, model))
            case {"event": "models", "counts": dict(by_state), "total": int(total)}:
                counts = [Reported(f"models {s}", n, total) for s, n in by_state.items() if isinstance(n, int) and n]
            case _:
                continue
    return [*stages.values(), *counts, *sorted(models.values(), key=_rank)]


def _of_model(line: Mapping[str, Any], found: Reported) -> Reported:
    """Return a failure as a step that was not done, and with its kind; all else as it is."""
    if found.stage != State.FAILED:
        return found
    kind = line.get("kind")
    return Reported(f"{found.stage}: {kind}" if isinstance(kind, str) else found.stage, 0, 1, found.model)


def _rank(model: Reported) -> int:
    if model.stage == State.DONE:
        return 2
    return 1 if model.stage.startswith(State.FAILED) else 0


def parse_line(text: str) -> dict[str, Any] | None:
    """Return a line of ours as what it says; None of any other line."""
    if not text.startswith("{"):
        return None
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(line, dict) and line.get("event") in _EVENTS and line.keys() >= set(KEYS)
    return line if ours else None


def in_words(text: str) -> str:
    """Return a line of a log as people read it: ours in words, any other as it is.

    Nothing in ours is left that a terminal would obey, and a name cannot begin a line of its own.
    """
    line = parse_line(text) or {}
    match line:
        case {"event": "stage", "stage": stage, "done": done, "total": total, "model": model}:
            words = f"{stage}: {_number(done)} of {_number(total)}" if total else str(stage)
            kind = f" ({line['kind']})" if line.get("kind") else ""
            return _shown(f"{model}: {words}{kind}" if model else words)
        case {"event": "models", "counts": dict(by_state)}:
            return _shown("models: " + ", ".join(f"{_number(n)} {state}" for state, n in by_state.items() if n))
        case {"text": str(said)}:
            return "\n".join(map(_shown, said.split("\n")))
        case _:
            return text


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
