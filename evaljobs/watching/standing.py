"""How far each model of a run is."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping


class State(enum.StrEnum):
    """What happens to a model; in the order in which it does."""

    WAITING = "waiting"
    EMBEDDING = "embedding"
    EVALUATING = "evaluating"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it, unless it is found out that more is wanted."""
        return self in {State.DONE, State.FAILED}


Counts = Mapping[State, int]


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a model is: `done` of `total` images embedded, or evaluations done; `kind` says why it failed."""

    model: str
    state: State = State.WAITING
    done: int = 0
    total: int = 0
    kind: str | None = None


class Sweep:
    """How far all models of a run are.

    Parameters
    ----------
    models
        Their names.
    tell
        Called at each change with how many models are in which state, and with the standing of the one that changed.
    """

    def __init__(self, models: Iterable[str], tell: Callable[[Counts, Standing], None]) -> None:
        self._standings = {name: Standing(name) for name in models}
        self._counts = Counter({State.WAITING: len(self._standings)})
        self._tell = tell

    @property
    def counts(self) -> Counts:
        """How many models are in which state: every state has a number."""
        return {state: self._counts[state] for state in State}

    def there_already(self, models: Iterable[str]) -> None:
        """Take models as done that this run has nothing to do for. Nobody is told: that is no news."""
        for name in models:
            self._keep(Standing(name, State.DONE))

    def embedding(self, model: str, images: int) -> None:
        """Begin to embed so many images, beside those that are done already."""
        old = self._standings[model]
        done = old.done if old.state is State.EMBEDDING else 0
        self._change(Standing(model, State.EMBEDDING, done, done + images))

    def embedded(self, model: str, images: int) -> None:
        """Take in that images were embedded, or turned out not to be images."""
        old = self._standings[model]
        if old.state is State.EMBEDDING:
            self._change(dataclasses.replace(old, done=min(old.total, old.done + images)))

    def begun_again(self, model: str) -> None:
        """Take in that what was embedded is not used: the model is embedded in another way, later."""
        self._change(Standing(model))

    def evaluating(self, model: str, evaluations: int) -> None:
        """Begin so many evaluations, or so many more."""
        old = self._standings[model]
        done, total = (old.done, old.total) if old.state is State.EVALUATING else (0, 0)
        self._change(Standing(model, State.EVALUATING, done, total + evaluations))

    def evaluated(self, model: str) -> None:
        """Take in that an evaluation is done; a model that has no other left is."""
        old = self._standings[model]
        if old.state is State.EVALUATING:
            done = old.done + 1
            self._change(Standing(model, State.DONE if done >= old.total else State.EVALUATING, done, old.total))

    def failed(self, model: str, kind: str) -> None:
        """Take in that a model failed; that is its end, whatever else comes."""
        old = self._standings[model]
        self._change(Standing(model, State.FAILED, old.done, old.total, kind))

    def finished(self) -> None:
        """Take in that the run has its results: whatever did not fail is done."""
        for name, old in list(self._standings.items()):
            if not old.state.ended:
                self._change(Standing(name, State.DONE, old.done, old.total))

    def _change(self, new: Standing) -> None:
        if self._standings[new.model] != new and self._standings[new.model].state is not State.FAILED:
            self._keep(new)
            self._tell(self.counts, new)

    def _keep(self, new: Standing) -> None:
        self._counts[self._standings[new.model].state] -= 1
        self._counts[new.state] += 1
        self._standings[new.model] = new
