"""Real images for the check: a folder's, or those that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaljobs import config
from evaljobs.errors import UsageError

# Enough for every kind of image of a folder to be met, few enough for a large model on two cores.
COMPARED = 16


class Sample(NamedTuple):
    """An encoded image and its name."""

    name: str
    data: bytes


def from_folder(folder: Path) -> tuple[Sample, ...]:
    """Read images of a folder and its subfolders, spread evenly over their sorted paths.

    Raises
    ------
    UsageError
        If it is no folder, holds no image, or one cannot be read.
    """
    extensions = config.Images.model_fields["extensions"].default
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in extensions and path.is_file())
    if not found:
        what = "holds no image" if folder.is_dir() else "is no folder"
        raise UsageError(
            f"--images {folder}: it {what}; expected a folder with files such as {', '.join(extensions[:4])}"
        )
    try:
        return tuple(Sample(str(path.relative_to(folder)), path.read_bytes()) for path in _spread(found))
    except OSError as error:
        raise UsageError(f"--images {folder}: {error.filename} cannot be read: {error.strerror or error}") from None


def _spread(paths: Sequence[Path]) -> list[Path]:
    places = np.linspace(0, len(paths) - 1, min(COMPARED, len(paths))).round().astype(int)
    return [paths[i] for i in places]


def built_in() -> tuple[Sample, ...]:
    """Return parts of scikit-learn's two photographs, and handwritten digits: 16 files."""
    from evaljobs.demo.images import Digits, image_files, load
    from evaljobs.demo.photos import photo_files

    digits = load()
    few = image_files(Digits(digits.pixels[:4], digits.labels[:4]))
    return tuple(Sample(name, data) for name, data in {**photo_files(), **few}.items())
