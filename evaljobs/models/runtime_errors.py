"""What the exceptions of onnxruntime mean for a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from evaljobs.errors import ModelError, ModelErrorKind

T = TypeVar("T")

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate|bad_?alloc|out of memory|alloc_failed|memory allocation", re.IGNORECASE
)
_LONGEST = 300


def attempt(call: Callable[[], T], path: Path, kind: ModelErrorKind) -> T:
    """Call onnxruntime.

    Raises
    ------
    ModelError
        OUT_OF_MEMORY where its message says so; FAILED for an operator that it lacks; else of the given kind. The path
        is of the model, to be left out of the message.
    """
    try:
        return call()
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no other base in common
        raise _translate(error, path, kind) from None


def _translate(error: Exception, path: Path, kind: ModelErrorKind) -> ModelError:
    # No folders: the message goes into results that are equal on every machine.
    text = str(error).replace(f"{path.parent}/", "") or type(error).__name__
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        kind, doing = ModelErrorKind.OUT_OF_MEMORY, "not enough memory; a smaller batch_size needs less"
    elif type(error).__name__ == "NotImplemented":
        kind, doing = ModelErrorKind.FAILED, "it has an operator that this onnxruntime lacks"
    else:
        doing = "cannot be loaded" if kind is ModelErrorKind.CORRUPT else "failed while it ran"
    return ModelError(kind, f"{path.name}: {doing} (onnxruntime: {shorten(text)})")


def shorten(message: str) -> str:
    """Return a message of onnxruntime on one line, without what is noise to people."""
    # CUDA's reason stands behind the C++ signature of whatever noticed it.
    if cuda := re.search(r"CU\w+ failure \d+: [^;]+", message):
        message = cuda[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", " ".join(message.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
