"""What rows are called: tables of results know images by number, since ids may change and rows stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs import schemas
from evaljobs.engine.evaluation import Members
from evaljobs.images.own_columns import concatenated, own_names

# Facts of an image that stand beside it where a table has a row for each.
FACTS = ("format", "mode", "width", "height", "frames", "size")
_ROW, _SIDES, _ROLE, _ROLE_B = "row", ("row_a", "row_b"), "role", "role_b"


def name_rows(
    table: pa.Table, members: Mapping[str, Members], samples: Mapping[str, pa.Table], asked: Sequence[str] = ()
) -> pa.Table:
    """Put sample ids, image digests and facts of images beside the numbers of rows.

    Parameters
    ----------
    table
        Of an evaluation. Its columns ``row``, or ``row_a`` and ``row_b``, number images; of a job with several sets,
        ``row_b`` counts in the last one, the others in the first; where there is a column ``role``, ``row`` counts in
        the set of that role, and ``row_b`` in that of ``role_b``.
    members
        By role: the images that take part.
    samples
        By role: the samples of its set (schemas.SAMPLES).
    asked
        Further columns of samples that the job asks for.

    Returns
    -------
    The table with ``id``, ``image_digest``, the columns of `FACTS`, those asked for and people's own behind it; of
    pairs, ``id_a``, ``id_b``, ``image_digest_a`` and ``image_digest_b``.
    """
    sides = list(members)
    for column in (_ROW, *_SIDES):
        if column not in table.column_names:
            continue
        role = _side_b(table, sides) if column == _SIDES[-1] else sides[0]
        rows = table[column].combine_chunks()
        if column == _ROW and _ROLE in table.column_names:
            table = _named_by_role(table, members, samples, asked)
            continue
        digests = members[role].digests.take(rows)
        table = _with(table, column.replace("row", "id"), members[role].sample_ids.take(rows))
        table = _with(table, column.replace("row", "image_digest"), digests)
        if column == _ROW:
            table = _with_own(_with_facts(table, digests, samples[role], asked), table["id"], samples[role])
    return table


def _side_b(table: pa.Table, sides: Sequence[str]) -> str:
    """Return the role of the second sides of pairs: the last one, unless the table says another one."""
    said = table[_ROLE_B].unique().to_pylist() if _ROLE_B in table.column_names else []
    return str(said[0]) if said else sides[-1]


def _named_by_role(
    table: pa.Table, members: Mapping[str, Members], samples: Mapping[str, pa.Table], asked: Sequence[str]
) -> pa.Table:
    """Name the rows of several sets, which stand together in the table."""
    roles = table[_ROLE].combine_chunks()
    runs = pc.run_end_encode(roles)
    parts, first = [], 0
    for role, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        part = table.slice(first, end - first)
        alone = name_rows(part.drop_columns([_ROLE]), {role: members[role]}, {role: samples[role]}, asked)
        parts.append(alone.add_column(0, _ROLE, part[_ROLE]))
        first = end
    return concatenated(parts).combine_chunks() if parts else table


def _with_facts(table: pa.Table, digests: pa.Array, samples: pa.Table, asked: Sequence[str]) -> pa.Table:
    places = pc.index_in(digests, value_set=samples["image_digest"])
    further = [name for name in asked if name in schemas.SAMPLES.names]
    for fact in (*FACTS, *further):
        table = _with(table, fact, samples[fact].take(places).combine_chunks())
    return table


def _with_own(table: pa.Table, ids: pa.ChunkedArray, samples: pa.Table) -> pa.Table:
    """Put columns of people's own beside: they are of a sample, where facts are of an image."""
    places = pc.index_in(ids, value_set=samples["sample_id"])
    for name in own_names(samples):
        table = _with(table, name, samples[name].take(places).combine_chunks())
    return table


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table if name in table.column_names else table.append_column(name, values)
