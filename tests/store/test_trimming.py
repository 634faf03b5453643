"""What goes when a store is trimmed, and what stays whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from evaljobs.errors import StoreError, UsageError
from evaljobs.store import Store, lease, uses
from evaljobs.store.collecting import Collected, Tell, collect
from evaljobs.store.folder import Entry
from evaljobs.store.inventory import Unit, take_inventory
from evaljobs.store.layout import Kind
from evaljobs.store.lease import Holder
from evaljobs.store.store import key_digest
from evaljobs.store.trimming import Known, Wish, doomed
from evaljobs.store.usage import usage_of
from evaljobs.store.uses import Uses
from evaljobs.store.verifying import verify
from tests.store.filled import ROWS, days_ago, fill, fill_result, fill_table, model_digest

DAY = 86400.0


def nothing(_: object) -> None:
    """Take note of nothing."""


SILENT = Tell(nothing, nothing)
ALL = Wish(keep_bytes=0)


def trimmed(store: Store, wish: Wish, *, dry_run: bool = False) -> Collected:
    """Trim a store; what is left must be whole."""
    before = {entry.name for entry in store.folder.walk()}
    found = collect(store, wish, SILENT, dry_run=dry_run)
    after = {entry.name for entry in store.folder.walk()}
    assert after <= before
    assert not dry_run or after == before
    assert verify(store, delete=False, start=nothing, advance=nothing).findings == ()
    return found


def left(store: Store) -> tuple[set[str], set[str]]:
    """Return the tables and the results that are left."""
    units = take_inventory(store.folder.walk()).units
    return {unit.key for unit in units[Kind.TABLES]}, {unit.key for unit in units[Kind.RESULTS]}


def last_written(store: Store, key: str, days: float) -> None:
    """Let a table and what else has this key be so many days old; in a local folder alone."""
    for entry in store.folder.walk():
        if f"/{key}" in entry.name:
            os.utime(Path(store.location) / entry.name, (days_ago(days),) * 2)


# What is to go


def unit(key: str, used: float, size: int = 10, kind: Kind = Kind.TABLES) -> Unit:
    return Unit(kind, key, (Entry(f"{kind}/{key}/x", size, used),), used)


def known(*units: Unit, now: float = 100.0) -> Known:
    models = {"a": "11" * 32, "b": "11" * 32, "c": "1122" + "33" * 30}
    return Known(units, sum(one.size for one in units), now, models, {"r": "a", "lost": "gone"})


def test_least_recently_used_go_until_the_rest_fits() -> None:
    """No more than is needed goes; nothing goes where all fits; what is spared is passed over."""
    units = [unit("a", 30), unit("b", 10), unit("c", 20)]
    assert [one.key for one in doomed(Wish(keep_bytes=29), known(*units), ())] == ["b"]
    assert [one.key for one in doomed(Wish(keep_bytes=20), known(*units), ())] == ["b"]
    assert [one.key for one in doomed(Wish(keep_bytes=0), known(*units), ())] == ["b", "c", "a"]
    assert [one.key for one in doomed(Wish(keep_bytes=0), known(*units), [units[2]])] == ["b", "a"]
    assert doomed(Wish(keep_bytes=30), known(*units), ()) == []


def test_age_is_that_of_the_last_use() -> None:
    """At the age exactly, it stays."""
    units = [unit("a", 89), unit("b", 90), unit("c", 91)]
    assert [one.key for one in doomed(Wish(unused_s=10), known(*units), ())] == ["a"]


def test_what_belongs_to_a_model_goes() -> None:
    """All tables of the file and the results of these; a result whose table is gone belongs to nobody known."""
    units = [
        unit("a", 1),
        unit("b", 2),
        unit("c", 3),
        unit("r", 4, kind=Kind.RESULTS),
        unit("lost", 5, kind=Kind.RESULTS),
    ]
    assert [one.key for one in doomed(Wish(models=("111111",)), known(*units), ())] == ["a", "b", "r"]
    wanted = Wish(wanted=frozenset({"11" * 32}))
    assert [one.key for one in doomed(wanted, known(*units), ())] == ["c"]
    assert [one.key for one in doomed(Wish(wanted=frozenset()), known(*units), ())] == ["a", "b", "c", "r"]


@pytest.mark.parametrize(
    ("start", "said"), [("11", "at least 6"), ("999999", "no table of this store"), ("", "at least")]
)
def test_model_that_is_not_told_is_refused(start: str, said: str) -> None:
    """A slip of the hand deletes nothing."""
    with pytest.raises(UsageError, match=said):
        doomed(Wish(models=(start,)), known(unit("a", 1)), ())


def test_models_that_begin_alike_are_named() -> None:
    """More digits are asked for."""
    ambiguous = known(unit("a", 1))._replace(models={"a": "ab" * 32, "b": "ab" * 31 + "00"})
    with pytest.raises(UsageError, match="2 models begin so"):
        doomed(Wish(models=("ababab",)), ambiguous, ())


# Trimming


def test_dry_run_says_what_a_run_does(store: Store) -> None:
    """Numbers are the same, and nothing is deleted before."""
    keys = fill(store)
    before = usage_of(store).size
    wish = Wish(models=(model_digest(1)[:8], model_digest(3)))
    planned = trimmed(store, wish, dry_run=True)
    done = trimmed(store, wish)
    assert planned._replace(dry_run=False) == done
    assert (done.tables, done.results, done.spared) == (2, 2, 0)
    assert done.freed + done.left == before
    assert usage_of(store).size == done.left
    assert left(store)[0] == {key_digest(keys[1])}
    assert len(left(store)[1]) == 1
    assert store.table(keys[0]).digests().to_pylist() == []


def test_trimmed_table_is_made_again_and_its_results_stay_valid(store: Store) -> None:
    """Results are cached on their own; and nobody stumbles over what was deleted."""
    key = fill(store, models=1)[0]
    evaluation = fill_result(store, key)
    table = f"tables/{key_digest(key)}"
    for name in [*store.folder.names(table, ".arrow"), f"{table}/key.json"]:
        store.folder.delete(name)
    assert store.result(evaluation) is not None
    assert trimmed(store, Wish(wanted=frozenset())).results == 0
    fill_table(store, key)
    assert len(store.table(key).digests()) == ROWS


def test_order_is_that_of_the_last_use(local: Store) -> None:
    """Written first, used last: a run that uses an old table keeps it from going first."""
    first, second, third = (key_digest(key) for key in fill(local))
    for days, key in ((30, first), (20, second), (10, third)):
        last_written(local, key, days)
    Uses(local.folder, "a run").record([first], [])
    assert trimmed(local, Wish(unused_s=15 * DAY), dry_run=True).tables == 1
    assert trimmed(local, Wish(unused_s=15 * DAY)).tables == 1
    assert left(local)[0] == {first, third}
    found = {table.table: table for table in usage_of(local).tables}
    assert found[first].used > found[first].written + 29 * DAY
    assert found[third].used == found[third].written


def test_record_of_a_second_use_takes_no_more_room(local: Store) -> None:
    """A night's run that is repeated for years leaves one record, with the time of the last."""
    fill(local)
    run = Uses(local.folder, "a run")
    run.record(["a"], ["b"])
    (first,) = local.folder.walk("uses")
    os.utime(Path(local.location) / first.name, (days_ago(3),) * 2)
    run.record(["a"], ["b"])
    (second,) = local.folder.walk("uses")
    assert second.name == first.name
    assert second.modified > days_ago(1)


def test_records_of_what_is_gone_go_too(local: Store) -> None:
    """Records and leases of killed runs do not pile up, and spare nothing; records of what stays are kept."""
    first, second, _ = (key_digest(key) for key in fill(local))
    run = Uses(local.folder, "a run")
    run.record([first], [])
    run.record([second], [])
    killed = f"uses/run-{'0' * 32}.lease"
    local.folder.replace(killed, Holder("killed", "host", 1, 0.0).to_bytes())
    os.utime(Path(local.location) / killed, (time.time() - lease.EXPIRES_S - 60,) * 2)
    assert trimmed(local, Wish(models=(model_digest(1),))).holders == ()
    (kept,) = local.folder.walk("uses")
    assert second in (local.folder.read(kept.name) or b"").decode()


# Runs at work


def test_what_a_run_uses_stays(store: Store) -> None:
    """Its tables, its results, and other results of its tables; its name is said. When it is over, they may go."""
    keys = fill(store)
    used = key_digest(keys[0])
    (result,) = [key for key in left(store)[1] if key in {key_digest(fill_result(store, keys[1]))}]
    with Uses(store.folder, "the run 'night'").marked([used], [result], nothing), pytest.MonkeyPatch.context() as patch:
        # The store was filled long before that run.
        patch.setattr("evaljobs.store.collecting._SKEW_S", -10 * DAY)
        found = trimmed(store, ALL)
        assert left(store)[0] == {used}
        assert left(store)[1] == {result, key_digest(fill_result(store, keys[0]))}
        assert found.spared == 3
        assert "the run 'night' (process" in found.holders[0]
    assert trimmed(store, ALL).tables == 1
    assert left(store) == (set(), set())


def test_what_a_run_has_written_stays(store: Store) -> None:
    """Also what it did not know of when it began."""
    with Uses(store.folder, "a run").marked([], [], nothing):
        fill(store)
        assert trimmed(store, ALL).spared == 6
    assert trimmed(store, ALL).tables == 3


def test_lease_that_nobody_can_read_spares_everything(store: Store) -> None:
    """What a newer version marks in its own way is not for us to delete."""
    fill(store)
    store.folder.replace(f"uses/run-{'1' * 32}.lease", b"{}")
    found = trimmed(store, ALL)
    assert (found.tables, found.results) == (0, 0)
    assert "run-1111" in found.holders[0]


def test_run_waits_while_the_store_is_trimmed(store: Store) -> None:
    """It looks for what is missing only when nobody deletes: so nothing is deleted that it counts on."""
    said: list[str] = []
    began = threading.Event()

    def run() -> None:
        with Uses(store.folder, "a run").marked([], [], said.append):
            began.set()

    with uses.trimming(store.folder):
        thread = threading.Thread(target=run)
        thread.start()
        assert not began.wait(1.0)
        assert said
        assert "evaljobs store gc" in said[0]
    assert began.wait(10.0)
    thread.join()


def test_store_is_trimmed_by_one_at_a_time(store: Store) -> None:
    """Two would count the same bytes."""
    with uses.trimming(store.folder), pytest.raises(UsageError, match="trims this store already"):
        collect(store, ALL, SILENT, dry_run=False)


def test_trimming_that_was_held_up_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever slept past his lease may meet a run that does not know of him."""
    fill(store)
    monkeypatch.setattr(uses.Heartbeat, "age_s", lease.EXPIRES_S)
    with pytest.raises(StoreError, match="held up"):
        collect(store, ALL, SILENT, dry_run=False)
    assert len(left(store)[0]) == 3


def test_lease_is_renewed_and_given_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives as long as its holder, and no longer."""
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.05)
    name = f"uses/run-{'2' * 32}.lease"
    with uses.leased(store.folder, name, Holder.this_process("a run")) as own:
        store.folder.delete(name)
        deadline = time.monotonic() + 60
        while store.folder.read(name) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert own.heartbeat.age_s < 10
        seen = uses.look_for_runs(store.folder, None)
        assert [holder.what for holder in seen.holders] == ["a run"]
    assert store.folder.read(name) is None


def test_store_that_takes_no_marks_can_be_used(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or another user's store: what is there is still of use; that nothing is marked is said."""
    said: list[str] = []

    def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(local.folder, "replace", refuse)
    with Uses(local.folder, "a run").marked([], [], said.append):
        pass
    assert "the disk is full" in said[0]


# Killed


def _trim_for_ever(location: str, begun: multiprocessing.synchronize.Event) -> None:
    store = Store(location)

    def advance(_: int) -> None:
        begun.set()

    collect(store, ALL, Tell(nothing, advance), dry_run=False)


@pytest.mark.parametrize("moment", range(2))
def test_killed_trimming_leaves_a_store(local: Store, moment: int) -> None:
    """SIGKILL while files are deleted: what is left is whole, and can be filled and trimmed again."""
    keys = fill(local, models=12)
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_trim_for_ever, args=(local.location, begun))
    process.start()
    assert begun.wait(60)
    time.sleep(0.002 * moment)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    findings = verify(local, delete=False, start=nothing, advance=nothing).findings
    assert [one for one in findings if one.condition == "damaged"] == []
    assert usage_of(local).unknown == 0
    for number, key in enumerate(keys, start=1):
        fill_table(local, key, dimensions=8 * number)
        fill_result(local, key)
        assert len(local.table(key).digests()) == ROWS
