"""From the `models` of a config to files with names and tags, on this machine or on S3; nothing is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.finding import SUFFIX, Match, find_files
from evaljobs.models.places import ModelFile
from evaljobs.models.tags import compile_pattern, parse_tags


@dataclass(frozen=True)
class Candidate:
    """A model file with the entry of the config that asks for it."""

    name: str
    file: ModelFile
    tags: dict[str, str]
    entry: config.Models
    notes: tuple[str, ...] = ()


def find_models(entries: Sequence[config.Models], base: Path) -> tuple[Candidate, ...]:
    """Expand the entries as `find_files` does, and give each model a name of its own.

    Raises
    ------
    UsageError
        As `find_files` does, and if a tag pattern is malformed or two models cannot be told apart.
    RemoteError
        As `find_files` does.
    """
    return _distinct([_candidate(match) for match in find_files(entries, base)])


def find_any(entries: Sequence[config.Models], base: Path) -> tuple[Candidate, ...]:
    """Do as `find_models` does, but tell models of one name apart by their paths.

    Raises
    ------
    UsageError, RemoteError
        As `find_models` does, but for equal names.
    """
    found = [_candidate(match) for match in find_files(entries, base)]
    times = Counter(candidate.name for candidate in found)
    return tuple(replace(c, name=str(c.file)) if times[c.name] > 1 else c for c in found)


def _candidate(match: Match) -> Candidate:
    entry, file = match
    stem = file.name[: -len(SUFFIX)] if file.name.lower().endswith(SUFFIX) else file.name
    name = entry.name or stem or file.name
    tags: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    if entry.tag_pattern is not None:
        compile_pattern(entry.tag_pattern)
        parsed = parse_tags(entry.tag_pattern, stem)
        tags = parsed or {}
        if parsed is None:
            notes = (f"the file name {stem!r} does not match the tag pattern {entry.tag_pattern!r}: no tags from it",)
    return Candidate(name, file, {**tags, **entry.tags}, entry, notes)


def _distinct(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Give equal names their differing tags: ``name (classes=16256)``."""
    named = list(candidates)
    for indices in _equal_names(candidates):
        group = [candidates[i] for i in indices]
        keys = sorted({key for c in group for key in c.tags})
        differing = [key for key in keys if len({c.tags.get(key) for c in group}) > 1]
        for i in indices:
            tags = ", ".join(f"{key}={named[i].tags[key]}" for key in differing if key in named[i].tags)
            named[i] = replace(named[i], name=f"{named[i].name} ({tags})" if tags else named[i].name)
    for first, second, *_ in _equal_names(named):
        a, b = named[first], named[second]
        where = (
            f"{a.file} and {b.file}" if a.file != b.file else f"{a.file}, matched by {a.entry.path} and {b.entry.path}"
        )
        raise UsageError(
            f"models: two are named {a.name!r}: {where}; results are found by name, so give each a `name`, "
            "or `tags` that tell them apart"
        )
    return tuple(named)


def _equal_names(candidates: Sequence[Candidate]) -> Iterator[list[int]]:
    places: dict[str, list[int]] = {}
    for i, candidate in enumerate(candidates):
        places.setdefault(candidate.name, []).append(i)
    yield from (indices for indices in places.values() if len(indices) > 1)
