"""The images of a set, to be decoded by whoever looks at them: where they lie, and what views do to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.decode import Block, decode_block
from evaljobs.images.geometry import Geometry
from evaljobs.images.views.chain import Change


@dataclass(frozen=True)
class Pictures:
    """Where the images of a set are. Picklable.

    Attributes
    ----------
    uris, digests
        ``[n]``: a place of each image, and its digest.
    changes
        What views do to some of them, by digest.
    """

    uris: pa.Array
    digests: pa.Array
    changes: Mapping[bytes, Change] = field(default_factory=dict)

    def of(self, rows: Sequence[int]) -> Pictures:
        """Return the same with some of the images, in their order."""
        wanted = pa.array(rows, pa.int64())
        digests = self.digests.take(wanted)
        changes = {digest: self.changes[digest] for digest in digests.to_pylist() if digest in self.changes}
        return replace(self, uris=self.uris.take(wanted), digests=digests, changes=changes)

    def block(self, rows: range, geometry: Geometry) -> Block:
        """Read and decode images that follow each other.

        Raises
        ------
        ImageError
            UNREADABLE, if one was changed or went away since it was looked at.
        """
        uris, digests = (each[rows.start : rows.stop].to_pylist() for each in (self.uris, self.digests))
        block = decode_block(uris, digests, geometry, self.changes)
        if block.changed:
            uri = uris[digests.index(block.changed[0])]
            raise _gone(uri, "it was changed or went away")
        return block

    def pixels(self, row: int, geometry: Geometry) -> NDArray[np.uint8]:
        """Decode an image: uint8 [h, w, c].

        Raises
        ------
        ImageError
            UNREADABLE, if it was changed or went away since it was looked at, or cannot be decoded.
        """
        block = self.block(range(row, row + 1), geometry)
        if not block.digests:
            raise _gone(self.uris[row].as_py(), block.failures[0].message)
        pixels: NDArray[np.uint8] = block.pixels[0]
        return pixels


def _gone(uri: str, reason: str) -> ImageError:
    return ImageError(
        ImageErrorKind.UNREADABLE,
        f"{uri} cannot be read again: {reason}; run again to take the images as they are now",
    )
