"""Every error that evaljobs raises on purpose.

EvaljobsError                 exit code
├── UsageError                2    bad arguments or configuration; nothing was started
├── InputError                2    vectors or tables handed in that cannot be evaluated
├── ImageError                -    one image cannot be decoded: excluded, listed and counted
├── ModelError                -    one model cannot be used: refused by name, the others go on
├── StoreError                4    the store cannot be read or written (full disk, not shared)
│   └── RowsMissingError      4    rows of an embedding table went away, or were damaged and removed
├── RemoteError               4    an object on S3 cannot be read or written
├── ExportError               4    one checkpoint cannot be exported; the others go on
├── TrackingError             4    a tracking server does not take what was found
└── RunFailedError            4    no valid results

A message names what was found, what was expected and what to do next.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable


class ExitCode(enum.IntEnum):
    """What the command line returns."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    GATE_FAILED = 3
    NO_RESULTS = 4
    INTERRUPTED = 130
    TERMINATED = 143


class EvaljobsError(Exception):
    """Base of all errors that are shown to people without a traceback."""

    exit_code = ExitCode.NO_RESULTS


class UsageError(EvaljobsError):
    """Bad arguments or configuration; nothing was started."""

    exit_code = ExitCode.USAGE


class InputError(EvaljobsError):
    """Vectors, labels or tables that cannot be evaluated as they are."""

    exit_code = ExitCode.USAGE


class NonFiniteError(InputError):
    """Embeddings that are NaN, infinite or all zero.

    Attributes
    ----------
    count
        How many rows.
    rows
        The first of them, by row number.
    """

    def __init__(self, message: str, *, count: int, rows: tuple[int, ...]) -> None:
        super().__init__(message)
        self.count = count
        self.rows = rows

    def __reduce__(self) -> tuple[Callable[..., NonFiniteError], tuple[str]]:
        return functools.partial(type(self), count=self.count, rows=self.rows), (str(self),)


class StoreError(EvaljobsError):
    """The store cannot be read or written."""


class RowsMissingError(StoreError):
    """Rows of an embedding table are not there, or were damaged and have been removed: they can be made again."""


class RemoteErrorKind(enum.StrEnum):
    """Why S3 does not do what it was asked for."""

    DENIED = "denied"
    NO_BUCKET = "no_bucket"
    UNREACHABLE = "unreachable"
    FAILED = "failed"


class RemoteError(EvaljobsError):
    """An object on S3 cannot be read or written. No message names a credential's value."""

    def __init__(self, kind: RemoteErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[RemoteError], tuple[RemoteErrorKind, str]]:
        return type(self), (self.kind, str(self))


class ExportError(EvaljobsError):
    """One checkpoint cannot become an ONNX file; nothing was written for it."""


class TrackingError(EvaljobsError):
    """A tracking server does not take results; they stand in the run's folder all the same."""


class RunFailedError(EvaljobsError):
    """The run has no valid results."""


class ImageErrorKind(enum.StrEnum):
    """Why an image is excluded. All but UNREADABLE follow from its bytes, and are remembered."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"


class ImageError(EvaljobsError):
    """One image cannot be decoded."""

    def __init__(self, kind: ImageErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ImageError], tuple[ImageErrorKind, str]]:
        return type(self), (self.kind, str(self))


class ModelErrorKind(enum.StrEnum):
    """Why a model has no results."""

    MISSING = "missing"
    CORRUPT = "corrupt"
    UNSUPPORTED_INPUT = "unsupported_input"
    UNSUPPORTED_OUTPUT = "unsupported_output"
    NO_SCORES = "no_scores"
    NO_DROPOUT = "no_dropout"
    PREPROCESSING = "preprocessing"
    PROVIDER = "provider"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    FAILED = "failed"
    NON_FINITE = "non_finite"


class ModelError(EvaljobsError):
    """One model cannot be used; the others go on."""

    def __init__(self, kind: ModelErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[ModelError], tuple[ModelErrorKind, str]]:
        return type(self), (self.kind, str(self))
