"""The evaluations of a run on a cluster: each begins when its model has all rows, and fills what others leave free."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from evaljobs.engine import execution, todo
from evaljobs.engine.evaluation import Assignment, Evaluated, Unevaluated, evaluate
from evaljobs.engine.sharing import Share, Sharing
from evaljobs.engine.spreading import Spread
from evaljobs.errors import ModelErrorKind
from evaljobs.progress import Progress
from evaljobs.store import Store
from raycluster.pool.pool import Pool, TaskAdvanced, TaskDone, TaskLost

_DIED = "the process that evaluated it died every time; there may be too little memory"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What evaluations are carried out with.

    Attributes
    ----------
    store
        Where rows are read, and results committed.
    keys
        The model key of each model, by name.
    record, progress
        Where it is kept what was computed, and shown how far it is.
    sharing
        How evaluations share the cluster.
    """

    store: Store
    keys: Mapping[str, Mapping[str, Any]]
    record: execution.Record
    progress: Progress
    sharing: Sharing


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
    """

    def __init__(
        self, setting: Setting, pool: Pool, evaluations: list[todo.Evaluation], waiting: Iterable[int]
    ) -> None:
        self._setting = setting
        self._record, self._progress, self._sharing = setting.record, setting.progress, setting.sharing
        self._pool = pool
        self.evaluations = evaluations
        self.waiting = list(waiting)
        self._unfinished = len(self.waiting)
        # Large ones that have all rows, and the slots that those take that have begun.
        self._large: deque[int] = deque()
        self._slots: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._begun = False

    def begin(self, embedding: Iterable[str]) -> None:
        """Begin those whose models are no longer being embedded."""
        busy = set(embedding)
        ready = [number for number in self.waiting if self.evaluations[number].model.name not in busy]
        if ready and not self._begun:
            # Only now, so that the rates are those of comparing and not of waiting for the first model.
            self._begun = True
            self._progress.start("models", len(self.waiting))
            if pairs := sum(self.evaluations[number].pairs for number in self.waiting):
                self._progress.start("pairs", pairs)
        self.waiting = [number for number in self.waiting if self.evaluations[number].model.name in busy]
        for number in ready:
            if self.evaluations[number].model.name in self._record.lost:
                self._unfinished -= 1
            elif self._sharing.large(self.evaluations[number].pairs):
                self._large.append(number)
            else:
                self._submit(number)
        self._submit_large()

    def take(self, number: int, event: TaskAdvanced | TaskDone | TaskLost) -> None:
        """Take in what the task of an evaluation says."""
        match event:
            case TaskAdvanced(_, done, of):
                self._advance(number, self.evaluations[number].pairs * done // max(1, of))
                return
            case TaskDone(_, answer):
                self._finished(self.evaluations[number], answer)
            case TaskLost():
                self._finished(self.evaluations[number], Unevaluated(ModelErrorKind.CRASHED, _DIED))
        self._advance(number, self.evaluations[number].pairs)
        self._progress.advance("models")
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
            self._setting.keys[evaluation.model.name],
            evaluation.key,
            share.threads,
            Spread(pool.fan(share.tasks), share.tasks, self._sharing.least_pairs) if share.spread else None,
            todo.facts_of(evaluation.model, evaluation.job),
            evaluation.model.roles,
            evaluation.before,
        )
        members = pool.put(evaluation.job.name, evaluation.members)
        # What takes a second need not tell how far it is.
        tellers = [pool.teller(number)] if self._sharing.large(evaluation.pairs) else []
        pool.submit(number, share.threads, evaluate, assignment, members, *tellers)
        return share

    def _finished(self, evaluation: todo.Evaluation, answer: Evaluated | Unevaluated) -> None:
        if isinstance(answer, Unevaluated):
            error = {"kind": answer.kind, "message": answer.message}
            self._record.unevaluated.setdefault((evaluation.job.name, evaluation.model.name), error)
            self._progress.say(f"{evaluation.model.name}: {answer.message}")
        else:
            self._record.evaluated(evaluation.job.kind, evaluation.pairs, answer.seconds)

    def _advance(self, number: int, pairs: int) -> None:
        """Move on to so many pairs; a task that runs again falls back, what is shown does not."""
        before = self._told.get(number, 0)
        self._told[number] = max(before, pairs)
        if self._told[number] > before:
            self._progress.advance("pairs", self._told[number] - before)
