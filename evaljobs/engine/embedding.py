"""What runs in the workers: decode a shard, embed a block. Plain functions and classes, without Ray."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaljobs.errors import ImageErrorKind, ModelError, ModelErrorKind
from evaljobs.images.decode import decode_block
from evaljobs.images.geometry import Geometry
from evaljobs.models.model import Model
from evaljobs.models.options import Device
from evaljobs.models.session import Session
from evaljobs.schemas import DIGEST, FAILURES
from evaljobs.store import Store

_CHANGED = "the file was changed or went away while the run used it; run again to take it as it is now"

Pixels = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]


class Decoded(NamedTuple):
    """A block of decoded images: ``[m, h, w, c]`` uint8, and their digests."""

    pixels: Pixels
    digests: list[bytes]


@dataclasses.dataclass(frozen=True)
class DecodeReport:
    """What a decode task says of its shard.

    Attributes
    ----------
    decoded
        Images decoded.
    failures
        ``(digest, kind, message)`` of images that cannot be decoded, whoever tries: worth remembering.
    unreadable
        The same of files that could not be read this time, or hold other bytes by now.
    """

    decoded: int
    failures: list[tuple[bytes, str, str]]
    unreadable: list[tuple[bytes, str, str]]
    seconds: float

    @property
    def failure_table(self) -> pa.Table:
        """The failures as schemas.FAILURES."""
        columns = list(zip(*self.failures, strict=True)) or [(), (), ()]
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, FAILURES, strict=True)], schema=FAILURES)


def decode_shard(
    uris: Sequence[str], digests: Sequence[bytes], geometry: Geometry
) -> tuple[Decoded, DecodeReport, bool]:
    """Decode a shard; return the block, what is said of it, and whether it is empty."""
    start = time.perf_counter()
    block = decode_block(uris, digests, geometry)
    told = [(failure.digest, str(failure.kind), failure.message) for failure in block.failures]
    passing = [item for item in told if item[1] == ImageErrorKind.UNREADABLE]
    digest_of = dict(zip(uris, digests, strict=True))
    changed = [(digest_of[uri], str(ImageErrorKind.UNREADABLE), _CHANGED) for uri in block.changed]
    report = DecodeReport(
        decoded=len(block.digests),
        failures=[item for item in told if item not in passing],
        unreadable=passing + changed,
        seconds=time.perf_counter() - start,
    )
    return Decoded(block.pixels, block.digests), report, not block.digests


@dataclasses.dataclass(frozen=True)
class ModelLoad:
    """What an embedder loads: the model, and the key of the table that its rows go to."""

    model: Model
    key: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A block was embedded and its rows are committed."""

    rows: int
    provider: str
    load_seconds: float
    embed_seconds: float


@dataclasses.dataclass(frozen=True)
class EmbedFailed:
    """A model cannot be used."""

    kind: ModelErrorKind
    message: str


class Embedder:
    """Holds one session at a time, and embeds block after block with it.

    Every call is safe to repeat: the store keeps the first of two equal parts.
    """

    def __init__(self, store: Path, device: Device, threads: int) -> None:
        self._store = Store(store)
        self._device = device
        self._threads = threads
        self._key: Mapping[str, Any] | None = None
        self._session: Session | None = None

    def __call__(self, load: ModelLoad, block: Decoded) -> Embedded | EmbedFailed:
        """Embed a block and commit its rows."""
        start = time.perf_counter()
        try:
            session = self._load(load)
            loaded = time.perf_counter()
            outputs = session.run(block.pixels)
        except ModelError as error:
            return EmbedFailed(error.kind, str(error))
        embedded = time.perf_counter()
        self._store.table(load.key).commit(pa.array(block.digests, DIGEST), outputs)
        return Embedded(len(block.digests), session.provider, loaded - start, embedded - loaded)

    def _load(self, load: ModelLoad) -> Session:
        if self._session is None or self._key != load.key:
            # Freed first: two sessions of large models may not fit beside each other.
            self._session, self._key = None, None
            gc.collect()
            self._session = Session(load.model, device=self._device, threads=self._threads)
            self._key = load.key
        return self._session
