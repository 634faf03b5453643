"""What tasks say of themselves while they run: that they have started, and those that take long, how far they are.

Ray does not tell its driver, so it stands in the cluster's key-value store.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import ray
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_exists,
    _internal_kv_get,
    _internal_kv_put,
)

NAMESPACE = "raycluster"


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called, for people who look at the cluster's tasks."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def process() -> str:
    """Return the name of this process: its machine, by address and the beginning of its node's id, and its id there."""
    return f"{ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:8]})#{os.getpid()}"


class Teller:
    """Says how far a task is, from inside it: so many steps of so many. A task that runs again may fall back."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __call__(self, done: int, of: int) -> None:
        """Leave what is done where the pool sees it."""
        _internal_kv_put(self._mark, f"{done}/{of}".encode(), namespace=NAMESPACE)


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
        return any(_internal_kv_exists(mark, namespace=NAMESPACE) for mark in marks)

    def processes(self, marks: Iterable[str]) -> set[str]:
        """Return the processes of the tasks with these marks, of those that have started."""
        found = (_internal_kv_get(mark, namespace=NAMESPACE) for mark in marks)
        return {name.decode() for name in found if name is not None}

    def told(self, mark: str) -> tuple[int, int] | None:
        """Return what a teller with this mark said last: steps done, of so many; None before it says anything."""
        said = _internal_kv_get(mark, namespace=NAMESPACE)
        if not said:
            return None
        done, of = said.split(b"/")
        return int(done), int(of)

    def clear(self) -> None:
        """Forget all tasks."""
        _internal_kv_del(self._prefix, del_by_prefix=True, namespace=NAMESPACE)


class Advance(NamedTuple):
    """How far the task of a tag is: so many steps of so many."""

    tag: Hashable
    done: int
    of: int


class Advances:
    """How far those tasks are that tell it."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._told_under: dict[Hashable, str] = {}

    def __bool__(self) -> bool:
        return bool(self._told_under)

    def teller(self, tag: Hashable) -> Teller:
        """Return what the task of a tag tells it with."""
        return Teller(self._told_under.setdefault(tag, self._marks.new()))

    def news(self, tags: Iterable[Hashable]) -> Iterator[Advance]:
        """Yield what was told last, of those tasks among these that have told something."""
        for tag in tags:
            if tag in self._told_under and (told := self._marks.told(self._told_under[tag])):
                yield Advance(tag, *told)


def marked(mark: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a task, after its mark."""
    _internal_kv_put(mark, process().encode(), namespace=NAMESPACE)
    return function(*arguments)


def marked_block(
    mark: str, make: Callable[..., tuple[Any, Any, bool]], *arguments: Any
) -> tuple[Any, tuple[Any, bool]]:
    """Make a block in a task, after its mark: the block stays in the cluster, the rest comes to the driver."""
    block, info, empty = marked(mark, make, *arguments)
    return block, (info, empty)
