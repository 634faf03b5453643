"""What a job must have that looks at images again: a model, and the images of a set as it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.images.pictures import Pictures
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
        some = self._pictures.of(rows)
        return replace(self, uris=some.uris, digests=some.digests, changes=some.changes)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """Decode an image as the model sees it: uint8 [h, w, c].

        Raises
        ------
        ImageError
            UNREADABLE, if it was changed or went away since it was embedded.
        """
        return self._pictures.pixels(row, self.model.pixels.geometry)

    @property
    def _pictures(self) -> Pictures:
        return Pictures(self.uris, self.digests, self.changes)
