"""What a decode task runs: a shard of files in, a block of pixels out. A plain function, without Ray."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from evaljobs.engine.heap import keep_freed_memory
from evaljobs.errors import ImageErrorKind
from evaljobs.images.decode import decode_block
from evaljobs.images.geometry import Geometry
from evaljobs.images.views.chain import Change
from evaljobs.schemas import FAILURES

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
    uris: Sequence[str], digests: Sequence[bytes], geometry: Geometry, changes: Mapping[bytes, Change] | None = None
) -> tuple[Decoded, DecodeReport, bool]:
    """Decode a shard; return the block, what is said of it, and whether it is empty."""
    keep_freed_memory()
    start = time.perf_counter()
    block = decode_block(uris, digests, geometry, changes)
    told = [(failure.digest, str(failure.kind), failure.message) for failure in block.failures]
    passing = [item for item in told if item[1] == ImageErrorKind.UNREADABLE]
    changed = [(digest, str(ImageErrorKind.UNREADABLE), _CHANGED) for digest in block.changed]
    report = DecodeReport(
        decoded=len(block.digests),
        failures=[item for item in told if item not in passing],
        unreadable=passing + changed,
        seconds=time.perf_counter() - start,
    )
    return Decoded(block.pixels, block.digests), report, not block.digests
