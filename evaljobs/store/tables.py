"""One model's embedding table: parts that are committed one by one, by anyone, in any order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.errors import ModelError, ModelErrorKind, StoreError
from evaljobs.schemas import DIGEST
from evaljobs.store import arrow
from evaljobs.store.folder import Folder

log = logging.getLogger(__name__)

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Table:
    """The rows of one model key. Two parts may hold the same row: its bytes are equal by the meaning of the key."""

    def __init__(self, folder: Folder, key: str) -> None:
        self._folder = folder
        self._path = f"tables/{key}"
        self._key = key

    def commit(self, digests: pa.Array, outputs: Mapping[str, Matrix]) -> bool:
        """Commit rows as one part, whole; return False where these rows were committed before.

        Parameters
        ----------
        digests
            ``[n]`` image digests, without repeats.
        outputs
            By name of the output: ``[n, d]`` float32.
        """
        columns: dict[str, pa.Array] = {"image_digest": digests}
        for name, matrix in outputs.items():
            flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
        rows = hashlib.sha256(b"".join(digests.to_pylist())).hexdigest()
        metadata = {"evaljobs.schema": "table/1", "evaljobs.model_key": self._key}
        return self._folder.create(f"{self._path}/part-{rows}.arrow", arrow.to_bytes(pa.table(columns), metadata))

    def digests(self) -> pa.Array:
        """Return the digests of all whole rows, without repeats. Damaged parts are deleted: their rows are missing."""
        found = [part["image_digest"].combine_chunks() for _, part in self._parts()]
        return pc.unique(pa.chunked_array(found, DIGEST)) if found else pa.array([], DIGEST)

    def read(self, digests: pa.Array, output: str) -> Matrix:
        """Return one output's rows in the order of the digests: ``[n, d]`` float32.

        Raises
        ------
        StoreError
            If a row is missing.
        ModelError
            If parts differ in their dimension.
        """
        matrix: Matrix | None = None
        missing = np.ones(len(digests), dtype=bool)
        for _, part in self._parts():
            column = part[output].combine_chunks()
            values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
            if matrix is None:
                matrix = np.empty((len(digests), values.shape[1]), dtype=np.float32)
            if matrix.shape[1] != values.shape[1]:
                raise ModelError(
                    ModelErrorKind.UNSUPPORTED_OUTPUT,
                    f"the output {output!r} has {values.shape[1]} dimensions for some images and {matrix.shape[1]} for "
                    "others; expected one length, as vectors of different length cannot be compared",
                )
            where = pc.index_in(digests, value_set=part["image_digest"].combine_chunks())
            here = missing & where.is_valid().to_numpy(zero_copy_only=False)
            matrix[here] = values[where.fill_null(0).to_numpy(zero_copy_only=False)[here]]
            missing &= ~here
        if matrix is None or missing.any():
            raise StoreError(
                f"{int(missing.sum())} of {len(digests)} rows are missing from {self._path}; "
                "something deleted them while the run went on. Run the same command again"
            )
        return matrix

    def _parts(self) -> Iterator[tuple[str, pa.Table]]:
        for name in self._folder.names(self._path, ".arrow"):
            data = self._folder.read(name)
            if data is None:
                continue
            try:
                yield name, arrow.from_bytes(data)
            except arrow.DamagedError as error:
                log.warning("%s is damaged and is made again (%s)", name, error)
                self._folder.delete(name)
