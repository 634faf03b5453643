"""One model's embedding table: parts that are committed one by one, by anyone, in any order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import canonical_json
from evaljobs.errors import ModelError, ModelErrorKind, RowsMissingError
from evaljobs.schemas import DIGEST
from evaljobs.store import arrow
from evaljobs.store.folder import Folder, each
from evaljobs.store.keys import key_digest, spelled_out

log = logging.getLogger(__name__)

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

# Of a part: the run that committed it.
_RUN = "evaljobs.run"
# Rows that are put in their places at a time: what lies between stays in the cache.
_COPIED = 1024


class Part(NamedTuple):
    """The name of a part, and ``[n]`` image digests of its rows."""

    name: str
    digests: pa.Array


class Table:
    """The rows of one model key. Two parts may hold the same row: its bytes are equal by the meaning of the key.

    Parameters
    ----------
    folder
        The store's.
    key
        The model key; its `model` is the digest of the model.
    """

    def __init__(self, folder: Folder, key: Mapping[str, Any]) -> None:
        self._folder = folder
        self._key = key
        self._path = f"tables/{key_digest(key)}"

    def commit(self, digests: pa.Array, outputs: Mapping[str, Matrix], run: str = "") -> bool:
        """Commit rows as one part, whole; return False where these rows were committed before.

        Parameters
        ----------
        digests
            ``[n]`` image digests, without repeats.
        outputs
            By name of the output: ``[n, d]`` float32.
        run
            Who commits them, for `rows_of_run`.
        """
        columns: dict[str, pa.Array] = {"image_digest": digests}
        for name, matrix in outputs.items():
            flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
        metadata = {
            "evaljobs.schema": "table/1",
            "evaljobs.model_key": canonical_json(self._key),
            "evaljobs.model_digest": str(self._key["model"]),
            _RUN: run,
        }
        self._folder.note(f"{self._path}/key.json", spelled_out(self._key))
        name = f"{self._path}/{part_name(digests)}"
        return self._folder.create(name, arrow.to_bytes(pa.table(columns), metadata))

    def has(self, digests: pa.Array) -> bool:
        """Return whether the part that `commit` would make of these digests is there; nothing of it is read."""
        return self._folder.has(f"{self._path}/{part_name(digests)}")

    def digests(self) -> pa.Array:
        """Return the digests of all rows, without repeats. Truncated parts are deleted: their rows are missing.

        Digests alone are read, so this is cheap; a part whose values were changed is found out by `read`.
        """
        return digests_of(self._folder, [self])[0]

    def rows_of_run(self, run: str) -> int:
        """Return how many rows, each once, are in the parts that a run has committed."""
        names = self.part_names()
        own = each(self._folder, lambda name: self._is_of(name, run), names)
        ours = [name for name, mine in zip(names, own, strict=True) if mine]
        parts = (part for part in each(self._folder, self.part, ours) if part is not None)
        return len(pc.unique(pa.chunked_array([part.digests for part in parts], DIGEST)))

    def _is_of(self, name: str, run: str) -> bool:
        try:
            with self._folder.opened(name) as file:
                return file is not None and arrow.metadata_of(file).get(_RUN) == run
        except (arrow.DamagedError, FileNotFoundError):  # whoever reads its rows says so
            return False

    def part_names(self) -> list[str]:
        """Return the names of its parts, sorted, as the folder takes them."""
        return self._folder.names(self._path, ".arrow")

    def read(self, digests: pa.Array, output: str) -> Matrix:
        """Return one output's rows in the order of the digests: ``[n, d]`` float32. Of equal rows the first part's.

        Beside the result, the values of a few parts at a time are held.

        Raises
        ------
        RowsMissingError
            If a row is missing, or stands in a damaged part; that part is deleted, so that it is made again.
        ModelError
            If parts differ in their dimension.
        """
        parts = [part for part in each(self._folder, self.part, self.part_names()) if part is not None]
        rows = _find(digests, [part.digests for part in parts])
        if missing := int((rows < 0).sum()):
            raise RowsMissingError(
                f"{missing} of {len(digests)} rows are missing from {self._path}: their parts were deleted, or found "
                "damaged and removed, while the run went on. Run the same command again to make them again"
            )
        matrix: Matrix | None = None
        damaged: list[str] = []
        needed = list(_by_part(rows, [len(part.digests) for part in parts]))
        names = [parts[number].name for number, _, _ in needed]
        for name, rows_of_part, (_, where, here) in zip(
            names, each(self._folder, self._read, names), needed, strict=True
        ):
            if rows_of_part is None:
                damaged.append(name)
                continue
            values = _values(rows_of_part, output)
            if matrix is None:
                matrix = np.empty((len(digests), values.shape[1]), dtype=np.float32)
            if matrix.shape[1] != values.shape[1]:
                raise _dimensions_differ(output, values.shape[1], matrix.shape[1])
            for first in range(0, len(here), _COPIED):
                some = slice(first, first + _COPIED)
                matrix[where[some]] = values[here[some]]
        if damaged:
            raise RowsMissingError(
                f"{len(damaged)} of {len(parts)} parts of {self._folder.location}/{self._path} were damaged and have "
                f"been removed, {damaged[0].rpartition('/')[2]} the first. Run the same command again to make them "
                "again; all else is kept. If it happens once more, check the disk"
            )
        return np.empty((0, 0), dtype=np.float32) if matrix is None else matrix

    def part(self, name: str) -> Part | None:
        """Return a part with its digests alone; None where it is gone, or is truncated and therefore deleted."""
        try:
            digests = self._digests(name)
        except arrow.DamagedError as error:
            self._remove(name, error)
            return None
        return None if digests is None else Part(name, digests)

    def _digests(self, name: str) -> pa.Array | None:
        try:
            with self._folder.opened(name) as file:
                digests = None if file is None else arrow.first_column(file, "image_digest")
        except FileNotFoundError:  # deleted between two requests
            return None
        if digests is not None and (digests.type != DIGEST or f"{self._path}/{part_name(digests)}" != name):
            raise arrow.DamagedError("its image digests are not those that its name was made of")
        return digests

    def _read(self, name: str) -> pa.Table | None:
        """Return a part; None where it is not what was written, or is gone."""
        data = self._folder.read(name)
        if data is None:
            return None
        try:
            return arrow.from_bytes(data)
        except arrow.DamagedError as error:
            self._remove(name, error)
            return None

    def _remove(self, name: str, error: arrow.DamagedError) -> None:
        log.warning("%s is damaged and is made again (%s)", name, error)
        self._folder.delete(name)


def digests_of(folder: Folder, tables: Sequence[Table]) -> list[pa.Array]:
    """Return the digests of the rows of each table, without repeats; many parts at a time where it pays.

    Truncated parts are deleted: their rows are missing.
    """
    names = list(each(folder, Table.part_names, tables))
    flat = [(table, name) for table, several in zip(tables, names, strict=True) for name in several]
    parts = each(folder, lambda one: one[0].part(one[1]), flat)
    found = [[part.digests for part in islice(parts, len(several)) if part is not None] for several in names]
    return [pc.unique(pa.chunked_array(several, DIGEST)) if several else pa.array([], DIGEST) for several in found]


def part_name(digests: pa.Array | pa.ChunkedArray) -> str:
    """Return the name of the part that holds the rows of these image digests, in this order."""
    chunks = digests.chunks if isinstance(digests, pa.ChunkedArray) else [digests]
    return f"part-{hashlib.sha256(b''.join(map(arrow.joined, chunks))).hexdigest()}.arrow"


def _find(digests: pa.Array, parts: list[pa.Array]) -> Numbers:
    """Return for each digest the row of all parts, one after the other, where it first stands; -1 where nowhere."""
    rows = pc.index_in(digests, value_set=pa.chunked_array(parts, DIGEST))
    found: Numbers = pc.fill_null(pc.cast(rows, pa.int64()), -1).to_numpy(zero_copy_only=False)
    return found


def _by_part(rows: Numbers, lengths: Sequence[int]) -> Iterator[tuple[int, Numbers, Numbers]]:
    """Yield the number of each part that is needed, the places in `rows` that it serves, and its own rows for them."""
    order = np.argsort(rows, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    bounds = np.searchsorted(rows[order], offsets)
    for number in np.flatnonzero(np.diff(bounds)).tolist():
        where = order[bounds[number] : bounds[number + 1]]
        yield number, where, rows[where] - offsets[number]


def _dimensions_differ(output: str, found: int, before: int) -> ModelError:
    return ModelError(
        ModelErrorKind.UNSUPPORTED_OUTPUT,
        f"the output {output!r} has {found} dimensions for some images and {before} for others; expected one length, "
        "as vectors of different length cannot be compared",
    )


def _values(part: pa.Table, output: str) -> Matrix:
    column = part[output].combine_chunks()
    values: Matrix = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    return values
