"""Numbers as they are said in findings."""

from __future__ import annotations

from collections.abc import Iterable


def counted(n: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: ``1 image``, ``2,000 images``."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def share(part: int, whole: int) -> str:
    """Return a share as people read it: ``2.5%``, ``0.01%``."""
    if not whole:
        return "0%"
    value = 100 * part / whole
    return f"{value:.1f}%" if value >= 1 or not part else f"{value:.2g}%"


def some(names: Iterable[str], most: int = 5) -> str:
    """Return the first names of several, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(repr(name) for name in every[:most]) + rest
