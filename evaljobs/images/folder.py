"""Images in a folder and its subfolders."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Images
from evaljobs.errors import UsageError

_Inode = tuple[int, int]


def list_folder(root: Path, images: Images, where: str) -> pa.Table:
    """List the images below a folder: sample_id (relative path), label, uri; unsorted.

    Hidden files and folders are left out, and so is what is neither a file nor a link to one. Links to folders are
    followed, but not to one that is being walked already. A link to nothing is listed, and will fail when it is read.

    Raises
    ------
    UsageError
        If the folder or one below it cannot be read, holds no image, or an image has no label.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - links are to stay as they are written
    wanted = _suffixes(images.extensions)
    others: collections.Counter[str] = collections.Counter()
    ids: list[str] = []
    labels: list[str] = []
    unlabelled: list[str] = []
    for parent, names in _walk(root, where):
        taken = [name for name in names if _suffix(name) in wanted]
        if len(taken) < len(names):
            others.update(suffix for name in names if (suffix := _suffix(name)) not in wanted)
        found = _labels(parent, taken, images)
        unlabelled += [parent + name for name, label in zip(taken, found, strict=True) if not label]
        ids += [parent + name for name in taken]
        labels += found
    if unlabelled:
        raise UsageError(_no_label(unlabelled, root, images, where))
    if not ids:
        raise UsageError(_no_images(others, wanted, root, where))
    sample_ids = _text(ids, where)
    prefix = pa.scalar(str(root / "_")[:-1])  # with its separator, which a root like / has already
    uris = pc.binary_join_element_wise(prefix, sample_ids, "")
    return pa.table({"sample_id": sample_ids, "label": _text(labels, where), "uri": uris})


def _walk(root: Path, where: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (path of a folder below the root, ending in a slash; names of its files)."""
    stack: list[tuple[str, frozenset[_Inode]]] = [("", frozenset())]
    while stack:
        parent, above = stack.pop()
        try:
            inode = _inode(root / parent)
            if inode in above:
                continue
            with os.scandir(root / parent) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise UsageError(_unreadable(root, parent, error, where)) from None
        path = above | {inode}
        stack += [(f"{parent}{entry.name}/", path) for entry in visible if _is_folder(entry)]
        yield parent, [entry.name for entry in visible if _is_file(entry)]


def _inode(folder: Path) -> _Inode:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Tell files, and links to files or to nothing, from folders, FIFOs, sockets and devices."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110 - no Path each
    except OSError:
        return True


def _suffixes(extensions: Iterable[str]) -> frozenset[str]:
    return frozenset("." + extension.lower().removeprefix(".") for extension in extensions)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million Path objects would take longer than the walk


def _labels(parent: str, names: list[str], images: Images) -> list[str]:
    """Return the label of each file, empty where it has none."""
    if images.label == "folder":
        return [parent.rstrip("/").rpartition("/")[2]] * len(names)
    parts = (name.partition(images.separator) for name in names)
    return [label if separator else "" for label, separator, _ in parts]


def _text(values: list[str], where: str) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        bad = next(value for value in values if any("\ud800" <= c <= "\udfff" for c in value))
        raise UsageError(f"{where}: the file name {os.fsencode(bad)!r} is not valid UTF-8; rename the file") from None


def _unreadable(root: Path, parent: str, error: OSError, where: str) -> str:
    if not parent and isinstance(error, FileNotFoundError):
        return f"{where}: no folder {root}; check `folder`, which is relative to the configuration file"
    if not parent and isinstance(error, NotADirectoryError):
        return f"{where}: {root} is a file, not a folder; for a table of images use `manifest`"
    return f"{where}: cannot read the folder {root / parent}: {error.strerror}"


def _no_label(unlabelled: list[str], root: Path, images: Images, where: str) -> str:
    shown = ", ".join(repr(sample_id) for sample_id in sorted(unlabelled)[:3])
    if images.label == "folder":
        return (
            f"{where}: {len(unlabelled):,} image(s) lie in {root} itself, where no folder names their label: {shown}; "
            "move them into folders named by label, or use `label: prefix`"
        )
    return (
        f"{where}: {len(unlabelled):,} file name(s) in {root} have no label before the separator {images.separator!r}: "
        f"{shown}; set `separator` or `extensions`, or use `label: folder`"
    )


def _no_images(others: collections.Counter[str], wanted: frozenset[str], root: Path, where: str) -> str:
    looked_for = ", ".join(sorted(wanted)) or "nothing, as `extensions` is empty"
    if not others:
        return f"{where}: no images in {root}: it holds no files (looked for {looked_for})"
    found = ", ".join(f"{count:,} {suffix or 'without extension'}" for suffix, count in others.most_common(5))
    return (
        f"{where}: no images in {root}: none of its {others.total():,} file(s) has an extension looked for "
        f"({looked_for}); found {found}; set `extensions`"
    )
