"""The names of a model's classes: from the config, a file, or what exporters write into the metadata."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaljobs.errors import ModelError, ModelErrorKind, UsageError
from evaljobs.models.model import Classes
from evaljobs.remote import is_remote, locate
from evaljobs.remote.whole import read_whole

CLASSES_KEY = "evaljobs.classes"
# As other tools write them: Ultralytics a Python dict of numbers and names, Hugging Face a JSON object of the same.
_KEYS_OF_OTHERS = ("names", "classes", "class_names", "id2label")


def classes_of(
    configured: Sequence[str] | str | None, base: Path, metadata: Mapping[str, str]
) -> tuple[Classes | None, tuple[str, ...]]:
    """Return the names of a model's classes, and notes on what could not be read.

    Taken from the first that has them: the model's entry in the config, the metadata `evaljobs.classes` (a JSON list),
    then the metadata `names`, `classes`, `class_names` and `id2label` of other tools.

    Parameters
    ----------
    configured
        Of the model's entry: the names, or a text file with a name a line.
    base
        The folder that its path starts from.
    metadata
        Of the ONNX file.

    Raises
    ------
    UsageError
        If the file cannot be used.
    ModelError
        NO_SCORES, if `evaljobs.classes` is no JSON list of names.
    """
    if isinstance(configured, str):
        return Classes(read_classes(locate(configured, base)), "model config"), ()
    if configured is not None:
        return Classes(tuple(configured), "model config"), ()
    if CLASSES_KEY in metadata:
        return Classes(_own(metadata[CLASSES_KEY]), "metadata"), ()
    notes: list[str] = []
    for key in _KEYS_OF_OTHERS:
        if key in metadata:
            if (names := parse_names(metadata[key])) is not None:
                return Classes(names, f"metadata {key}"), tuple(notes)
            notes.append(f"the metadata entry {key!r} is no list of class names that is understood; it is not used")
    return None, tuple(notes)


def read_classes(place: Path | str) -> tuple[str, ...]:
    """Read the names of classes from a text file, here or on S3, a name a line.

    Raises
    ------
    UsageError
        If it cannot be read, or a line between others is empty.
    RemoteError
        If S3 denies it or does not answer.
    """
    where = f"the file of class names {place}"
    try:
        data = read_whole(place) if is_remote(place) else Path(place).read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"{where} cannot be read: {reason}; expected a text file with a name a line") from None
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names:
        found = f"line {names.index('') + 1} is empty" if names else "it has no names"
        raise UsageError(f"{where}: {found}; expected a name on each line, in the order of the model's scores")
    return tuple(names)


def parse_names(text: str) -> tuple[str, ...] | None:
    """Read names as exporters write them: a list, or numbers from 0 and names, as JSON or as Python; None otherwise."""
    value = _value(text)
    if isinstance(value, dict):
        try:
            by_number = {int(number): name for number, name in value.items()}
        except (TypeError, ValueError):
            return None
        if len(by_number) != len(value) or sorted(by_number) != list(range(len(by_number))):
            return None
        value = [by_number[number] for number in range(len(by_number))]
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _own(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(
            ModelErrorKind.NO_SCORES,
            f"the model's metadata entry {CLASSES_KEY} holds {text[:60]!r}; expected a JSON list of class names in the "
            "order of the scores, or `classes` in the model's entry",
        )
    return tuple(names)
