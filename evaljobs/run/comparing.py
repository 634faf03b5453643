"""The evaluations of a run on a cluster: each begins when its model has all rows, and fills what others leave free."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evaljobs.engine import execution, todo
from evaljobs.engine.evaluation import Assignment, Evaluated, Unevaluated, Unready, evaluate
from evaljobs.engine.sharing import Share, Sharing
from evaljobs.engine.spreading import Spread
from evaljobs.errors import ModelErrorKind
from evaljobs.progress import Progress
from evaljobs.run.watch import Watch
from evaljobs.store import Store
from raycluster.pool.events import TaskAdvanced, TaskDone, TaskLost
from raycluster.pool.pool import Pool

_DIED = "the process that evaluated it died every time; there may be too little memory"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What evaluations are carried out with.

    Attributes
    ----------
    store
        Where rows are read, and results committed.
    keys
        The model key of whatever is loaded, by its name.
    record, progress
        Where it is kept what was computed, and shown how far it is.
    sharing
        Returns how evaluations share the cluster, as it is at that moment.
    watch
        Told of each evaluation.
    """

    store: Store
    keys: Mapping[str, Mapping[str, Any]]
    record: execution.Record
    progress: Progress
    sharing: Callable[[], Sharing]
    watch: Watch


class Comparing:
    """The evaluations of one pass.

    Parameters
    ----------
    evaluations
        All of the run.
    waiting
        The numbers of those that have no result.

    Attributes
    ----------
    evaluations
        As given.
    waiting
        The numbers of those whose models are not known to have all rows.
    unready
        Those that came to nothing since rows of their models are not there any more, and what was said.
    """

    def __init__(
        self, setting: Setting, pool: Pool, evaluations: list[todo.Evaluation], waiting: Iterable[int]
    ) -> None:
        self._setting = setting
        self._record, self._progress = setting.record, setting.progress
        self._watch = setting.watch
        self._pool = pool
        self.evaluations = evaluations
        self.waiting = list(waiting)
        self.unready: list[tuple[todo.Evaluation, str]] = []
        self._unfinished = len(self.waiting)
        # Large ones that have all rows, and the slots that those take that have begun.
        self._large: deque[int] = deque()
        self._slots: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._begun = False

    @property
    def _sharing(self) -> Sharing:
        return self._setting.sharing()

    def begin(self, embedding: Iterable[str]) -> None:
        """Begin those whose models are no longer being embedded."""
        busy = set(embedding)
        ready = [number for number in self.waiting if self.evaluations[number].load not in busy]
        if ready and not self._begun:
            # Only now, so that the rates are those of comparing and not of waiting for the first model.
            self._begun = True
            self._progress.start("evaluations", len(self.waiting))
            if pairs := sum(self.evaluations[number].compared for number in self.waiting):
                self._progress.start("pairs", pairs)
        self.waiting = [number for number in self.waiting if self.evaluations[number].load in busy]
        names = (self.evaluations[number].load for number in ready)
        self._watch.evaluating(name for name in names if name is not None and name not in self._record.lost)
        for number in ready:
            if self.evaluations[number].load in self._record.lost:
                self._unfinished -= 1
                self._progress.advance("evaluations")
                self._advance(number, self.evaluations[number].compared)
            elif self._sharing.large(self.evaluations[number].pairs):
                self._large.append(number)
            else:
                self._submit(number)
        self._submit_large()

    def take(self, number: int, event: TaskAdvanced | TaskDone | TaskLost) -> None:
        """Take in what the task of an evaluation says."""
        evaluation = self.evaluations[number]
        match event:
            case TaskAdvanced(_, done, of):
                pairs = evaluation.compared * done // max(1, of)
                self._watch.compared(evaluation.job.kind, self._advance(number, pairs))
                return
            case TaskDone(_, Evaluated() as answer):
                self._finished(number, answer)
            case TaskDone(_, Unevaluated() as answer):
                self._came_to_nothing(number, answer)
            case TaskDone(_, Unready(message)):
                self._is_unready(number, message)
            case TaskLost():
                self._came_to_nothing(number, Unevaluated(ModelErrorKind.CRASHED, _DIED))
        self._progress.advance("evaluations")
        self._unfinished -= 1
        self._slots.pop(number, None)
        self._submit_large()

    def _submit_large(self) -> None:
        while self._large and self._sharing.admits(sum(self._slots.values())):
            number = self._large.popleft()
            self._slots[number] = self._submit(number).tasks

    def _submit(self, number: int) -> Share:
        evaluation, pool = self.evaluations[number], self._pool
        share = self._sharing.share(evaluation.pairs, self._unfinished)
        assignment = Assignment(
            self._setting.store.location,
            evaluation.job,
            None if evaluation.load is None else self._setting.keys[evaluation.load],
            evaluation.key,
            share.threads,
            Spread(pool.fan(share.tasks), share.tasks, self._sharing.least_pairs) if share.spread else None,
            todo.facts_of(evaluation.model, evaluation.job),
            {} if evaluation.model is None else evaluation.model.roles,
            evaluation.before,
            evaluation.model if evaluation.job.uses_images else None,
        )
        # The part of a job that needs no model may have other sets.
        members = pool.put((evaluation.job.name, evaluation.model is None), evaluation.members)
        # What takes a second need not tell how far it is.
        tellers = [pool.teller(number)] if self._sharing.large(evaluation.pairs) else []
        pool.submit(number, share.threads, evaluate, assignment, members, *tellers)
        return share

    def _finished(self, number: int, answer: Evaluated) -> None:
        evaluation = self.evaluations[number]
        self._record.evaluated(evaluation, answer.seconds)
        self._watch.compared(evaluation.job.kind, self._advance(number, evaluation.compared))
        self._watch.evaluated(evaluation, answer.seconds)

    def _came_to_nothing(self, number: int, answer: Unevaluated) -> None:
        evaluation = self.evaluations[number]
        error = {"kind": answer.kind, "message": answer.message}
        self._record.unevaluated.setdefault((evaluation.job.name, evaluation.name), error)
        self._progress.say(f"{evaluation.load or evaluation.job.name}: {answer.message}")
        self._advance(number, evaluation.compared)
        self._watch.unevaluated(evaluation.load, answer.kind)

    def _is_unready(self, number: int, message: str) -> None:
        """Leave an evaluation to another pass, which makes the rows again."""
        evaluation = self.evaluations[number]
        self.unready.append((evaluation, message))
        self._advance(number, evaluation.compared)
        if evaluation.load is not None:
            what = f"{evaluation.job.name} of {evaluation.load}"
            self._progress.say(f"{what}: embeddings that it needs are not there; another pass sees to it")
            self._watch.begun_again(evaluation.load)

    def _advance(self, number: int, pairs: int) -> int:
        """Move on to so many pairs, and return how many more those are than were told.

        A task that runs again falls back, what is shown does not.
        """
        before = self._told.get(number, 0)
        self._told[number] = max(before, pairs)
        if self._told[number] > before:
            self._progress.advance("pairs", self._told[number] - before)
        return self._told[number] - before
