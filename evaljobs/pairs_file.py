"""Listed pairs: read from a file, and found among the samples that they name."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from evaljobs.errors import UsageError
from evaljobs.remote import AnyPath, is_remote
from evaljobs.remote.whole import read_whole

COLUMNS = ("id_a", "id_b")
GENUINE = "genuine"
_MEANING = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMED = 3
# By the ending of a CSV file, what it is compressed with.
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".lz4": "lz4", ".zst": "zstd"}


@dataclasses.dataclass(frozen=True)
class ListedPairs:
    """Pairs of samples, in the order in which they are listed.

    Attributes
    ----------
    rows
        ``[p, 2]`` int64: two different rows each.
    genuine
        ``[p]`` bool; None where the labels say which pairs are genuine.
    excluded
        Listed pairs that were left out, because a sample of theirs was.
    """

    rows: NDArray[np.int64]
    genuine: NDArray[np.bool_] | None = None
    excluded: int = 0

    def among(self, takes_part: NDArray[np.bool_]) -> ListedPairs:
        """Return the pairs whose samples both take part, with rows counted among those.

        Parameters
        ----------
        takes_part
            ``[n]`` bool, for each row.
        """
        kept = takes_part[self.rows].all(axis=1)
        rows = (np.cumsum(takes_part) - 1)[self.rows[kept]]
        genuine = None if self.genuine is None else self.genuine[kept]
        return ListedPairs(rows, genuine, self.excluded + int((~kept).sum()))

    def digest(self) -> str:
        """Return the sha256 of the pairs: the same whatever their file is called, and however the samples are."""
        digest = hashlib.sha256(f"{self.rows.shape} {self.excluded} {self.genuine is None}".encode())
        digest.update(np.ascontiguousarray(self.rows, "<i8").data)
        if self.genuine is not None:
            digest.update(np.ascontiguousarray(self.genuine).data)
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class PairsFile:
    """A file of pairs: the ids of each, ``[p]`` text, and ``[p]`` whether it is genuine, where the file says so."""

    place: AnyPath
    id_a: pa.ChunkedArray
    id_b: pa.ChunkedArray
    genuine: NDArray[np.bool_] | None


def read_pairs(place: AnyPath) -> PairsFile:
    """Read a CSV or Parquet file with the columns ``id_a``, ``id_b`` and, if wanted, ``genuine``; others are ignored.

    It is on this machine or on S3.

    Parquet is told from CSV by its content. Ids are text, or integers in Parquet.

    Raises
    ------
    UsageError
        If it cannot be read, lacks a column, has no row, or a value is missing or has no meaning.
    RemoteError
        If S3 denies it or does not answer.
    """
    try:
        source = _source(place)
        with source() as file:
            parquet = file.read(4) == b"PAR1"
        table = _read_parquet(source, place) if parquet else _read_csv(source, place)
    except FileNotFoundError:
        raise UsageError(f"no file of pairs {place}; expected CSV or Parquet with the columns id_a and id_b") from None
    except IsADirectoryError:
        raise UsageError(f"{place} is a folder; expected a CSV or Parquet file of pairs") from None
    except UnicodeDecodeError:
        raise UsageError(f"{place} is not UTF-8 text; save it as UTF-8 CSV or as Parquet") from None
    except (pa.ArrowException, OSError) as error:
        message = " ".join(str(error).split())
        kind = "is not UTF-8 text" if "UTF8" in message else "cannot be read"
        raise UsageError(f"{place} {kind}: {message}; expected pairs as UTF-8 CSV or Parquet") from None
    if not table.num_rows:
        raise UsageError(f"{place} has no rows; expected one for each pair below the column names")
    genuine = _as_booleans(table[GENUINE], place) if GENUINE in table.column_names else None
    id_a, id_b = (_as_text(table[name], name, place) for name in COLUMNS)
    return PairsFile(place, id_a, id_b, genuine)


def _source(place: AnyPath) -> Callable[[], Any]:
    """Return what opens a file, as often as it is read; an object on S3 is fetched once."""
    if is_remote(place):
        data = read_whole(place)
        return lambda: pa.BufferReader(data)
    return functools.partial(Path(place).open, "rb")


def _read_csv(source: Callable[[], Any], place: AnyPath) -> pa.Table:
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    packed = _PACKED.get(PurePath(place).suffix)
    with (
        source() as file,
        pa.input_stream(file, packed) as text,
        pa.csv.open_csv(text, parse_options=parse) as reader,
    ):
        columns = _columns(reader.schema.names, place)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    with source() as file, pa.input_stream(file, packed) as text:
        return pa.csv.read_csv(text, parse_options=parse, convert_options=convert)


def _read_parquet(source: Callable[[], Any], place: AnyPath) -> pa.Table:
    with source() as opened, pa.parquet.ParquetFile(opened) as file:
        return file.read(columns=_columns(file.schema_arrow.names, place))


def _columns(names: Sequence[str], place: AnyPath) -> list[str]:
    """Return the columns that are read."""
    for column in COLUMNS:
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names[:20]))}."
            raise UsageError(
                f"{place} has no column {column!r}; {hint} The first line of a CSV file names the columns, separated "
                "by commas: id_a,id_b, and genuine where the labels are not to decide"
            )
    columns = [*COLUMNS, *({GENUINE} & set(names))]
    if twice := [column for column in columns if names.count(column) > 1]:
        raise UsageError(f"{place} has {names.count(twice[0])} columns named {twice[0]!r}; name each column once")
    return columns


def _as_text(column: pa.ChunkedArray, name: str, place: AnyPath) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
    if not text and not pa.types.is_integer(kind) and not pa.types.is_null(kind):
        raise UsageError(f"{place}: column {name!r} holds {kind}; expected ids as text or integers")
    values = pc.cast(pc.cast(column, kind), pa.string())
    _refuse_rows(pc.fill_null(pc.equal(values, ""), fill_value=True), f"have no value in column {name!r}", place)
    return values


def _as_booleans(column: pa.ChunkedArray, place: AnyPath) -> NDArray[np.bool_]:
    """Return a column of booleans, of 1 and 0, or of words that mean them."""
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        column = pc.cast(column, pa.string()) if not pa.types.is_string(column.type) else column
    words = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(column, pa.string())))
    known = pa.array(list(_MEANING), pa.string())
    meant = pc.take(pa.array(list(_MEANING.values())), pc.index_in(words, value_set=known))
    bad = pc.is_null(meant)
    if pc.any(bad).as_py():
        found = words.filter(bad)[0].as_py()
        what = f"hold something else than true or false, 1 or 0, yes or no in column {GENUINE!r}, such as {found!r}"
        _refuse_rows(bad, what, place)
    genuine: NDArray[np.bool_] = meant.to_numpy(zero_copy_only=False).astype(np.bool_)
    return genuine


def _refuse_rows(bad: pa.ChunkedArray, what: str, place: AnyPath) -> None:
    """Refuse a file of which some rows are bad, ``[p]`` bool."""
    if count := pc.sum(bad).as_py():
        rows = ", ".join(str(row + 1) for row in pc.indices_nonzero(bad).slice(0, _NAMED).to_pylist())
        raise UsageError(
            f"{place}: {count:,} row(s) {what}, the first in row {rows} (counted from 1, without the column names); "
            "mend them or take these rows out"
        )


def find_rows(pairs: PairsFile, ids: Sequence[str] | pa.ChunkedArray, of: str) -> ListedPairs:
    """Find the samples of pairs.

    Parameters
    ----------
    ids
        ``n`` sample ids, each once.
    of
        Whose ids they are, for messages.

    Raises
    ------
    UsageError
        If an id is not there, or a sample is paired with itself.
    """
    values = _whole(ids if isinstance(ids, pa.ChunkedArray) else pa.array(ids, pa.string()))
    found = [pc.index_in(column, value_set=values) for column in (pairs.id_a, pairs.id_b)]
    unknown = [column.filter(pc.is_null(rows)) for column, rows in zip((pairs.id_a, pairs.id_b), found, strict=True)]
    if any(map(len, unknown)):
        raise UsageError(_unknown(pairs.place, unknown, values, of))
    rows = np.stack([column.to_numpy().astype(np.int64) for column in found], axis=1)
    same = pa.chunked_array([rows[:, 0] == rows[:, 1]])
    _refuse_rows(same, "pair a sample with itself", pairs.place)
    return ListedPairs(rows, pairs.genuine)


def _unknown(place: AnyPath, unknown: Sequence[pa.ChunkedArray], values: pa.Array, of: str) -> str:
    names = pc.unique(pa.chunked_array([chunk for column in unknown for chunk in column.chunks], pa.string()))
    first = ", ".join(repr(name) for name in names.slice(0, _NAMED).to_pylist())
    known = ", ".join(repr(name) for name in values.slice(0, _NAMED).to_pylist())
    return (
        f"{place}: {len(names):,} id(s) are not among the {len(values):,} of {of}, the first: {first}. Its ids are "
        f"such as {known}; write the ids as they stand there, or take these pairs out"
    )


def _whole(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
