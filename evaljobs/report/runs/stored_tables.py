"""The tables of a finished run, read when they are looked at: those of hundreds of models do not fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from evaljobs.errors import UsageError
from evaljobs.report.results import Document
from evaljobs.report.runs.places import read_bytes
from evaljobs.report.tables.sidecars import FOLDER

# Tables of an evaluation, by (job, set, model).
Key = tuple[str, str, str | None]

_SUFFIX = ".parquet"


class LazyTables(Mapping[str, pa.Table]):
    """Tables by name, each read anew whenever it is looked at.

    Parameters
    ----------
    names
        Of the tables.
    read
        Returns the table of a name.
    """

    def __init__(self, names: Mapping[str, str], read: Callable[[str], pa.Table]) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> pa.Table:
        return self._read(self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # the inherited one would read it


class StoredTables(Mapping[Key, LazyTables]):
    """The tables of a run by (job, set, model), then by name.

    Parameters
    ----------
    document
        The results document, whose evaluations name their files.
    folder
        Of the run; local, or ``s3://``.
    """

    def __init__(self, document: Document, folder: str) -> None:
        self._folder = folder
        self._files = {
            (entry["job"], entry["set"], entry["model"]): {_name_of(file): file for file in _own(entry)}
            for entry in document["evaluations"]
        }

    def __getitem__(self, key: Key) -> LazyTables:
        return LazyTables(self._files[key], self._read)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, key: object) -> bool:
        return key in self._files

    def _read(self, file: str) -> pa.Table:
        """Read a table.

        Raises
        ------
        UsageError
            If it is not there any more, or is no table.
        """
        path = f"{self._folder}/{file}" if self._folder else file
        try:
            return pq.read_table(pa.BufferReader(read_bytes(path)))
        except FileNotFoundError:
            reason = "it is not there"
        except (OSError, pa.ArrowException) as error:
            reason = str(error)
        raise UsageError(
            f"cannot read {path}, which results.json names: {reason}; copy the whole folder of the run, or run its "
            "configuration again: what is in the store is not computed twice"
        )


def _own(entry: Document) -> list[str]:
    """Return the files of an evaluation; no name leads out of the folder."""
    files = [str(name) for name in entry.get("tables") or ()]
    return [name for name in files if name.startswith(f"{FOLDER}/") and ".." not in PurePosixPath(name).parts]


def _name_of(file: str) -> str:
    """Return the table's name, which stands between the last two dots."""
    return PurePosixPath(file).name.removesuffix(_SUFFIX).rpartition(".")[2]
