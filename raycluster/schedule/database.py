"""The state file: SQLite, of which a transaction is on the disk when it is over, or was never there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from raycluster.errors import ClusterError
from raycluster.schedule.tables import APPLICATION, UPGRADES, VERSION, identity, metadata

_BUSY_S = 30
_WRITES = "writes"
# Where SQLite's header has whose file it is: https://www.sqlite.org/fileformat.html#the_database_header
_APPLICATION_AT = 68


class Database:
    """An open state file.

    Attributes
    ----------
    path
        Where it is. The file and those that SQLite lays beside it are readable by their owner alone.
    identity
        Its random name, made with it: two state files may have schedules of one name on one cluster.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _make_private(path)
        url = sa.URL.create("sqlite", database=str(path))
        self._engine = sa.create_engine(url, connect_args={"timeout": _BUSY_S}, hide_parameters=True)
        sa.event.listen(self._engine, "connect", _prepare)
        sa.event.listen(self._engine, "begin", _begin)
        try:
            self.identity = self._set_up()
        except sa.exc.DatabaseError as error:
            self.close()
            raise ClusterError(f"cannot use the state file {path}: {error.orig}") from None
        except ClusterError:
            self.close()
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a transaction that may write: from its beginning it is the only one. Whole, or not at all."""
        with self._engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a transaction that sees one state of everything, whoever writes meanwhile."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close it; nothing is lost where nobody does."""
        self._engine.dispose()

    def _set_up(self) -> str:
        """Make the tables of a new file, bring an older one up to date, or refuse one that is not ours to read.

        Returns its identity.
        """
        with self.writing() as connection:
            application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
            if not tables and not version:
                metadata.create_all(connection)
                connection.execute(sa.insert(identity).values(name=secrets.token_hex(3)))
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            elif application != APPLICATION:
                raise ClusterError(f"{self.path} is a database of another program; name another file with --state")
            elif version in UPGRADES:
                for step in range(version, VERSION):
                    connection.exec_driver_sql(UPGRADES[step])
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise ClusterError(
                    f"the state file {self.path} has version {version}; this raycluster reads version {VERSION}. Use "
                    "the release that wrote it, or name another file with --state; nothing was changed"
                )
            return str(connection.execute(sa.select(identity.c.name)).scalar_one())


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # One that was there may have been left open to others. What is not ours is left as it is.
            if os.pread(file, 4, _APPLICATION_AT) in {b"", APPLICATION.to_bytes(4)}:
                os.fchmod(file, 0o600)
        finally:
            os.close(file)
    except OSError as error:
        raise ClusterError(f"cannot use the state file {path}: {error.strerror}; name another with --state") from None


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Transactions begin where we say so: the driver would begin them late, and not at all for reading.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode = WAL")  # readers do not keep the daemon waiting
        cursor.execute("PRAGMA synchronous = FULL")  # in this journal, less would lose the last ones with the power
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
