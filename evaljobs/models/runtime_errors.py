"""What the exceptions of onnxruntime mean for a model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from evaljobs.errors import ModelError, ModelErrorKind

T = TypeVar("T")

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate|bad_?alloc|out of memory|alloc_failed|memory allocation|"
    r"memory of \d+ is smaller than requested",  # the arena that `memory_mb` limits
    re.IGNORECASE,
)
_LONGEST = 300
# Of source files and libraries. Nodes have names like paths too, and those are worth reading.
_FOLDERS = re.compile(r"[^\s'\"=(]*[/\\](?=[^\s/\\]+\.(?:so|dll|dylib|cc|cpp|cu|cuh|h)\b)")
# Objects and machines.
_PASSING = re.compile(r"\b0x[0-9a-f]{6,}\b|\bhostname=\S+", re.IGNORECASE)


def attempt(call: Callable[[], T], path: Path, kind: ModelErrorKind, external_files: Sequence[Path] = ()) -> T:
    """Call onnxruntime.

    Parameters
    ----------
    call
        What to do.
    path, external_files
        Of the model: their folders are left out of messages, which are equal on every machine.
    kind
        Of failures that say no other.

    Raises
    ------
    ModelError
        OUT_OF_MEMORY where its message says so; FAILED for an operator that it lacks; else of the given kind.
    """
    try:
        return call()
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no other base in common
        raise _translate(error, kind, (path, *external_files)) from None


def _translate(error: Exception, kind: ModelErrorKind, files: Sequence[Path]) -> ModelError:
    text = _without_folders(str(error), files) or type(error).__name__
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        kind, doing = ModelErrorKind.OUT_OF_MEMORY, "not enough memory; a smaller batch_size needs less"
    elif type(error).__name__ == "NotImplemented":
        kind, doing = ModelErrorKind.FAILED, "it has an operator that this onnxruntime lacks"
    else:
        doing = "cannot be loaded" if kind is ModelErrorKind.CORRUPT else "failed while it ran"
    return ModelError(kind, f"{files[0].name}: {doing} (onnxruntime: {shorten(text)})")


def _without_folders(text: str, files: Sequence[Path]) -> str:
    """Leave the folders of files out of a text, those behind links included."""
    folders = {place.parent for file in files for place in (file, file.absolute(), file.resolve())} - {Path()}
    for folder in sorted(map(str, folders), key=len, reverse=True):
        text = text.replace(folder.rstrip(os.sep) + os.sep, "").replace(repr(folder), "its folder")
    return text


def shorten(message: str) -> str:
    """Return a message of onnxruntime on one line, without what is noise to people or differs between machines."""
    # CUDA's reason stands behind the C++ signature of whatever noticed it.
    if cuda := re.search(r"CU\w+ failure \d+: [^;]+", message):
        message = cuda[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", " ".join(message.split()))
    text = _PASSING.sub("...", _FOLDERS.sub("", text))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
