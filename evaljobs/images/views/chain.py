"""The steps that an image goes through, and the digest that it has then.

An image of a view is an image of its own: its digest is a hash of the file's digest and of the steps. So what is kept
by image digest (rows of embedding tables, failures, thumbnails, results) is kept for it as for any other, and an image
that a view leaves alone keeps its digest, and all that was computed of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Value = float | int | str | tuple[int, ...]
Point = Literal["file", "input"]

# Raised where a step makes other pixels of the same picture than before: images changed by it get other digests.
_VERSIONS = {
    "noise": 1,
    "blur": 1,
    "jpeg": 1,
    "brightness": 1,
    "contrast": 1,
    "resize": 1,
    "rotate": 1,
    "grayscale": 1,
}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    kind
        Its name in the configuration.
    at
        What it acts on: ``file``, the picture as its file has it, 8-bit RGB or grey and upright where the geometry
        turns images; ``input``, the pixels that the geometry makes of it, in its size, as RGB or grey.
    values
        What it takes, by name and in the order of names.
    seed
        Of what it draws: empty where it draws nothing.
    """

    kind: str
    at: Point
    values: tuple[tuple[str, Value], ...] = ()
    seed: str = ""

    def key(self) -> dict[str, object]:
        """Return, as JSON, all that the step's pixels follow from beside the picture."""
        drawn = {"seed": self.seed} if self.seed else {}
        return {"kind": self.kind, "version": _VERSIONS[self.kind], "at": self.at, "values": dict(self.values), **drawn}

    def __str__(self) -> str:
        """Return the step in words: ``noise (strength 0.7, pattern shared) at input``."""
        values = ", ".join(f"{name} {_text(value)}" for name, value in self.values)
        return f"{self.kind}{f' ({values})' if values else ''} at {self.at}"


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Chain:
    """Steps in order: those at ``file`` before those at ``input``."""

    steps: tuple[Step, ...]

    @cached_property
    def digest(self) -> bytes:
        """The sha256 of the steps, 32 bytes."""
        text = json.dumps([step.key() for step in self.steps], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()

    def of(self, file: bytes) -> bytes:
        """Return the image digest of a changed image.

        Parameters
        ----------
        file
            The sha256 of the file's bytes.
        """
        return hashlib.sha256(b"evaljobs view\n" + self.digest + file).digest()

    def at(self, point: Point) -> tuple[Step, ...]:
        """Return the steps that act there."""
        return tuple(step for step in self.steps if step.at == point)


class Change(NamedTuple):
    """What is done to one image: the steps, and the digest of the bytes of its file, 32 bytes."""

    chain: Chain
    file: bytes
