"""Lines of checkpoints: models that differ in one numeric tag, such as the epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from evaljobs.errors import UsageError
from evaljobs.models.model import Series

# As people write numbers in file names: 7, 0007, 0.5, 1e-3.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def number_of(text: str) -> float | None:
    """Return the number that a tag's value is, an int where it is one; None where it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def line_names(paths: Iterable[str]) -> dict[str, str]:
    """Return what the lines of entries are called that have no name: by path, the stem of its last part.

    Where several paths end alike, as many folders stand before it as tell them apart: ``a/epoch-*``.
    """
    alike: dict[str, list[PurePosixPath]] = {}
    texts = {path: PurePosixPath(path) for path in paths}
    for path in dict.fromkeys(texts.values()):
        alike.setdefault(path.stem, []).append(path)
    return {text: _shortest(path, alike[path.stem]) for text, path in texts.items()}


def _shortest(path: PurePosixPath, alike: Sequence[PurePosixPath]) -> str:
    """Return the stem of a path with the folders that tell it from others of that stem."""
    parts = path.with_suffix("").parts
    for n in range(1, len(parts)):
        if len({other.with_suffix("").parts[-n:] for other in alike}) == len(alike):
            return "/".join(parts[-n:])
    return str(path.with_suffix("")) if len(alike) > 1 else path.stem


def series_of(tag: str, tags: Mapping[str, str], line: str, name: str | None) -> Series | None:
    """Return where a model stands in its line; None where it has no such tag, or one that is no number.

    Parameters
    ----------
    tag
        Along which the models are one line.
    tags
        Of the model.
    line
        What the line is called where it has neither a name nor other tags (`line_names`).
    name
        As the entry of the config has it. The line is called by the name, else by the other tags, else as said.
    """
    value = number_of(tags.get(tag, ""))
    if value is None:
        return None
    others = ", ".join(f"{key}={other}" for key, other in tags.items() if key != tag)
    return Series(tag, value, name or others or line)


def check_series(tag: str, path: str, found: Sequence[tuple[Series | None, Mapping[str, str]]]) -> None:
    """Refuse an entry that asks for a line and gives none.

    Parameters
    ----------
    tag, path
        Of the entry.
    found
        Where each of its models stands, and its tags.

    Raises
    ------
    UsageError
        If no model stands in a line.
    """
    if any(series is not None for series, _ in found):
        return
    values = list(dict.fromkeys(tags[tag] for _, tags in found if tag in tags))
    names = list(dict.fromkeys(name for _, tags in found for name in tags))
    if values:
        what = f"{tag!r} is no number in any of them: {', '.join(map(repr, values[:8]))}"
    else:
        what = f"none of them has the tag {tag!r}; they have {', '.join(map(repr, names)) or 'no tags'}"
    raise UsageError(
        f"models: {path}: `series: {tag}` makes these models one line, but {what}. Give them the number with "
        "`tag_pattern` or `matrix`, such as tag_pattern: epoch-{epoch}"
    )


def in_order(series: Series | None) -> tuple[bool, str, float]:
    """Return what sorts models by line and number; those of no line come last."""
    return (True, "", 0.0) if series is None else (False, series.name, series.value)


def check_places(placed: Sequence[tuple[Series | None, str]]) -> None:
    """Refuse two models at one place of a line.

    Parameters
    ----------
    placed
        Where each model of the run stands, and what it is called.

    Raises
    ------
    UsageError
        Naming both.
    """
    seen: dict[Series, str] = {}
    for series, name in placed:
        if series is None:
            continue
        if series in seen:
            raise UsageError(
                f"models: {seen[series]!r} and {name!r} both stand at {series.tag} {series.value} of the line "
                f"{series.name!r}; give each of their entries a `name`, or `tags` that tell the lines apart"
            )
        seen[series] = name
