"""What rows are called: tables of results know images by number, since ids may change and rows stay."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.engine.evaluation import Members

# Facts of an image that stand beside it where a table has a row for each.
FACTS = ("format", "mode", "width", "height", "frames", "size")
_ROW, _SIDES, _ROLE = "row", ("row_a", "row_b"), "role"


def name_rows(table: pa.Table, members: Mapping[str, Members], samples: Mapping[str, pa.Table]) -> pa.Table:
    """Put sample ids, image digests and facts of images beside the numbers of rows.

    Parameters
    ----------
    table
        Of an evaluation. Its columns ``row``, or ``row_a`` and ``row_b``, number images; of a job with several sets,
        ``row_b`` counts in the last one, the others in the first; where there is a column ``role``, ``row`` counts in
        the set of that role.
    members
        By role: the images that take part.
    samples
        By role: the samples of its set (schemas.SAMPLES).

    Returns
    -------
    The table with ``id``, ``image_digest`` and the columns of `FACTS` behind it; of pairs, ``id_a``, ``id_b``,
    ``image_digest_a`` and ``image_digest_b``.
    """
    sides = list(members)
    for column in (_ROW, *_SIDES):
        if column not in table.column_names:
            continue
        role = sides[-1] if column == _SIDES[-1] else sides[0]
        rows = table[column].combine_chunks()
        if column == _ROW and _ROLE in table.column_names:
            table = _named_by_role(table, members, samples)
            continue
        digests = members[role].digests.take(rows)
        table = _with(table, column.replace("row", "id"), members[role].sample_ids.take(rows))
        table = _with(table, column.replace("row", "image_digest"), digests)
        if column == _ROW:
            table = _with_facts(table, digests, samples[role])
    return table


def _named_by_role(table: pa.Table, members: Mapping[str, Members], samples: Mapping[str, pa.Table]) -> pa.Table:
    """Name the rows of several sets, which stand together in the table."""
    roles = table[_ROLE].combine_chunks()
    runs = pc.run_end_encode(roles)
    parts, first = [], 0
    for role, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        part = table.slice(first, end - first)
        alone = name_rows(part.drop_columns([_ROLE]), {role: members[role]}, {role: samples[role]})
        parts.append(alone.add_column(0, _ROLE, part[_ROLE]))
        first = end
    return pa.concat_tables(parts).combine_chunks() if parts else table


def _with_facts(table: pa.Table, digests: pa.Array, samples: pa.Table) -> pa.Table:
    places = pc.index_in(digests, value_set=samples["image_digest"])
    for fact in FACTS:
        table = _with(table, fact, samples[fact].take(places).combine_chunks())
    return table


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table if name in table.column_names else table.append_column(name, values)
