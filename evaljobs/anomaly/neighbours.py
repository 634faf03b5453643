"""Distance to normal images: the nearest of those that are known to be normal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs import score
from evaljobs.pairs.samples import as_rows, refuse_unusable
from evaljobs.uncertainty.neighbours import Space, prepare


def normal_space(
    embeddings: tuple[object, object],
    originals: tuple[Sequence[bytes], Sequence[bytes]],
    normal: NDArray[np.int64],
    k: int,
) -> Space:
    """Make images and the normal ones of a reference ready to be compared.

    Parameters
    ----------
    embeddings
        Of the images and of the whole reference: ``[q, d]`` and ``[r, d]`` real numbers.
    originals
        Of both: what an image and what a view makes of it have in common. An image is no neighbour of itself.
    normal
        The rows of the reference that are normal, the others are left out.
    k
        How many neighbours are wanted.

    Raises
    ------
    InputError
        If no image of the reference is normal, or fewer than k others are.
    NonFiniteError
        If a row is not finite, or all zero; rows of the reference are counted after those of the images.
    """
    if not len(normal):
        raise InputError(
            f"none of the {len(originals[1]):,} images of the reference has a normal label; name a set of normal images"
        )
    queries, reference = (as_rows(side)[0] for side in embeddings)
    # Of all rows, so that it is said of the right ones.
    refuse_unusable(np.concatenate([score.norms(queries), score.norms(reference)]), None)
    codes: dict[bytes, int] = {}
    of_queries, of_reference = (
        np.array([codes.setdefault(digest, len(codes)) for digest in side], np.int64) for side in originals
    )
    return prepare(queries, reference[normal], k, (of_queries, of_reference[normal]))
