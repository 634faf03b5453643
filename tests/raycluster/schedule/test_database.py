"""The state file: whole or not at all, one daemon, and nobody else's."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from raycluster.errors import ClusterError
from raycluster.schedule.book import Book, StaleError
from raycluster.schedule.database import Database
from raycluster.schedule.deciding.actions import Due, Enqueue, Write
from raycluster.schedule.places import hold, is_held
from raycluster.schedule.records import State
from raycluster.schedule.tables import VERSION
from tests.raycluster.schedule.simulation import World


def test_kept_as_was_promised(folder: Path) -> None:
    """Write-ahead log, flushed with every transaction, keys that hold; for nobody else's eyes."""
    database = Database(folder / "a" / "state.sqlite3")
    with database.writing() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
        connection.exec_driver_sql("INSERT INTO quotas VALUES ('a', 1)")
    files = list((folder / "a").iterdir())
    assert len(files) == 3
    assert all(file.stat().st_mode & 0o077 == 0 for file in [*files, folder / "a"])


def test_whole_or_not_at_all(folder: Path) -> None:
    """An exception in a transaction leaves nothing of it."""
    database = Database(folder / "state.sqlite3")
    book = Book(database)
    book.set_quota("a", 1)

    def write() -> None:
        with database.writing() as connection:
            for team in "bca":  # the last one is there
                connection.exec_driver_sql(f"INSERT INTO quotas VALUES ('{team}', 1)")  # noqa: S608 - letters

    with pytest.raises(sa.exc.IntegrityError):
        write()
    assert book.snapshot().quotas == {"a": 1}


def test_other_version_is_refused_untouched(folder: Path) -> None:
    """A newer state is not read by guessing."""
    path = folder / "state.sqlite3"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ClusterError, match=rf"has version 99; this raycluster reads version {VERSION}"):
        Database(path)
    assert path.read_bytes() == before


def columns(path: Path) -> list[tuple[object, ...]]:
    """Return name, type, whether it may be null, default and key of each column of the schedules."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [tuple(row[1:]) for row in connection.execute("PRAGMA table_info(schedules)")]


def test_older_version_is_brought_up_to_date(folder: Path) -> None:
    """An update of the program loses no schedule and no history; afterwards the file is as a new one is."""
    world = World(folder, 1_700_000_000.0)
    world.add("nightly")
    run = world.book.add_run("nightly", 1_700_000_000.0)
    world.database.close()
    path = world.database.path
    new = columns(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE schedules DROP COLUMN cluster_gpus")
        connection.execute("PRAGMA user_version = 1")
    assert columns(path) != new
    book = Book(Database(path))
    assert columns(path) == new
    assert book.run(*run.key) == run
    assert book.snapshot().schedules["nightly"].cluster_gpus == 0
    book.remember_gpus("nightly", 3)
    assert book.snapshot().schedules["nightly"].cluster_gpus == 3


@pytest.mark.parametrize("content", ["sqlite", "text"])
def test_file_of_another_program_is_refused(folder: Path, content: str) -> None:
    """Nothing is written into a file that is not ours."""
    path = folder / "state.sqlite3"
    if content == "sqlite":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        path.write_text("something else entirely\n" * 100)
    with pytest.raises(ClusterError, match=r"another program|not a database"):
        Database(path)


def test_name_is_taken_as_it_stands(folder: Path) -> None:
    """No character of a path is a database option."""
    path = folder / "state?mode=ro&x=%41#1.sqlite3"
    Book(Database(path)).set_quota("a", 1)
    assert path.stat().st_size > 0
    assert {file.name.removesuffix("-wal").removesuffix("-shm") for file in folder.iterdir()} == {path.name}


def test_file_that_was_open_to_others_is_closed_to_them(folder: Path) -> None:
    """It may hold the URL of a webhook; another program's file is left as it is."""
    path, theirs = folder / "state.sqlite3", folder / "theirs"
    Database(path).close()
    theirs.write_text("something else entirely\n" * 100)
    for file in (path, theirs):
        file.chmod(0o644)
    Database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ClusterError):
        Database(theirs)
    assert theirs.stat().st_mode & 0o777 == 0o644


def test_place_that_cannot_be(folder: Path) -> None:
    """A state file below a file."""
    (folder / "file").touch()
    with pytest.raises(ClusterError, match="cannot use the state file"):
        Database(folder / "file" / "state.sqlite3")


def test_two_programs_at_once_make_one_file(folder: Path) -> None:
    """Whoever comes second finds it made."""
    found: list[Database] = []
    threads = [threading.Thread(target=lambda: found.append(Database(folder / "state.sqlite3"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for number, database in enumerate(found):
        Book(database).set_quota(f"t{number}", number)
    assert len(Book(found[0]).snapshot().quotas) == 8


def test_one_due_time_is_one_run(folder: Path) -> None:
    """Whoever queues it: the file itself refuses the second."""
    world = World(folder, 1_000_000.0)
    world.add("nightly")
    for _ in range(3):
        world.book.enqueue(Enqueue("nightly", (Due(1_000_800),), 1_087_200), 1_000_800.0)
    assert len(world.runs()) == 1
    with pytest.raises(sa.exc.IntegrityError), world.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO runs SELECT * FROM runs")


def test_stale_decision_writes_nothing(folder: Path) -> None:
    """What was decided about a run that has moved on is dropped whole."""
    world = World(folder, 1_000_000.0)
    world.add("nightly", cron="* * * * *")
    world.clock.now += 60
    world.settle()
    (running,) = world.runs()
    with pytest.raises(StaleError):
        world.book.write(Write(replace(running, state=State.STARTING), replace(running, state=State.WAITING)))
    assert world.runs() == [running]


def test_one_daemon(folder: Path) -> None:
    """A second one on the same state file is refused; the first's end lets the next one in."""
    state = folder / "state.sqlite3"
    lock = hold(state)
    assert is_held(state)
    with pytest.raises(ClusterError, match="a scheduler runs already"):
        hold(state)
    lock.release()
    assert not is_held(state)
    hold(state).release()


def test_who_looks_keeps_no_daemon_from_starting(folder: Path) -> None:
    """Looking takes the lock for a moment."""
    state = folder / "state.sqlite3"
    looks = threading.Event()

    def look() -> None:
        with hold(state):
            looks.set()
            time.sleep(0.2)

    thread = threading.Thread(target=look)
    thread.start()
    assert looks.wait(60)
    hold(state).release()
    thread.join()
