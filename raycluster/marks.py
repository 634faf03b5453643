"""Which tasks have started: Ray does not tell its driver, so each leaves a mark in the cluster's key-value store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_exists, _internal_kv_put

_NAMESPACE = "raycluster"


class Marks:
    """The marks of one pool's tasks; `clear` takes all of them away."""

    def __init__(self) -> None:
        self._prefix = f"started:{uuid.uuid4().hex}:"
        self._given = 0

    def new(self) -> str:
        """Return a mark for a task that is about to be submitted."""
        self._given += 1
        return f"{self._prefix}{self._given}"

    def any_started(self, marks: Iterable[str]) -> bool:
        """Whether one of the tasks with these marks has started."""
        return any(_internal_kv_exists(mark, namespace=_NAMESPACE) for mark in marks)

    def clear(self) -> None:
        """Forget all tasks."""
        _internal_kv_del(self._prefix, del_by_prefix=True, namespace=_NAMESPACE)


def marked(mark: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a task, after its mark."""
    _internal_kv_put(mark, b"", namespace=_NAMESPACE)
    return function(*arguments)


def marked_block(
    mark: str, make: Callable[..., tuple[Any, Any, bool]], *arguments: Any
) -> tuple[Any, tuple[Any, bool]]:
    """Make a block in a task, after its mark: the block stays in the cluster, the rest comes to the driver."""
    block, info, empty = marked(mark, make, *arguments)
    return block, (info, empty)
