"""Images in a folder and its subfolders, on a disk or on S3."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.labels import as_names, label_of_path, suffix, wanted_suffixes
from evaljobs.remote import is_remote

_Inode = tuple[int, int]

# Extensions of images that are no default ones, whether they can be read or not.
_OTHERS = "apng arw cr2 cr3 dib dng exr heic heif ico j2k jfif jpe jpf jpx jxl nef orf pnm psd raf svg tga"
_IMAGE_LIKE = frozenset({*Images.model_fields["extensions"].default, *(f".{name}" for name in _OTHERS.split())})


def list_folder(root: str, images: Images, where: str, tell: Callable[[str], None]) -> pa.Table:
    """List the images below a folder: sample_id (relative path), label, uri; unsorted. On S3 also size and etag.

    Hidden files and folders are left out, and so is what is neither a file nor a link to one. Links to folders are
    followed, but not to one that is being walked already. A link to nothing is listed, and will fail when it is read.

    Parameters
    ----------
    root
        Absolute path, or ``s3://bucket/prefix``.
    images, where
        The set's entry in the configuration, and what messages begin with.
    tell
        Told of images that are left out for their extension.

    Raises
    ------
    UsageError
        If the folder or one below it cannot be read, holds no image, or an image has no label.
    RemoteError
        If S3 denies it or does not answer.
    """
    if is_remote(root):
        return _list_objects(root, images, where, tell)
    chosen = _Chosen(images)
    for parent, names in walk(Path(root), where):
        chosen.add([parent + name for name in names])
    table = chosen.table(root, where)
    chosen.say_left_out(where, tell)
    return table


def _list_objects(root: str, images: Images, where: str, tell: Callable[[str], None]) -> pa.Table:
    from evaljobs.remote import objects

    found = {item.uri[len(root) + 1 :]: item for item in objects.find(root)}
    chosen = _Chosen(images)
    chosen.add([path for path in found if not hidden(path)])
    table = chosen.table(root, where)
    chosen.say_left_out(where, tell)
    taken = [found[path] for path in chosen.ids]
    sizes, etags = [item.size for item in taken], [item.etag for item in taken]
    times = pa.nulls(len(taken), pa.int64())
    return table.append_column("size", [sizes]).append_column("mtime_ns", times).append_column("etag", [etags])


class _Chosen:
    """The images among the files of a folder, with their labels, and what else was there."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._wanted = wanted_suffixes(images.extensions)
        self._others: collections.Counter[str] = collections.Counter()
        self.ids: list[str] = []

    def add(self, paths: list[str]) -> None:
        """Look at files, by their paths below the root."""
        taken = [path for path in paths if suffix(path) in self._wanted]
        if len(taken) < len(paths):
            self._others.update(end for path in paths if (end := suffix(path)) not in self._wanted)
        self.ids += taken

    def table(self, root: str, where: str) -> pa.Table:
        """Return sample_id, label and uri.

        Raises
        ------
        UsageError
            If there is no image, or one without a label.
        """
        labels = [label_of_path(path, self._images) for path in self.ids]
        if not all(labels):
            unlabelled = [path for path, label in zip(self.ids, labels, strict=True) if not label]
            raise UsageError(_no_label(unlabelled, root, self._images, where))
        if not self.ids:
            raise UsageError(_no_images(self._others, self._wanted, root, where))
        sample_ids = as_names(self.ids, where)
        # A root like / ends in its separator already.
        uris = pc.binary_join_element_wise(pa.scalar(root.rstrip("/") + "/"), sample_ids, "")
        return pa.table({"sample_id": sample_ids, "label": as_names(labels, where), "uri": uris})

    def say_left_out(self, where: str, tell: Callable[[str], None]) -> None:
        """Tell of files that look like images and were not wanted."""
        left = [(end, count) for end, count in self._others.most_common() if end in _IMAGE_LIKE]
        if left:
            found = ", ".join(f"{count:,} {end}" for end, count in left)
            tell(f"{where}: left out by extension: {found}; to take them too, name all that are meant in `extensions`")


def hidden(path: str) -> bool:
    """Say whether a file below a root, or a folder on the way to it, is hidden."""
    return path.startswith(".") or "/." in path


def walk(root: Path, where: str) -> Iterator[tuple[str, list[str]]]:
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


def _unreadable(root: Path, parent: str, error: OSError, where: str) -> str:
    if not parent and isinstance(error, FileNotFoundError):
        return f"{where}: no folder {root}; check `folder`, which is relative to the configuration file"
    if not parent and isinstance(error, NotADirectoryError):
        return f"{where}: {root} is a file, not a folder; for a table of images use `manifest`"
    return f"{where}: cannot read the folder {root / parent}: {error.strerror}"


def _no_label(unlabelled: list[str], root: str, images: Images, where: str) -> str:
    shown = ", ".join(repr(sample_id) for sample_id in sorted(unlabelled)[:3])
    if images.label != "prefix":
        return (
            f"{where}: {len(unlabelled):,} image(s) lie in {root} itself, where no folder names their label: {shown}; "
            "move them into folders named by label, or use `label: prefix`"
        )
    return (
        f"{where}: {len(unlabelled):,} file name(s) in {root} have no label before the separator {images.separator!r}: "
        f"{shown}; set `separator` or `extensions`, or use `label: folder`"
    )


def _no_images(others: collections.Counter[str], wanted: frozenset[str], root: str, where: str) -> str:
    looked_for = ", ".join(sorted(wanted)) or "nothing, as `extensions` is empty"
    if not others:
        hint = "; check the bucket and the prefix" if is_remote(root) else ""
        return f"{where}: no images in {root}: it holds no files (looked for {looked_for}){hint}"
    found = ", ".join(f"{count:,} {suffix or 'without extension'}" for suffix, count in others.most_common(5))
    return (
        f"{where}: no images in {root}: none of its {others.total():,} file(s) has an extension looked for "
        f"({looked_for}); found {found}; set `extensions`"
    )
