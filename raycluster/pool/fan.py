"""From inside a task: run many tasks that look at one value, a few at a time.

The task that fans out holds no CPU while it waits, so a cluster of one CPU is enough. Its tasks are its own: they end
with it, and where it runs again after its process died, it starts them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from raycluster.pool.marks import name_of

# Of a task whose process died; Ray counts them.
_RETRIES = 2
# Beyond those that run: a slot that becomes free finds its next task on its node.
_AHEAD = 1


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as it is."""
    return function


class Fan:
    """A value that is shared with tasks: put once, and mapped read-only by all that run on a node.

    Parameters
    ----------
    shared
        Picklable. It lives in the object store as long as this.
    cpus
        What each task asks of the cluster.
    at_once
        How many tasks run at a time, at most.
    through
        What each function that is called is passed through; picklable.
    """

    def __init__(
        self,
        shared: Any,
        *,
        cpus: float,
        at_once: int,
        through: Callable[[Callable[..., Any]], Callable[..., Any]] = as_it_is,
    ) -> None:
        self._shared = ray.put(shared)
        self._through = through
        self._most = at_once + _AHEAD
        self._task = ray.remote(num_cpus=cpus, max_retries=_RETRIES)(_call)

    def __call__(self, function: Callable[[Any, Any, Any], Any], common: Any, items: Iterable[Any]) -> Iterator[Any]:
        """Yield ``function(shared, common, item)`` for every item, each from a task, as they come.

        Parameters
        ----------
        common
            Put once for this call.
        items
            Small; the first is submitted first.

        Raises
        ------
        Exception
            What the function raised, as it was raised there; the other tasks are cancelled.
        RayError
            If the processes of a task died every time.
        """
        ready, task = ray.put(common), self._task.options(name=name_of(function))
        function = self._through(function)
        waiting = iter(items)
        pending: list[ray.ObjectRef[Any]] = []
        try:
            while True:
                while len(pending) < self._most and (item := next(waiting, _END)) is not _END:
                    pending.append(task.remote(function, self._shared, ready, item))
                if not pending:
                    return
                done, _ = ray.wait(pending, num_returns=1)
                pending.remove(done[0])
                yield _answer(done.pop())
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)


_END = object()


def _call(function: Callable[[Any, Any, Any], Any], shared: Any, common: Any, item: Any) -> Any:
    return function(shared, common, item)


def _answer(ref: ray.ObjectRef[Any]) -> Any:
    try:
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, BaseException) and not isinstance(error.cause, RayError):
            raise error.cause from error
        raise
