"""Which models later jobs take: found in the results of the jobs that they come after, as soon as all are there.

It is a function of what stands in the store, so a run that is repeated finds the same models, and knows it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evaljobs.jobs.job import After, Job
from evaljobs.jobs.order import in_order
from evaljobs.store import Store

if TYPE_CHECKING:
    from evaljobs.engine.todo import Evaluation


class Stage(NamedTuple):
    """What is known of a run's evaluations.

    Attributes
    ----------
    evaluations
        Those that are known to be wanted, job after job as they stand in the configuration.
    undecided
        Jobs whose models depend on results that are not there yet.
    """

    evaluations: list[Evaluation]
    undecided: list[Job]


def known_so_far(
    jobs: Sequence[Job], candidates: Iterable[Evaluation], store: Store, given_up: Callable[[Evaluation], bool]
) -> Stage:
    """Return the evaluations that are wanted, as far as results tell.

    Parameters
    ----------
    candidates
        Every job with every model.
    given_up
        Whether an evaluation will have no result in this run.
    """
    by_job: dict[str, list[Evaluation]] = {job.name: [] for job in jobs}
    for candidate in candidates:
        by_job[candidate.job.name].append(candidate)
    wanted: dict[str, list[Evaluation]] = {}
    for job in in_order(jobs):
        if job.after is None:
            wanted[job.name] = by_job[job.name]
        elif job.after.job in wanted:
            names = _chosen(job.after, wanted[job.after.job], store, given_up)
            if names is not None:
                wanted[job.name] = [e for e in by_job[job.name] if e.name is None or e.name in names]
    # What needs no model waits for none.
    alone = {name: [e for e in several if e.model is None] for name, several in by_job.items()}
    evaluations = [evaluation for job in jobs for evaluation in wanted.get(job.name, alone[job.name])]
    return Stage(evaluations, [job for job in jobs if job.name not in wanted])


def _chosen(
    after: After, earlier: Sequence[Evaluation], store: Store, given_up: Callable[[Evaluation], bool]
) -> set[str] | None:
    """Return the names of the models that a later job takes; None where some result may still come."""
    able = [evaluation for evaluation in earlier if evaluation.model is not None and evaluation.lack is None]
    results = {}
    for evaluation, stored in zip(able, store.results(e.key for e in able), strict=True):
        if stored is None and not given_up(evaluation):
            return None
        if stored is not None and evaluation.name is not None and "result" in stored[0]:
            results[evaluation.name] = stored[0]["result"]
    if after.most is None or not results:
        return set(results)
    return set(able[0].job.best_first(results)[: after.most])
