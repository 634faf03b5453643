"""What a store holds, for people: totals by kind, and each model's table. Headers and keys are read, no rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.store import arrow
from evaljobs.store.folder import Entry, Folder, each
from evaljobs.store.inventory import Unit, take_inventory
from evaljobs.store.layout import Kind, Role
from evaljobs.store.store import Store
from evaljobs.store.uses import records


class KindUsage(NamedTuple):
    """All of one kind: how many there are, their files and bytes, and when they were last used (seconds since 1970)."""

    kind: str
    entries: int
    files: int
    rows: int | None
    size: int
    oldest: float | None
    newest: float | None


class TableUsage(NamedTuple):
    """One embedding table.

    Attributes
    ----------
    table
        Digest of its key: the name of its folder.
    model
        Digest of the model file; None where the table's key cannot be read.
    output, image, normalisation, provider, batch
        What tells tables of one model apart.
    rows
        As its parts' sizes say; None where no header can be read.
    written, used
        Seconds since 1970.
    """

    table: str
    model: str | None
    output: str
    image: str
    normalisation: str
    provider: str
    batch: int | None
    rows: int | None
    files: int
    size: int
    written: float
    used: float


class Usage(NamedTuple):
    """What a store holds; tables by size, largest first."""

    store: str
    size: int
    kinds: tuple[KindUsage, ...]
    tables: tuple[TableUsage, ...]
    unfinished: int
    unknown: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; bytes as ``size``, times in seconds since 1970."""
        parts = {"kinds": [kind._asdict() for kind in self.kinds], "tables": [t._asdict() for t in self.tables]}
        return {"version": 1, **self._asdict(), **parts}


def usage_of(store: Store) -> Usage:
    """Return what a store holds.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    entries = store.folder.walk()
    found = take_inventory(entries, records(store.folder, entries))
    tables = list(each(store.folder, lambda unit: _table(store.folder, unit), found.units[Kind.TABLES]))
    rows = {Kind.TABLES: sum(table.rows or 0 for table in tables)}
    return Usage(
        store=store.location,
        size=found.size,
        kinds=tuple(
            _total(kind, units, rows.get(kind)) for kind, units in found.units.items() if kind is not Kind.USES
        ),
        tables=tuple(sorted(tables, key=lambda table: (-table.size, table.table))),
        unfinished=len(found.temporary),
        unknown=len(found.unknown),
    )


def _total(kind: Kind, units: Sequence[Unit], rows: int | None) -> KindUsage:
    used = [unit.used for unit in units]
    files = sum(len(unit.entries) for unit in units)
    size = sum(unit.size for unit in units)
    return KindUsage(str(kind), len(units), files, rows, size, min(used, default=None), max(used, default=None))


def _table(folder: Folder, unit: Unit) -> TableUsage:
    key = read_key(folder, unit)
    outputs = [_mapping(one) for one in key.get("outputs") or ()]
    return TableUsage(
        table=unit.key,
        model=key.get("model"),
        output=", ".join(" ".join(map(str, filter(None, (o.get("tensor"), o.get("pooling"))))) for o in outputs),
        image=" ".join(_image(_mapping(key.get("geometry")))),
        normalisation=", ".join(f"{name} {_numbers(v)}" for name, v in _mapping(key.get("normalisation")).items()),
        provider=str(key.get("provider") or "").removesuffix("ExecutionProvider"),
        batch=key.get("batch_size"),
        rows=_rows(folder, unit.of_role(Role.PART)),
        files=len(unit.entries),
        size=unit.size,
        written=unit.written,
        used=unit.used,
    )


def read_key(folder: Folder, unit: Unit) -> Mapping[str, Any]:
    """Return the key of a table as it is spelled out beside it; an empty one where it cannot be read."""
    try:
        return _mapping(json.loads(folder.read(f"{unit.kind}/{unit.key}/key.json") or b""))
    except ValueError:
        return {}


def _image(geometry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what tells geometries apart at a glance."""
    if "height" in geometry:
        yield f"{geometry['height']}x{geometry.get('width')}"
    yield from (str(geometry[name]) for name in ("color", "resize", "interpolation") if geometry.get(name))


def _numbers(value: object) -> str:
    several = value if isinstance(value, list) else [value]
    return " ".join(f"{number:.4g}" if isinstance(number, int | float) else str(number) for number in several)


def _rows(folder: Folder, parts: Sequence[Entry]) -> int | None:
    """Return the rows of all parts from the header of one.

    Parts of a table differ in their number of rows alone, and a row has a fixed size: but for the padding of the
    columns (less than 8 bytes each) a part's size is that of its rows, and a constant.
    """
    if not parts:
        return 0
    try:
        with folder.opened(parts[0].name) as file:
            if file is None:
                return None
            rows = len(arrow.first_column(file, "image_digest"))
            bytes_per_row = sum(_width(field.type) for field in pa.ipc.open_file(file).schema)
    # Some are damaged, others deleted between two requests.
    except (arrow.DamagedError, pa.ArrowException, ValueError, FileNotFoundError):
        return None
    constant = parts[0].size - rows * bytes_per_row
    return sum(round((part.size - constant) / bytes_per_row) for part in parts)


def _width(column: pa.DataType) -> int:
    """Return the bytes of a value of fixed size.

    Raises
    ------
    ValueError
        If it has none.
    """
    if pa.types.is_fixed_size_list(column):
        return int(column.list_size) * int(column.value_type.byte_width)
    return int(column.byte_width)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
