"""The digest of a model: of every byte that it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.files import sha256_of


def model_digest(path: Path, external_files: Sequence[Path] = ()) -> str:
    """Return the digest of a model's bytes; files are streamed.

    Without external data it is the sha256 of the file. With it, it is the sha256 over the sha256 of the file and of
    each external file, in the order of their paths relative to the model, so that it is the same wherever they lie.

    Parameters
    ----------
    path
        The ONNX file.
    external_files
        The files of its external data; all in the model's folder or below.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ModelError
        CORRUPT, if a file cannot be read or lies outside the model's folder.
    """
    digest = _file_digest(path)
    if not external_files:
        return digest
    ordered = sorted(external_files, key=lambda file: _relative(path, file))
    return hashlib.sha256("\n".join([digest, *map(_file_digest, ordered)]).encode()).hexdigest()


def _relative(path: Path, file: Path) -> str:
    folder = path.absolute().parent
    if ".." in file.parts or not file.absolute().is_relative_to(folder):
        raise ModelError(
            ModelErrorKind.CORRUPT,
            f"{path.name}: external data {file.name!r} lies outside the model's folder; it is not opened",
        )
    return file.absolute().relative_to(folder).as_posix()


def _file_digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        message = f"{path.name} cannot be read: {error.strerror or error}"
        raise ModelError(ModelErrorKind.CORRUPT, message) from None
