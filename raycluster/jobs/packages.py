"""The working folder of a job as one file, named by its content: what the cluster has already is not sent again."""

from __future__ import annotations

import hashlib
import io
import stat
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from raycluster.errors import ClusterError

# What a head takes in one message (gRPC), with room for the message itself.
LIMIT_BYTES = 500 * 2**20
# Where no git says what belongs to a tree: what nobody means to send.
_LEFT_OUT = frozenset({".git", ".hg", ".venv", "venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache"})
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_SHOWN = 5


class Package(NamedTuple):
    """A zip: the name that Ray's runtime environments know it by, and its bytes."""

    name: str
    data: bytes


def pack(files: Mapping[str, bytes], tree: Path | None = None) -> Package:
    """Pack files and a tree into one folder; equal content is one package, to the byte.

    Raises
    ------
    ClusterError
        If it is more than a head takes, or the tree cannot be read.
    """
    found = {} if tree is None else dict(tree_files(tree))
    _refuse_too_large(files, found, tree)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted({*files, *found}):
            archive.writestr(_entry(name, found.get(name)), files[name] if name in files else _read(found[name]))
    data = buffer.getvalue()
    return Package(f"_ray_pkg_{hashlib.sha256(data).hexdigest()[:32]}.zip", data)


def tree_digest(tree: Path) -> str:
    """Return the sha256 (hex) over names, contents and modes of a tree's files."""
    digest = hashlib.sha256()
    for name, path in tree_files(tree):
        mode = "x" if _executable(path) else "-"
        digest.update(f"{name}\0{mode}\0{hashlib.sha256(_read(path)).hexdigest()}\n".encode())
    return digest.hexdigest()


def tree_files(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a tree by relative name, sorted: in a git work tree those that git does not ignore.

    Those that are in no commit yet are among them; links are followed.

    Raises
    ------
    ClusterError
        If there is no such folder, a link leads out of it, or a name cannot be one on another machine.
    """
    if not tree.is_dir():
        raise ClusterError(f"there is no folder {tree}; name the project's folder after --working-tree")
    inside = tree.resolve()
    listed = _by_git(tree)
    names = _by_walking(tree) if listed is None else listed
    for name in sorted(names):
        path = tree / name
        if path.is_file():  # git lists what was deleted, and submodules
            _check(name, path, inside)
            yield name, path


def _check(name: str, path: Path, inside: Path) -> None:
    if not path.resolve().is_relative_to(inside):
        raise ClusterError(
            f"{name} of the working tree leads out of it, to {path.resolve()}; what lies there is not sent unasked: "
            "put the file itself there, or name the link in .gitignore"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ClusterError(
            f"the file {name!r} of the working tree has a name that is no UTF-8; rename it, or name it in .gitignore"
        ) from None


def _by_git(tree: Path) -> list[str] | None:
    """Return what git tracks or does not ignore; None where there is no git, or no work tree."""
    command = ["git", "-C", str(tree), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - git of the user's PATH
    except (OSError, subprocess.SubprocessError):
        return None
    return [name.decode(errors="surrogateescape") for name in found.stdout.split(b"\0") if name]


def _by_walking(tree: Path) -> list[str]:
    found = []
    for path in tree.rglob("*"):
        name = path.relative_to(tree)
        if not _LEFT_OUT.intersection(name.parts) and not path.is_dir():
            found.append(name.as_posix())
    return found


def _refuse_too_large(files: Mapping[str, bytes], found: Mapping[str, Path], tree: Path | None) -> None:
    """Refuse before anything is packed; packing makes it smaller, but hardly what is large: images, weights, wheels."""
    sizes = {name: path.stat().st_size for name, path in found.items()}
    sizes |= {name: len(data) for name, data in files.items()}
    total = sum(sizes.values())
    if total <= LIMIT_BYTES:
        return
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:_SHOWN]
    shown = ", ".join(f"{name} ({size / 2**20:,.0f} MiB)" for name, size in largest)
    where = f"the working tree {tree}" if tree else "the job's files"
    raise ClusterError(
        f"{where} has {total / 2**20:,.0f} MiB in {len(sizes):,} files; a cluster takes at most "
        f"{LIMIT_BYTES / 2**20:,.0f} MiB. The largest: {shown}. Name what is not code in .gitignore"
    )


def _entry(name: str, path: Path | None) -> zipfile.ZipInfo:
    """Return an entry that says nothing of when or by whom it was made."""
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o755 if path is not None and _executable(path) else 0o644) << 16
    return entry


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClusterError(f"cannot read {path} of the working tree: {error.strerror or error}") from None
