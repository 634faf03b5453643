"""Names for what stands in several runs: one where it is the same, ``RUN/NAME`` where only the name is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Thing(NamedTuple, Generic[T]):
    """Something of one run.

    Attributes
    ----------
    run
        The name of the run.
    key
        By which the run knows it.
    name
        What people call it.
    content
        By which it is known to be the same.
    """

    run: str
    key: Hashable
    name: str
    content: T


class Named(NamedTuple):
    """The names that were given.

    Attributes
    ----------
    names
        By run and key.
    apart
        By name: the new names of the different things that had it.
    """

    names: dict[tuple[str, Hashable], str]
    apart: dict[str, list[str]]


def unused(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: itself, or with a number behind it."""
    used, found, number = set(taken), name, 1
    while found in used:
        number += 1
        found = f"{name} ({number})"
    return found


def name_apart(things: Sequence[Thing[Any]], same: Callable[[Any, Any], bool]) -> Named:
    """Give the same things of several runs one name, and different things of one name names of their own.

    Parameters
    ----------
    things
        Of all runs, the oldest run first.
    same
        Whether two contents of equal names, of different runs, are the same. A thing joins others where it is the same
        as each of them, the newest first; so the result does not depend on more than the order of the things.
    """
    by_name: dict[str, list[list[Thing[Any]]]] = {}
    for thing in reversed(things):
        clusters = by_name.setdefault(thing.name, [])
        fitting = (
            cluster
            for cluster in clusters
            if all(other.run != thing.run and same(other.content, thing.content) for other in cluster)
        )
        cluster = next(fitting, None)
        if cluster is None:
            clusters.append([thing])
        else:
            cluster.append(thing)
    return _named(by_name)


def _named(by_name: dict[str, list[list[Thing[Any]]]]) -> Named:
    taken = {name for name, clusters in by_name.items() if len(clusters) == 1}
    found = Named({}, {})
    for name, clusters in sorted(by_name.items()):
        for cluster in clusters:
            # The newest run that has it gives it the name.
            given = name if len(clusters) == 1 else unused(f"{cluster[0].run}/{name}", taken)
            taken.add(given)
            found.names.update({(thing.run, thing.key): given for thing in cluster})
            if len(clusters) > 1:
                found.apart.setdefault(name, []).append(given)
    return found
