"""From the `models` of a config to files with names and tags, on this machine or on S3; nothing is opened."""

from __future__ import annotations

import glob
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.finding import SUFFIX, Match, find_files
from evaljobs.models.model import Series
from evaljobs.models.places import ModelFile
from evaljobs.models.series import check_places, check_series, in_order, line_names, series_of
from evaljobs.models.tags import compile_pattern, parse_tags


@dataclass(frozen=True)
class Candidate:
    """A model file with the entry of the config that asks for it.

    ``missing`` is empty, or says what to do where the file of a combination is not there; ``series`` is where the model
    stands in a line of checkpoints.
    """

    name: str
    file: ModelFile
    tags: dict[str, str]
    entry: config.Models
    notes: tuple[str, ...] = ()
    missing: str = ""
    series: Series | None = None


def find_models(entries: Sequence[config.Models], base: Path) -> tuple[Candidate, ...]:
    """Expand the entries as `find_files` does, and give each model a name of its own.

    Raises
    ------
    UsageError
        As `find_files` does, and if a tag pattern is malformed, a line of checkpoints has no numbers, or two models
        cannot be told apart.
    RemoteError
        As `find_files` does.
    """
    found = _distinct(_candidates(find_files(entries, base)))
    check_places([(candidate.series, candidate.name) for candidate in found])
    return found


def find_any(entries: Sequence[config.Models], base: Path) -> tuple[Candidate, ...]:
    """Do as `find_models` does, but tell models of one name apart by their paths.

    Raises
    ------
    UsageError, RemoteError
        As `find_models` does, but for equal names.
    """
    found = _candidates(find_files(entries, base))
    times = Counter(candidate.name for candidate in found)
    return tuple(replace(c, name=str(c.file)) if times[c.name] > 1 else c for c in found)


def _candidates(matches: Sequence[Match]) -> list[Candidate]:
    """Return the candidates of each entry in turn; those of a line in the order of its numbers: 2 before 10."""
    found: list[Candidate] = []
    lines = line_names(m.asked.path for m in matches if m.asked.series is not None and m.asked.name is None)
    for _, group in itertools.groupby(matches, key=lambda match: id(match.asked)):
        several = list(group)
        candidates = [_candidate(match, lines.get(match.asked.path, "")) for match in several]
        entry = several[0].asked
        if entry.series is not None:
            check_series(entry.series, entry.path, [(c.series, c.tags) for c in candidates])
            candidates.sort(key=lambda candidate: in_order(candidate.series))
        found += candidates
    return found


def _candidate(match: Match, line: str) -> Candidate:
    entry, file = match.entry, match.file
    if match.missing and glob.has_magic(entry.path):  # nobody knows how many models it would be, nor their names
        return Candidate(entry.path, file, {**match.values, **entry.tags}, entry, (), match.missing)
    parsed, notes = _parsed(entry, file)
    tags = {**parsed, **match.values, **entry.tags}
    series = None
    if entry.series is not None:
        series = series_of(entry.series, tags, line, entry.line or entry.name)
        if series is None:
            value = repr(tags[entry.series]) if entry.series in tags else "not there"
            notes += (f"its tag {entry.series} is {value}, no number: it stands in no line of checkpoints",)
    return Candidate(_name(match, tags), file, tags, entry, notes, match.missing, series)


def _name(match: Match, tags: dict[str, str]) -> str:
    """Return the name of a model: that of its file, with the tags that come from folders; or that of its entry.

    A file keeps it whatever other models there are, as long as its folders tell it from them.
    """
    entry, asked, stem = match.entry, match.asked, _without_suffix(match.file.name)
    folder, _, last = (entry.tag_pattern or "").rpartition("/")
    if entry.name is not None:
        added = [key for key in match.values if f"{{{key}}}" not in (asked.name or "")]
        added += [] if entry.series is None or entry.line is not None else [entry.series]
    else:
        added = [key for key in match.values if f"{{{key}}}" not in asked.path.rpartition("/")[2]]
        added += [key for key in tags if f"{{{key}}}" in folder and f"{{{key}}}" not in last]
    texts = ", ".join(f"{key}={tags.get(key, stem)}" for key in dict.fromkeys(added))
    name = entry.name or stem or match.file.name
    return f"{name} ({texts})" if texts else name


def _parsed(entry: config.Models, file: ModelFile) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the tags that a file's name gives, of as many folders above it as the pattern has slashes, and notes."""
    pattern = entry.tag_pattern
    if pattern is None:
        return {}, ()
    compile_pattern(pattern)
    subject = _without_suffix("/".join(str(file).split("/")[-pattern.count("/") - 1 :]))
    parsed = parse_tags(pattern, subject)
    if parsed is None:
        return {}, (f"the file name {subject!r} does not match the tag pattern {pattern!r}: no tags from it",)
    return parsed, ()


def _without_suffix(name: str) -> str:
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


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
