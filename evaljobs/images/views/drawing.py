"""What views draw: the same numbers for the same seed and image, on any machine, in any order, in any batch.

Numbers come from Philox, a counter-based generator (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC
2011), of which numpy promises the raw stream for all versions, keyed by a hash of what they are drawn for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

# Numbers that are drawn at a time, a multiple of those in one word of the generator.
_AT_A_TIME = 2**20
_IN_A_WORD = 4


def draws(seed: str, image: bytes, n: int) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield n even random numbers from 0 to 65535, a million at a time.

    Parameters
    ----------
    seed
        What is drawn.
    image
        Digest of the image that it is drawn for; empty where all have the same.
    """
    key = hashlib.sha256(f"evaljobs draw {seed}\n".encode() + image).digest()[:16]
    philox = np.random.Philox(key=int.from_bytes(key, "little"))
    for start in range(0, n, _AT_A_TIME):
        some = min(_AT_A_TIME, n - start)
        words = philox.random_raw(-(-some // _IN_A_WORD)).astype("<u8", copy=False)
        yield words.view("<u2")[:some]


def chosen(seed: str, digests: Sequence[bytes], share: float) -> npt.NDArray[np.bool_]:
    """Return which images belong to a share: ``[n]`` bool. Whether one does depends on no other.

    Parameters
    ----------
    seed
        Another text is another choice.
    digests
        Of the images.
    share
        Above 0, up to 1: how likely it is that an image does.
    """
    below = round(share * 2**64)
    start = hashlib.sha256(f"evaljobs share {seed}\n".encode())

    def number(digest: bytes) -> int:
        hashed = start.copy()
        hashed.update(digest)
        return int.from_bytes(hashed.digest()[:8], "little")

    return np.fromiter((number(digest) < below for digest in digests), bool, len(digests))
