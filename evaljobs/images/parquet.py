"""Images whose bytes lie in Parquet files, as Hugging Face datasets writes them: which there are, and their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images import rows
from evaljobs.images.columns import as_text, check_columns, is_text, refuse_missing
from evaljobs.images.expand import Container
from evaljobs.images.places import row_uris
from evaljobs.schemas import ENTRIES

_KEYS = "`image_column`, `label_column` or `id_column`"


def list_parquet(container: Container, images: Images, where: str) -> pa.Table:
    """List the rows of a Parquet file (schemas.ENTRIES); of the images, no byte is read where the file counts nulls.

    The name of a row is its id, or the path that Hugging Face datasets keeps beside the bytes, or null.

    Parameters
    ----------
    container
        The file.
    images, where
        The set's entry in the configuration, and what messages begin with.

    Raises
    ------
    UsageError
        If it lacks a column, a column holds another type, or a value is missing.
    OSError, ValueError, RemoteError
        As `rows.opened`.
    """
    with rows.opened(container.uri) as parquet:
        schema = parquet.schema_arrow
        columns = [images.image_column, images.label_column, *([images.id_column] if images.id_column else [])]
        check_columns(schema.names, columns, where, _KEYS)
        _check_image_type(schema.field(images.image_column), where)
        _refuse_empty_images(parquet, images.image_column, where)
        label = parquet.read(columns=[images.label_column])[images.label_column]
        labels = _labels(label, schema, images.label_column, where)
        names = _names(parquet, images, where)
    count = len(labels)
    uris = row_uris(container.uri, count, images.image_column)
    nothing = pa.nulls(count)
    columns_of = [pa.array([container.key] * count), names, labels, nothing, pa.array(uris), nothing]
    arrays = [pc.cast(column, field.type) for column, field in zip(columns_of, ENTRIES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ENTRIES)


def _check_image_type(field: pa.Field, where: str) -> None:
    kind = field.type
    if pa.types.is_struct(kind):
        inner = [kind.field(number) for number in range(kind.num_fields) if kind.field(number).name == "bytes"]
        kind = inner[0].type if inner else kind
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)):
        raise UsageError(
            f"{where}: column {field.name!r} holds {str(field.type)[:200]}; expected encoded images: binary, or a "
            "struct with `bytes` as Hugging Face datasets writes it. For a table of files use `manifest`"
        )


def _refuse_empty_images(parquet: pyarrow.parquet.ParquetFile, column: str, where: str) -> None:
    """Refuse rows without bytes: datasets that name files elsewhere write their paths and no bytes."""
    leaf = rows.image_leaf(parquet, column)
    starts = rows.group_starts(parquet)
    empty: list[int] = []
    for group in range(parquet.num_row_groups):
        if _may_hold_nulls(parquet.metadata.row_group(group), leaf):
            missing = rows.null_rows(parquet, group, column)
            empty += [starts[group] + row for row in missing]
    if empty:
        shown = ", ".join(str(row) for row in empty[:3])
        raise UsageError(
            f"{where}: {len(empty):,} row(s) have no bytes in column {column!r}, the first in row {shown} (counted "
            "from 0). Embed the files (Hugging Face datasets: `embed_table_storage` of `datasets.table` before "
            "`to_parquet`; `push_to_hub` does it), or take these rows out"
        )


def _may_hold_nulls(group: Any, leaf: str) -> bool:
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.path_in_schema == leaf:
            statistics = chunk.statistics
            return statistics is None or not statistics.has_null_count or statistics.null_count > 0
    return True


def _labels(column: pa.ChunkedArray, schema: pa.Schema, name: str, where: str) -> pa.ChunkedArray:
    """Return labels as text; of a ClassLabel the names."""
    names = _class_names(schema, name)
    if names is None or not pa.types.is_integer(column.type):
        return as_text(column, name, where)
    # datasets writes -1 where a split has no labels.
    refuse_missing(pc.fill_null(pc.less(column, 0), fill_value=True), name, where)
    if len(column) and (most := pc.max(column).as_py()) >= len(names):
        raise UsageError(f"{where}: column {name!r} holds {most}, but its ClassLabel has {len(names)} names")
    return pc.take(pa.array(names, pa.string()), pc.cast(column, pa.int64()))


def _class_names(schema: pa.Schema, column: str) -> Sequence[str] | None:
    """Return the names of a ClassLabel, from the features that datasets keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"] if features[column]["_type"] == "ClassLabel" else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) and name for name in names) else None


def _names(parquet: pyarrow.parquet.ParquetFile, images: Images, where: str) -> pa.ChunkedArray | pa.Array:
    if images.id_column:
        return as_text(parquet.read(columns=[images.id_column])[images.id_column], images.id_column, where)
    kind = parquet.schema_arrow.field(images.image_column).type
    fields = [kind.field(number) for number in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    if not any(field.name == "path" and is_text(field.type) for field in fields):
        return pa.nulls(parquet.metadata.num_rows, pa.string())
    column = parquet.read(columns=[f"{images.image_column}.path"])[images.image_column]
    return pa.chunked_array([chunk.flatten()[0] for chunk in column.chunks], pa.string())
