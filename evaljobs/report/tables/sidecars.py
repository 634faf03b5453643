"""The tables of the evaluations, as Parquet files beside the results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic

FOLDER = "tables"


def write_tables(
    tables: Mapping[tuple[str, str, str | None], Mapping[str, pa.Table]], out: Path
) -> dict[tuple[str, str, str | None], list[Path]]:
    """Write every table into the folder `tables`.

    Returns
    -------
    dict
        By (job, set, model): the files, in order of the tables' names.
    """
    folder = out / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunFailedError(f"cannot write {folder}: {error.strerror or error}; name another --out") from None
    return {
        key: [write_atomic(folder / _name(key, name), _parquet(named[name])) for name in sorted(named)]
        for key, named in tables.items()
    }


def _name(key: tuple[str, str, str | None], table: str) -> str:
    # Names are cut and cleaned for the file system; the digest keeps two that then look alike apart.
    parts = [part for part in key if part is not None]  # a job may have no model
    readable = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", part).strip("._")[:60] for part in parts)
    return f"{readable}-{hashlib.sha256(repr(key).encode(errors='backslashreplace')).hexdigest()[:8]}.{table}.parquet"


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data
