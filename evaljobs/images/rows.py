"""Images in the rows of Parquet files: which row groups there are, and the bytes of rows, a few at a time."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.files import open_file
from evaljobs.remote import is_remote

# What is decoded of a column at a time, and what one read asks the disk or S3 for.
_BATCH_BYTES = 16 * 2**20
_LOCAL_READ_BYTES = 2**20
_REMOTE_READ_BYTES = 8 * 2**20


@contextlib.contextmanager
def opened(container: str) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a Parquet file; of a column a page is in memory, never a whole row group.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is no Parquet file.
    RemoteError
        If S3 denies it or does not answer.
    """
    read_bytes = _REMOTE_READ_BYTES if is_remote(container) else _LOCAL_READ_BYTES
    try:
        with (
            open_file(container) as file,
            pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=read_bytes) as parquet,
        ):
            yield parquet
    except pa.ArrowException as error:
        if isinstance(error, OSError | ValueError | MemoryError):
            raise
        raise ValueError(str(error)) from None


def group_starts(parquet: pyarrow.parquet.ParquetFile) -> list[int]:
    """Return the first row of each row group, and the number of all rows."""
    metadata = parquet.metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return list(itertools.accumulate(sizes, initial=0))


def read_rows(container: str, column: str, rows: Sequence[int]) -> Iterator[bytes | ImageError]:
    """Yield the encoded images of rows in their order; each row group is read once where rows ascend.

    Parameters
    ----------
    container
        The file.
    column
        Of the images: binary, or a struct with a field ``bytes``.
    rows
        Numbers of rows, from 0 over the row groups.

    Raises
    ------
    OSError, ValueError, RemoteError
        As `opened`. Damage inside a row group is said of its images alone.
    """
    with opened(container) as parquet:
        starts = group_starts(parquet)
        groups = np.searchsorted(starts, rows, side="right") - 1
        for run in _ascending(list(zip(groups.tolist(), rows, strict=True))):
            group, wanted = run[0][0], [row for _, row in run]
            if group >= len(starts) - 1:
                yield from (_missing(container, row) for row in wanted)
            else:
                yield from _whole_or_not(container, _of_group(parquet, group, column, wanted, starts[group]), wanted)


def _ascending(pairs: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Cut (group, row) pairs into runs of one group whose rows ascend."""
    run: list[tuple[int, int]] = []
    for pair in pairs:
        if run and (pair[0] != run[0][0] or pair[1] <= run[-1][1]):
            yield run
            run = []
        run.append(pair)
    if run:
        yield run


def _whole_or_not(
    container: str, answers: Iterator[bytes | ImageError], rows: Sequence[int]
) -> Iterator[bytes | ImageError]:
    """Yield the answers of a row group; where it turns out to be damaged, the error for those that are left."""
    done = 0
    try:
        for answer in answers:
            done += 1
            yield answer
    except (OSError, ValueError, pa.ArrowException) as error:
        # Arrow names what it cannot make sense of an OSError too, without an errno.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        for row in rows[done:]:
            message = f"cannot read row {row} of {container}: {reason}"
            yield ImageError(ImageErrorKind.UNREADABLE, message)


def _of_group(
    parquet: pyarrow.parquet.ParquetFile, group: int, column: str, rows: Sequence[int], start: int
) -> Iterator[bytes | ImageError]:
    waiting = iter(rows)
    wanted = next(waiting, None)
    for batch in _batches(parquet, group, column):
        values = _bytes_of(batch)
        while wanted is not None and wanted < start + len(values):
            data = values[wanted - start].as_py()
            yield _EMPTY if data is None else data
            wanted = next(waiting, None)
        if wanted is None:
            return
        start += len(values)


# A row that holds nothing is told from others when it is listed; this one lost its bytes meanwhile.
_EMPTY = ImageError(ImageErrorKind.UNREADABLE, "the row has no bytes any more")


def _missing(container: str, row: int) -> ImageError:
    return ImageError(ImageErrorKind.UNREADABLE, f"{container} has no row {row} any more")


def _batches(parquet: pyarrow.parquet.ParquetFile, group: int, column: str) -> Iterator[pa.RecordBatch]:
    metadata = parquet.metadata.row_group(group)
    leaf = image_leaf(parquet, column)
    chunks = map(metadata.column, range(metadata.num_columns))
    chunk = next((chunk for chunk in chunks if chunk.path_in_schema == leaf), None)
    if chunk is None:  # the footer is damaged
        raise ValueError(f"row group {group} has no column {leaf!r}")
    each = max(1, chunk.total_uncompressed_size // max(1, metadata.num_rows))
    batch = max(1, min(256, _BATCH_BYTES // each))
    yield from parquet.iter_batches(batch, row_groups=[group], columns=[leaf], use_threads=False)


def image_leaf(parquet: pyarrow.parquet.ParquetFile, column: str) -> str:
    """Return the path of the column that holds the bytes.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if column not in parquet.schema_arrow.names:
        raise ValueError(f"it has no column {column!r} any more")
    kind = parquet.schema_arrow.field(column).type
    return f"{column}.bytes" if pa.types.is_struct(kind) else column


def _bytes_of(batch: pa.RecordBatch) -> pa.Array:
    """Return the bytes of a batch; null where the struct around them is."""
    values = batch.column(0)
    if not pa.types.is_struct(values.type):
        return values
    (inner,) = values.flatten()
    return inner


def null_rows(parquet: pyarrow.parquet.ParquetFile, group: int, column: str) -> list[int]:
    """Return the rows of a row group that hold no image, counted from its first; reads the images."""
    found: list[int] = []
    start = 0
    for batch in _batches(parquet, group, column):
        values = _bytes_of(batch)
        found += [start + row for row in pc.indices_nonzero(pc.is_null(values)).to_pylist()]
        start += len(values)
    return found
