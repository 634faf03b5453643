"""Whether a run's files must be written again is told by two digests: of what draws them, and of what was written."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

_CODE = Path(__file__).parent
_SOURCES = frozenset({".py", ".html", ".css", ".js"})
# What draws pictures and pages beside this package; a run's ``execution.versions`` name what computes.
_LIBRARIES = ("jinja2", "matplotlib", "plotly")


@functools.cache
def code_digest() -> str:
    """Return the sha256 (hex) of what writes a run's files: this package with its templates, and what it draws with.

    So a page is written anew after any change of these, and nobody has to remember a number.
    """
    digest = hashlib.sha256(repr([(name, importlib.metadata.version(name)) for name in _LIBRARIES]).encode())
    for path in sorted(_CODE.rglob("*")):
        if path.suffix in _SOURCES:
            digest.update(f"\n{path.relative_to(_CODE).as_posix()} {_content(path)}".encode())
    return digest.hexdigest()


def files_digest(folder: Path, names: Iterable[str]) -> str:
    """Return the sha256 (hex) of some files of a folder, each with its name; one that is not there counts as such."""
    lines = (f"{_content(folder / name)} {name}" for name in sorted(set(names)))
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "-"
