"""The values of tags that are compared: how they are written, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Of a tag; None where a model has it not.
Value = str | None
# Of several tags that are compared as one.
Values = tuple[Value, ...]


def level_text(level: Iterable[Value]) -> str:
    """Write a level: ``128 / 96``, with ``-`` for a tag that is not there."""
    return " / ".join("-" if value is None else value for value in level)


def natural(levels: Iterable[Values]) -> list[Values]:
    """Sort levels as people do: absent first, numbers by size where a tag has nothing else, ``epoch9`` before 10."""
    found = list(levels)
    numeric = [
        all(value is None or _number(value) is not None for value in column) for column in zip(*found, strict=True)
    ]
    return sorted(found, key=lambda level: [_key(*both) for both in zip(level, numeric, strict=True)])


def natural_texts(texts: Iterable[str]) -> list[str]:
    """Sort single values as `natural` sorts levels."""
    return [text for (text,) in natural((text,) for text in texts) if text is not None]


def _number(text: str) -> float | None:
    """Read a number, with commas between thousands too; None for everything else."""
    plain = text.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", text) else text
    return float(plain) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", plain, re.ASCII) else None


def _key(value: Value, numeric: bool) -> tuple[bool, float, list[tuple[str, int]], str]:
    if value is None:
        return False, 0.0, [], ""
    number = _number(value) if numeric else None
    pieces = re.findall(r"(\D*)(\d*)", value, re.ASCII)
    words = [(word, int(digits[:300] or -1)) for word, digits in pieces]
    return True, number or 0.0, words, value
