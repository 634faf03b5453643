"""From the `models` of a config to files with names and tags; nothing is opened."""

from __future__ import annotations

import difflib
import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.tags import compile_pattern, parse_tags

SUFFIX = ".onnx"
_SHOWN = 8


@dataclass(frozen=True)
class Candidate:
    """A model file with the entry of the config that asks for it."""

    name: str
    path: Path
    tags: dict[str, str]
    entry: config.Models
    notes: tuple[str, ...] = ()


def find_models(entries: Sequence[config.Models], base: Path) -> tuple[Candidate, ...]:
    """Expand the entries, in their order; the files of a glob are sorted by path.

    A path that exists is that file, whatever characters it has. A glob takes files that end in ``.onnx`` (in any case),
    but for those that another entry names by themselves.

    Parameters
    ----------
    entries
        The `models` of a config.
    base
        The folder that relative paths start from: the config file's.

    Raises
    ------
    UsageError
        If an entry matches nothing, a tag pattern is malformed, or two models cannot be told apart.
    """
    named = {path for entry in entries if (path := _absolute(entry.path, base)).is_file()}
    found = [_candidate(entry, path) for entry in entries for path in _expand(entry, base, named)]
    return _distinct(found)


def _absolute(path: str, base: Path) -> Path:
    # Links are kept: external data lies beside the link, not beside what it points to.
    return Path(os.path.abspath(base / Path(path).expanduser()))  # noqa: PTH100 - Path.resolve would follow links


def _expand(entry: config.Models, base: Path, named: set[Path]) -> list[Path]:
    path = _absolute(entry.path, base)
    if path in named:
        return [path]
    if path.is_dir():
        raise UsageError(
            f"models: {entry.path} is a folder; write {entry.path.rstrip('/')}/*{SUFFIX} for the models in it"
        )
    if not glob.has_magic(entry.path):
        raise UsageError(f"models: there is no file {path}; {_describe_folder(path)}")
    pattern = Path(entry.path).expanduser()
    root = Path(glob.escape(str(base.absolute()))) / pattern
    matches = sorted(Path(os.path.abspath(match)) for match in glob.iglob(str(root), recursive=True))  # noqa: PTH100, PTH207 - as above; Path.glob takes no absolute patterns
    files = [match for match in matches if match.suffix.lower() == SUFFIX and match.is_file()]
    if not files:
        others = f" among {len(matches)} matches" if matches else ""
        raise UsageError(f"models: {entry.path} matches no {SUFFIX} file{others}; {_describe_folder(path)}")
    left = [file for file in files if file not in named]
    if entry.name is not None and len(left) > 1:
        raise UsageError(
            f"models: the name {entry.name!r} stands for one file, {entry.path} matches {len(left)}: "
            f"{_some([file.name for file in left])}; leave `name` out, or name the file"
        )
    return left


def _describe_folder(path: Path) -> str:
    """Say what is in the nearest folder above a path that has no wildcard and exists."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parent.parts)
    folder = Path(*fixed)
    while not folder.is_dir():
        folder = folder.parent
    models = sorted(file.name for file in folder.iterdir() if file.suffix.lower() == SUFFIX)
    if not models:
        return f"the folder {folder} holds no {SUFFIX} file"
    near = difflib.get_close_matches(path.name, models, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}The folder {folder} holds {_some(models)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _candidate(entry: config.Models, path: Path) -> Candidate:
    stem = path.name[: -len(SUFFIX)] if path.name.lower().endswith(SUFFIX) else path.name
    name = entry.name or stem or path.name
    tags: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    if entry.tag_pattern is not None:
        compile_pattern(entry.tag_pattern)
        parsed = parse_tags(entry.tag_pattern, stem)
        tags = parsed or {}
        if parsed is None:
            notes = (f"the file name {stem!r} does not match the tag pattern {entry.tag_pattern!r}: no tags from it",)
    return Candidate(name, path, {**tags, **entry.tags}, entry, notes)


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
            f"{a.path} and {b.path}" if a.path != b.path else f"{a.path}, matched by {a.entry.path} and {b.entry.path}"
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
