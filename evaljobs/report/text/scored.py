"""One verification of a table, for a terminal."""

from __future__ import annotations

from rich.console import Group as Renderables
from rich.console import RenderableType
from rich.text import Text

from evaljobs.report.results import Document
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.formats import to_terminal
from evaljobs.report.tables.leaderboard import render_verification
from evaljobs.report.text.closer_look import concentration

SHOWN = 20


def _name(side: str, row: Row) -> str:
    """Return the id of a sample; its row, where there are no ids."""
    id_ = row[f"id_{side}"]
    return f"row {row[f'row_{side}']}" if id_ is None else str(id_)


_HARDEST = [
    Column("kind", "kind", "kind", Kind.TEXT),
    Column("rank", "#", "rank", Kind.INTEGER),
    Column("score", "cosine", "score", Kind.NUMBER, format=".6f"),
    Column("a", "a", lambda row: _name("a", row), Kind.TEXT),
    Column("b", "b", lambda row: _name("b", row), Kind.TEXT),
    Column("label_a", "label of a", "label_a", Kind.TEXT),
    Column("label_b", "label of b", "label_b", Kind.TEXT),
]


def render_scored(found: Document) -> RenderableType:
    """Return what `evaljobs score` found: its points, and below them what people look at next.

    Parameters
    ----------
    found
        The result of a verification, with ``notes``, ``self_check`` and the ``hardest`` pairs beside it.
    """
    parts: list[RenderableType] = [render_verification(found, found["notes"])]
    concentrated, checked = concentration(found), found["self_check"]
    parts += [Text(visible(concentrated))] if concentrated else []
    if checked:
        pairs, samples = f"{checked['n_pairs']:,} pairs", f"{checked['n_samples']:,} samples"
        parts.append(Text(f"self-check: agrees with scikit-learn on {pairs} of {samples}"))
    shown = [row for row in found["hardest"] if row["rank"] <= SHOWN]
    if shown:
        parts.append(to_terminal(used_columns(_HARDEST, shown), shown))
    if len(shown) < len(found["hardest"]):
        parts.append(Text(f"  ... and {len(found['hardest']) - len(shown):,} more with --json"))
    return Renderables(*parts)
