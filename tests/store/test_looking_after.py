"""What a store holds and whether it is whole: in a local folder and on S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from evaljobs.errors import StoreError, UsageError
from evaljobs.schemas import FAILURES
from evaljobs.store import Store
from evaljobs.store.layout import MARKER, Kind, Role, recognise
from evaljobs.store.store import key_digest
from evaljobs.store.usage import usage_of
from evaljobs.store.verifying import Condition, Verified, verify
from tests.store.filled import ROWS, fill, fill_table, model_digest, model_key
from tests.store.rows import damage, digests, matrix, parts


def checked(store: Store, *, delete: bool = False) -> Verified:
    """Verify a store, and see that progress adds up to all its bytes."""
    total: list[int] = []
    done: list[int] = []
    found = verify(store, delete=delete, start=total.append, advance=done.append)
    assert sum(done) <= total[0] == found.size
    return found


def test_usage_counts_what_was_put_there(store: Store) -> None:
    """Rows, files and bytes of each kind and each table; the largest table first, with what tells it from others."""
    keys = fill(store)
    store.add_failures(keys[0]["geometry"], FAILURES.empty_table())
    store.add_rate("embed", keys[0], 1e-3, 100)
    store.folder.replace("notes.txt", b"somebody's")
    found = usage_of(store)
    entries = [entry for entry in store.folder.walk() if recognise(entry.name)]
    by_kind = {kind.kind: kind for kind in found.kinds}
    assert (by_kind["tables"].entries, by_kind["tables"].files, by_kind["tables"].rows) == (3, 12, 3 * ROWS)
    assert (by_kind["results"].entries, by_kind["results"].files) == (3, 6)
    assert (by_kind["rates"].entries, by_kind["failures"].entries, by_kind["listings"].entries) == (1, 1, 0)
    assert found.unknown == 1
    marker = next(entry.size for entry in entries if entry.name == MARKER)
    assert found.size == sum(entry.size for entry in entries) - marker == sum(kind.size for kind in found.kinds)
    assert [table.model for table in found.tables] == [model_digest(3), model_digest(2), model_digest(1)]
    assert [table.rows for table in found.tables] == [ROWS] * 3
    largest = found.tables[0]
    assert (largest.output, largest.image) == ("y", "112x96 rgb stretch bilinear")
    assert (largest.normalisation, largest.provider, largest.batch) == ("divisor 255, mean 0.5, std 0.25", "CPU", 32)
    assert largest.table == key_digest(keys[2])
    assert by_kind["tables"].oldest is not None
    json.dumps(found.as_json(), allow_nan=False)


def test_rows_are_counted_from_one_header(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tables take seconds: a key and a part are opened for each, the other parts tell by their size."""
    fill(store)
    asked: list[str] = []

    def counted(original: Callable[[str], Any]) -> Callable[[str], Any]:
        def ask(name: str) -> Any:
            asked.append(name)
            return original(name)

        return ask

    for method in ("read", "opened"):
        monkeypatch.setattr(store.folder, method, counted(getattr(store.folder, method)))
    assert [table.rows for table in usage_of(store).tables] == [ROWS] * 3
    assert len(asked) == 2 * 3


@pytest.mark.parametrize("dimensions", [1, 3, 127, 512])
def test_rows_of_any_width_are_counted(store: Store, dimensions: int) -> None:
    """Padding of the columns is never taken for a row."""
    fill_table(store, model_key("m"), dimensions)
    assert usage_of(store).tables[0].rows == ROWS


def test_table_that_cannot_be_read_is_listed(store: Store) -> None:
    """A damaged key or part hides nothing else, and is not counted as something it is not."""
    key = fill(store)[0]
    folder = f"tables/{key_digest(key)}"
    store.folder.replace(f"{folder}/key.json", b"{")
    for name in store.folder.names(folder, ".arrow"):
        store.folder.replace(name, b"ARROW1")
    found = {table.table: table for table in usage_of(store).tables}
    assert len(found) == 3
    assert (found[key_digest(key)].model, found[key_digest(key)].rows) == (None, None)


def test_whole_store_is_whole(store: Store) -> None:
    """Nothing is said of a store that is as it was written."""
    keys = fill(store)
    row = {"image_digest": bytes(32), "kind": "empty", "message": "no byte"}
    store.add_failures(keys[0]["geometry"], pa.Table.from_pylist([row], FAILURES))
    found = checked(store)
    assert found.whole
    assert found.findings == ()
    assert found.files == 20


def test_each_damage_is_found_and_what_is_deleted_is_made_again(store: Store) -> None:
    """Truncated, changed, moved and missing files are named; the others, and what is not ours, stay."""
    keys = fill(store)
    first, second, third = (f"tables/{key_digest(key)}" for key in keys)
    parts = store.folder.names(first, ".arrow")
    data = [store.folder.read(part) or b"" for part in parts]
    store.folder.replace(parts[0], data[0][:-40])
    store.folder.replace(parts[1], data[2])  # whole, under another part's name
    moved = store.folder.names(second, ".arrow")[0]
    store.folder.replace(moved, store.folder.read(store.folder.names(third, ".arrow")[0]) or b"")
    store.folder.replace(f"{second}/key.json", b'{"model": "another"}')
    results = [entry.name for entry in store.folder.walk("results")]
    tables = [name for name in results if name.endswith("roc.arrow")]
    store.folder.delete(tables[0])
    store.folder.replace(tables[1], b"")
    store.folder.replace(results[-2], b"no JSON")
    store.folder.replace("somebody/else.txt", b"")
    found = checked(store)
    damaged = {one.name for one in found.findings if one.condition is Condition.DAMAGED}
    vouching = tables[0].replace("roc.arrow", "result.json")
    assert damaged == {parts[0], parts[1], moved, f"{second}/key.json", vouching, tables[1], results[-2]}
    assert ("somebody/else.txt", Condition.UNKNOWN) in {(one.name, one.condition) for one in found.findings}
    assert not found.whole
    assert found.deleted == ()
    assert checked(store).findings == found.findings

    deleted = checked(store, delete=True)
    assert set(deleted.deleted) == damaged
    assert store.folder.read("somebody/else.txt") is not None
    assert len(store.table(keys[0]).digests()) < ROWS
    for key in keys:
        fill_table(store, key, dimensions=8 * (1 + keys.index(key)))
    assert not any(one.name.startswith("tables/") for one in checked(store).findings)


def test_what_a_killed_writer_leaves_is_no_damage(store: Store) -> None:
    """Half-written files and tables without their result are named as leftovers; a store with them is whole."""
    fill(store)
    names = [f"tables/{'a' * 64}/.{'b' * 32}.tmp", f"results/{'c' * 64}/roc.arrow", f"nonces/{'d' * 32}"]
    for name in names:
        store.folder.replace(name, b"half")
    found = checked(store)
    assert [one.name for one in found.findings] == sorted(names)
    assert {one.condition for one in found.findings} == {Condition.LEFTOVER}
    assert found.whole
    assert checked(store, delete=True).deleted == ()


@pytest.mark.parametrize("read_first", [True, False])
def test_what_is_trimmed_while_it_is_checked_is_no_damage(
    store: Store, read_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that goes after the files were listed, before or after it was read, was whole to its end."""
    fill(store, models=1)
    names = {entry.name.rpartition("/")[2]: entry.name for entry in store.folder.walk("results")}
    real = store.folder.read
    asked: list[str] = []

    def read(name: str) -> bytes | None:
        if name == (names["roc.arrow"] if read_first else names["result.json"]):
            asked.append(name)
            for one in (names["result.json"], names["roc.arrow"]):
                store.folder.delete(one)
        return real(name)

    monkeypatch.setattr(store.folder, "read", read)
    assert checked(store).findings == ()
    assert len(asked) == 1


def test_place_without_a_store_is_named(location: str) -> None:
    """A mistyped place is a mistake of the user's, and nothing is made there."""
    with pytest.raises(UsageError, match=f"there is no store at .*{MARKER}"):
        Store(location).there()
    assert Store(location).folder.walk() == []
    Store(location).open().folder.replace(MARKER, b'{"version": 99}')
    with pytest.raises(StoreError, match="has version 99"):
        Store(location).there()


def test_names_are_recognised_and_others_are_not() -> None:
    """What is not ours is never deleted: only whole names, of the right places, are the store's."""
    digest = "0" * 64
    ours = {
        MARKER: Role.MARKER,
        f"tables/{digest}/key.json": Role.KEY,
        f"listings/{digest}/part-{digest}.arrow": Role.PART,
        f"results/{digest}/result.json": Role.RESULT,
        f"results/{digest}/hardest.arrow": Role.RESULT_TABLE,
        f"rates/embed-{digest}.json": Role.RATE,
        f"uses/{digest}.json": Role.USE,
        f"uses/run-{'0' * 32}.lease": Role.LEASE,
        f"nonces/{'0' * 32}-{'1' * 32}": Role.NONCE,
        f".{'0' * 32}.tmp": Role.TEMPORARY,
    }
    assert {name: named.role for name in ours if (named := recognise(name))} == ours
    for name in (
        f"tables/{digest}/part-{digest}.arrow.bak",
        f"tables/{digest}/notes/key.json",
        f"tables/{digest[1:]}/key.json",
        f"backup/tables/{digest}/key.json",
        f"results/{digest}/../roc.arrow",
        f"failures/{digest}/result.json",
        "results.json",
        f"uses/{digest}.json\n",
    ):
        assert recognise(name) is None, name
    named = recognise(f"results/{digest}/result.json")
    assert named is not None
    assert (named.kind, named.key) == (Kind.RESULTS, digest)


def test_damaged_value_is_found(store: Store) -> None:
    """A flipped bit among the numbers, which no reader of digests sees."""
    store.table(model_key("m")).commit(digests(64), {"embedding": matrix(64, 64)})
    (name,) = parts(store)
    damage(store, name, "flipped value")
    assert [one.name for one in checked(store).findings] == [name]
