"""Labels and file types as names tell them."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pyarrow as pa

from evaljobs.config import Images
from evaljobs.errors import UsageError


def wanted_suffixes(extensions: Iterable[str]) -> frozenset[str]:
    """Return extensions in lower case, with a dot."""
    return frozenset("." + extension.lower().removeprefix(".") for extension in extensions)


def suffix(name: str) -> str:
    """Return a file's extension in lower case, with its dot; empty where it has none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million Path objects would take longer than the walk


def label_of_path(path: str, images: Images) -> str:
    """Return the label that a path below the set's folder tells, empty where it tells none."""
    if images.label == "prefix":
        label, separator, _ = path.rpartition("/")[2].partition(images.separator)
        return label if separator else ""
    folder = path.rpartition("/")[0].rpartition("/")[2]
    return "" if folder in {".", ".."} else folder


def as_names(values: Iterable[str | None], where: str) -> pa.Array:
    """Return file names as an Arrow array.

    Raises
    ------
    UsageError
        If one is not valid UTF-8.
    """
    values = list(values)
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        bad = next(value for value in values if value and any("\ud800" <= c <= "\udfff" for c in value))
        raise UsageError(f"{where}: the file name {os.fsencode(bad)!r} is not valid UTF-8; rename the file") from None
