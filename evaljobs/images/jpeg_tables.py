"""How a JPEG was compressed, by its quantisation tables and the sampling of its colours."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The luminance table of ITU-T T.81, Annex K.1, row by row.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_TABLE = 64
# Of the sampling factors of the first component against the others: what people call it.
_SUBSAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}
_DIGITS = 16


class Described(NamedTuple):
    """The columns of schemas.SAMPLES of these names; null where the file does not say it."""

    jpeg_quality: int | None
    jpeg_tables: str | None
    subsampling: str | None


def described(
    tables: Mapping[int, Sequence[int]] | None, components: Sequence[tuple[int, int, int, int]] | None
) -> Described:
    """Describe a JPEG by what stands before its pixels.

    Parameters
    ----------
    tables
        By number: 64 quantisation factors, row by row; Pillow's ``quantization``.
    components
        Number, horizontal and vertical sampling factor, and the table's number; Pillow's ``layer``.
    """
    whole = {number: tuple(table) for number, table in sorted((tables or {}).items()) if len(table) == _TABLE}
    if not whole:
        return Described(None, None, subsampling(components or ()))
    quality, digest = _tables(tuple(whole.items()), whole.get(_first(components), next(iter(whole.values()))))
    return Described(quality, digest, subsampling(components or ()))


def subsampling(components: Sequence[tuple[int, int, int, int]]) -> str | None:
    """Return how colours are sampled: ``4:2:0``; ``gray`` of one component, else the factors of each (``2x1,1x2,1x1``).

    Factors of four components (CMYK) are named by the second and third as well, if the last is as the first.
    """
    factors = [(across, down) for _, across, down, _ in components]
    if len(factors) < 2:
        return "gray" if factors else None
    (across, down), others = factors[0], set(factors[1:3])
    if len(others) == 1 and factors[3:] in ([], factors[:1]):
        ((other_across, other_down),) = others
        if other_across and other_down and not across % other_across and not down % other_down:
            name = _SUBSAMPLINGS.get((across // other_across, down // other_down))
            if name:
                return name
    return ",".join(f"{a}x{d}" for a, d in factors)


def _first(components: Sequence[tuple[int, int, int, int]] | None) -> int:
    return components[0][3] if components else 0


@functools.lru_cache(4096)
def _tables(tables: tuple[tuple[int, tuple[int, ...]], ...], luminance: tuple[int, ...]) -> tuple[int, str]:
    """Return the quality and the digest. A camera or a program has few tables, so most images ask for known ones."""
    packed = b"".join(struct.pack(">B64I", number & 0xFF, *(value & 0xFFFFFFFF for value in t)) for number, t in tables)
    return _quality(luminance), hashlib.sha256(packed).hexdigest()[:_DIGITS]


def _quality(table: tuple[int, ...]) -> int:
    """Return the quality, 1 to 100, whose table of libjpeg's is nearest (sum of absolute differences)."""
    far = np.abs(_libjpeg_tables() - np.array(table, np.int64)).sum(axis=1)
    return int(np.argmin(far)) + 1


@functools.cache
def _libjpeg_tables() -> NDArray[np.int64]:
    """Return ``[100, 64]``: libjpeg's luminance tables of quality 1 to 100 (jcparam.c, jpeg_quality_scaling)."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: NDArray[np.int64] = np.clip((np.array(_LUMINANCE) * scale + 50) // 100, 1, 255).astype(np.int64)
    return tables
