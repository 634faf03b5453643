"""How a cluster is, as tables for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raycluster.cluster.state import ClusterState, JobState, Node, Waiting
from raycluster.cluster.waiting import amount, amounts
from raycluster.jobs.job import ENDED
from raycluster.jobs.stages import summary, visible

# What is shown of nodes that are gone, of jobs that have ended, and of what waits.
_GONE, _ENDED, _WAITING = 3, 5, 20
_ID = 8
_SLOTS = ("CPU", "GPU")


def render_status(state: ClusterState) -> RenderableType:
    """Return a cluster's state for a terminal."""
    parts: list[RenderableType] = [Text(state.address), Text(), _nodes(state.nodes)]
    parts += _lines([_gone(node) for node in state.nodes if not node.alive][-_GONE:])
    parts += [Text(), *_jobs(state.jobs)]
    if state.waiting:
        parts += [Text(), _waiting(state.waiting[:_WAITING])]
        if len(state.waiting) > _WAITING:
            parts.append(Text(f"and {len(state.waiting) - _WAITING:,} more that wait; --json lists all"))
    if state.events:
        parts.append(Text())
        parts += _lines([f"{visible(event.time)}  autoscaler: {visible(event.message)}" for event in state.events])
    return Group(*parts)


def _lines(texts: Sequence[str]) -> list[RenderableType]:
    return [Text(text) for text in texts]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row whose cells are text and no markup."""
    table.add_row(*map(Text, cells))


def _nodes(nodes: Sequence[Node]) -> Table:
    table = _table("node", "type", *(f"{name} used" for name in _SLOTS), "memory", "other")
    for node in nodes:
        if node.alive:
            kind = "head" if node.head else node.type
            slots = [_slots(node, name) for name in _SLOTS]
            memory = amount("memory", node.total.get("memory", 0.0))
            others = {k: v for k, v in node.total.items() if k not in {*_SLOTS, "memory", "object_store_memory"}}
            rest = ", ".join(f"{visible(name)} {amount(name, value)}" for name, value in sorted(others.items()))
            _add(table, _named(node), visible(kind), *slots, memory, rest)
    return table


def _named(node: Node) -> str:
    return visible(f"{node.address} ({node.id[:_ID]})")


def _slots(node: Node, name: str) -> str:
    total = node.total.get(name, 0.0)
    return f"{amount(name, node.used.get(name, 0.0))} of {amount(name, total)}" if total else "none"


def _gone(node: Node) -> str:
    return f"gone: {_named(node)}{': ' if node.message else ''}{visible(node.message)}"


def _jobs(jobs: Sequence[JobState]) -> list[RenderableType]:
    if not jobs:
        return [Text("no jobs")]
    open_ = [one for one in jobs if one.job.status not in ENDED]
    ended = [one for one in jobs if one.job.status in ENDED]
    table = _table("job", "status", "since", "exit code")
    for one in [*open_, *ended[:_ENDED]]:
        code = "" if one.job.exit_code is None else str(one.job.exit_code)
        _add(table, visible(one.job.id), visible(one.job.status), _time(one.job.ended or one.job.started), code)
    parts: list[RenderableType] = [table]
    if len(ended) > _ENDED:
        parts.append(Text(f"and {len(ended) - _ENDED:,} that have ended; `raycluster jobs` lists all"))
    for one in open_:
        if one.stages:
            parts += [Text(), Text(visible(one.job.id)), *_lines([f"  {line}" for line in summary(one.stages)])]
        elif one.job.status == "pending" and one.job.message:
            parts.append(Text(f"{visible(one.job.id)}: {visible(one.job.message)}"))
    return parts


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{dt.datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def _waiting(waiting: Sequence[Waiting]) -> Table:
    table = _table("waits", "calls", "each asks for", "why")
    for one in waiting:
        demand = one.demand
        what = f"{visible(demand.what)} of {visible(demand.job)}"
        _add(table, what, demand.calls, amounts(demand.resources), visible(one.reason))
    return table
