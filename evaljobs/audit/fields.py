"""What is known of how images were saved, as a few values for each field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

# In the order in which they are named where several say the same: causes before what follows from them.
COLUMNS = (
    "format",
    "jpeg_quality",
    "jpeg_tables",
    "subsampling",
    "progressive",
    "mode",
    "icc",
    "exif",
    "orientation",
    "camera",
    "software",
    "frames",
    "width",
    "height",
    "aspect",
    "size",
    "bytes_per_pixel",
)
# They follow from what an image shows as well as from how it was saved: a sheet full of text takes more bytes than an
# empty one, whoever saved it.
OF_CONTENT = frozenset({"size", "bytes_per_pixel"})
# All fields but those of content and size, put together.
TOGETHER = "combination"
_NOT_COMBINED = frozenset({*OF_CONTENT, "width", "height", "aspect"})
# Of a field with more values the rarest count as one.
MOST_VALUES = 256
# Numbers are cut into as many classes of equal size, each of so many images at least.
_MOST_BINS, _LEAST_IN_A_BIN = 16, 10
_MISSING = "none"


class Field(NamedTuple):
    """One field of n images.

    Attributes
    ----------
    name
        A column of samples, ``aspect`` (width / height) or `TOGETHER`.
    codes
        ``[n]`` int64 in [0, n_codes): the value's number; of numbers that of their class, in ascending order. Images
        without the field have the last one.
    n_codes
        How many there are.
    n_values
        How many different values, not counting that there is none.
    n_known
        How many images have one.
    ranks
        ``[n]`` float64: of numbers, the rank among all (ties share their mean; none is below all); None of names.
    """

    name: str
    codes: Int64
    n_codes: int
    n_values: int
    n_known: int
    ranks: Float64 | None

    @property
    def of_content(self) -> bool:
        """Whether it follows from what is shown too."""
        return self.name in OF_CONTENT


def fields_of(samples: pa.Table, own: Sequence[str] = ()) -> list[Field]:
    """Return the fields in which images differ, in the order of `COLUMNS`, then people's own, then `TOGETHER`.

    Parameters
    ----------
    samples
        Columns of schemas.SAMPLES, ``[n]``; a column that is not there is not looked at.
    own
        Further columns, of any type.
    """
    columns = _columns(samples)
    found = [_field(name, columns[name]) for name in COLUMNS if name in columns]
    found += [_field(name, samples[name]) for name in own]
    differing = [field for field in found if field.n_codes > 1]
    saved = [field for field in differing if field.name not in _NOT_COMBINED]
    return [*differing, _together(saved)] if len(saved) > 1 else differing


def _columns(samples: pa.Table) -> dict[str, pa.ChunkedArray]:
    columns = {name: samples[name] for name in COLUMNS if name in samples.column_names}
    if {"width", "height"} <= columns.keys():
        width, height = (pc.cast(columns[name], pa.float64()) for name in ("width", "height"))
        columns["aspect"] = pc.divide(width, height)
        if "bytes_per_pixel" in columns:
            # Inside containers the size of an image is not listed.
            bytes_ = pc.round(pc.multiply(columns["bytes_per_pixel"], pc.multiply(width, height)))
            columns["size"] = pc.cast(bytes_, pa.int64())
    return columns


def _field(name: str, column: pa.ChunkedArray) -> Field:
    kind = column.type
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if numbers and name != "orientation":
        # Numbers above 2**53 lose their last digits: no field needs them.
        values = pc.cast(column, pa.float64(), safe=False).to_numpy()
        return _of_numbers(name, np.where(np.isfinite(values), values, np.nan))
    return _of_names(name, pc.cast(column, pa.string()))


def _of_numbers(name: str, values: Float64) -> Field:
    known = ~np.isnan(values)
    distinct = np.unique(values[known])
    ranks = _ranks(np.where(known, values, -np.inf))
    if len(distinct) <= _MOST_BINS:
        codes = np.searchsorted(distinct, values)
    else:
        n_bins = int(np.clip(known.sum() // _LEAST_IN_A_BIN, 2, _MOST_BINS))
        # Cuts are values that occur, so that equal numbers stay together; a number that very many share has its class.
        cuts = np.unique(np.quantile(values[known], np.arange(1, n_bins) / n_bins, method="higher"))
        codes = np.searchsorted(cuts, values, "right")
    return _packed(name, np.where(known, codes, -1), len(distinct), ranks)


def _of_names(name: str, column: pa.ChunkedArray) -> Field:
    encoded = pc.dictionary_encode(column).combine_chunks()
    numbers = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _packed(name, _frequent(numbers, encoded.dictionary.to_pylist()), len(encoded.dictionary), None)


def _frequent(numbers: Int64, names: Sequence[str]) -> Int64:
    """Put the rarest values together, where there are too many."""
    if len(names) <= MOST_VALUES:
        return numbers
    counts = np.bincount(numbers[numbers >= 0], minlength=len(names))
    order = sorted(range(len(names)), key=lambda value: (-counts[value], names[value]))
    place = np.full(len(names) + 1, MOST_VALUES - 1, np.int64)
    place[order[: MOST_VALUES - 1]] = np.arange(MOST_VALUES - 1)
    place[-1] = -1  # of those without a value
    return place[numbers]


def _packed(name: str, codes: Int64, n_values: int, ranks: Float64 | None) -> Field:
    """Return the codes that occur as numbers from 0 on, in their order, with -1 as the last."""
    known = codes >= 0
    there, packed = np.unique(codes[known], return_inverse=True)
    whole = np.full(len(codes), len(there), np.int64)
    whole[known] = packed
    n_known = int(known.sum())
    return Field(name, whole, len(there) + (n_known < len(codes)), n_values, n_known, ranks)


def _together(fields: Sequence[Field]) -> Field:
    codes = np.zeros(len(fields[0].codes), np.int64)
    for field in fields:
        _, codes = np.unique(codes * field.n_codes + field.codes, return_inverse=True)
    n = int(codes.max()) + 1
    frequent = _frequent(codes, [f"{number:09}" for number in range(n)])
    return _packed(TOGETHER, frequent, n, None)


def _ranks(values: Float64) -> Float64:
    """Return ranks from 1 on; ties share their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Float64 = (ends - (counts - 1) / 2)[inverse]
    return ranks
