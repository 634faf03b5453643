"""What a job must have that looks at images again: a model, and the images of a set as it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.decode import decode_block
from evaljobs.images.views.chain import Change
from evaljobs.models.model import Model


@dataclass(frozen=True)
class Sight:
    """A model, and where the images of a set are. Picklable.

    Attributes
    ----------
    model
        What sees them.
    uris, digests
        ``[n]``: a place of each image, and its digest.
    changes
        What views do to some of them, by digest.
    """

    model: Model
    uris: pa.Array
    digests: pa.Array
    changes: Mapping[bytes, Change] = field(default_factory=dict)

    def of(self, rows: Sequence[int]) -> Sight:
        """Return the same with some of the images, in their order."""
        wanted = pa.array(rows, pa.int64())
        digests = self.digests.take(wanted)
        changes = {digest: self.changes[digest] for digest in digests.to_pylist() if digest in self.changes}
        return replace(self, uris=self.uris.take(wanted), digests=digests, changes=changes)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Decode an image as the model sees it: uint8 [h, w, c].

        Raises
        ------
        ImageError
            UNREADABLE, if it was changed or went away since it was embedded.
        """
        uri, digest = self.uris[row].as_py(), self.digests[row].as_py()
        block = decode_block([uri], [digest], self.model.pixels.geometry, self.changes)
        if not block.digests:
            reason = block.failures[0].message if block.failures else "it was changed or went away"
            raise ImageError(
                ImageErrorKind.UNREADABLE,
                f"{uri} cannot be read again to be explained: {reason}; run again to take the images as they are now",
            )
        pixels: NDArray[np.uint8] = block.pixels[0]
        return pixels
