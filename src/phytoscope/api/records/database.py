"""Database: a SQLite file or a PostgreSQL server with the tables of the records, however it fares."""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from phytoscope.api.records.address import hide_password, read_url
from phytoscope.api.records.migrate import read_revision, upgrade_tables
from phytoscope.errors import ArtifactError, StorageError

BUSY_S: Final = 5.0
"""Seconds that a transaction waits for another program that holds the database."""
_MIGRATION_LOCK: Final = 0x70687974
_PATIENCE: Final = {
    "connect_timeout": 5,
    # A server that went without a word is noticed within this many milliseconds.
    "tcp_user_timeout": 10_000,
    "options": f"-c lock_timeout={int(BUSY_S * 1000)} -c statement_timeout=60000",
}
_WORDS: Final = {
    "locked": f"another program has held it for more than {BUSY_S:g} s; end that program or its transaction",
    "readonly": "it is read-only for the service; allow writing to the file and its folder",
    "unable to open": "it cannot be opened; check that its folder exists and may be written to",
    "full": "the disk is full (or a quota is); free some space",
    "disk i/o": "the disk cannot be read or written; check it and whether it is full",
    "malformed": "it is damaged; move it away and start again, or bring back a copy",
    "not a database": "it is not a SQLite database; name another file",
}
_NO_TRANSACTION: Final = "NONE"
Transaction = Iterator[Connection]


class Database:
    """The records' database.

    Attributes:
        url: Its address.
        place: What to call it, without a password.
        path: The SQLite file; None of a server.
    """

    def __init__(self, url: str, key: str = "serve.records_url") -> None:
        """Opens nothing yet.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
            key: What to call it in an error.

        Raises:
            ConfigError: It is no such address.
            MissingDependencyError: PostgreSQL is named, and what talks to it is not installed.
        """
        self.url = read_url(url, key)
        self.place = hide_password(self.url)
        self.path = Path(self.url.database or "") if self.url.drivername == "sqlite" else None
        self._engine = _open_sqlite(self.path) if self.path is not None else _open_server(self.url)
        self._file: tuple[int, int] | None = None

    def prepare(self, *, with_folder: bool = False) -> None:
        """Makes the tables, or brings older ones to the state of this version; several processes may do it at once.

        Args:
            with_folder: Whether to make the folder of a SQLite file as well.

        Raises:
            ArtifactError: The database is of a newer version.
            StorageError: It cannot be reached or written.
        """
        with _worded(self.place):
            if self.path is not None:
                self._engine.dispose()
                if with_folder:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                _create_file(self.path)
                self._file = _identify(self.path)
            with self._begin("IMMEDIATE") as connection:
                if self.path is None:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                upgrade_tables(connection, self.place)

    def attach(self) -> None:
        """Looks whether there are records of this version to read.

        Raises:
            ArtifactError: There are no records, or they are of another version.
            StorageError: The database cannot be reached.
        """
        if self.path is not None and not self.path.is_file():
            message = f"there are no records in {self.place!r}: name the service's database with --url URL."
            raise ArtifactError(message)
        with _worded(self.place):
            self._file = None if self.path is None else _identify(self.path)
            with self._begin("DEFERRED") as connection:
                found = read_revision(connection)
        if found is None:
            message = f"{self.place!r} holds no records of phytoscope: name the service's database with --url URL."
            raise ArtifactError(message)
        # Older records are brought up to date before they are read; newer ones are refused.
        self.prepare()

    @contextlib.contextmanager
    def reading(self) -> Transaction:
        """A transaction that only reads.

        Raises:
            StorageError: The database cannot be read.
        """
        with _worded(self.place):
            self._check_file()
            with self._begin("DEFERRED") as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Transaction:
        """A transaction that writes; it is committed at the end of the block.

        Raises:
            StorageError: The database cannot be written, or its file was taken away meanwhile. Nothing is kept then.
        """
        with _worded(self.place):
            self._check_file()
            with self._begin("IMMEDIATE") as connection:
                yield connection
            # What is written into a file that has no name any more is gone.
            self._check_file()

    def compact(self) -> None:
        """Gives the space of deleted rows back, so that nothing of them can be found in the file.

        Raises:
            StorageError: Another program holds the database.
        """
        with _worded(self.place):
            if self.path is None:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    for name in ("phytoscope_feedback", "phytoscope_predictions"):
                        connection.execute(text(f"VACUUM {name}"))
                return
            with self._begin(_NO_TRANSACTION) as connection:
                connection.exec_driver_sql("VACUUM")
                self._empty_log(connection)

    def forget(self) -> None:
        """Empties the log beside a SQLite file, in which deleted rows may still stand.

        Raises:
            StorageError: Another program reads the database just now.
        """
        if self.path is not None:
            with _worded(self.place), self._begin(_NO_TRANSACTION) as connection:
                self._empty_log(connection)

    def close(self) -> None:
        """Closes all connections that are not in use."""
        self._engine.dispose()

    def _empty_log(self, connection: Connection) -> None:
        busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
        if busy:
            message = (
                f"the log beside {self.place!r} could not be emptied, because another program reads the records: "
                "deleted ones may still stand in it; run the same command again."
            )
            raise StorageError(message)

    def _begin(self, mode: str) -> contextlib.AbstractContextManager[Connection]:
        return self._engine.execution_options(sqlite_begin=mode).begin()

    def _check_file(self) -> None:
        if self.path is not None and (self._file is None or _identify(self.path) != self._file):
            self._engine.dispose()
            message = (
                f"cannot write the records in {self.place!r}: the file was moved, replaced or deleted. Bring it back, "
                "or start the service again."
            )
            raise StorageError(message)


def _identify(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _create_file(path: Path) -> None:
    # Connections never make the file, so that one that was deleted is noticed. Nobody else here may read it.
    path.touch(mode=0o600)


def _open_sqlite(path: Path) -> Engine:
    address = f"file:{urllib.parse.quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # Transactions are begun by ourselves: the library would do it too late for them to be exclusive.
        return sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=2)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options()["sqlite_begin"]
    if mode != _NO_TRANSACTION:
        connection.exec_driver_sql(f"BEGIN {mode}")


def _open_server(url: URL) -> Engine:
    patience = {key: value for key, value in _PATIENCE.items() if key not in url.query}
    return create_engine(url, pool_pre_ping=True, pool_size=2, connect_args=patience)


@contextlib.contextmanager
def _worded(place: str) -> Iterator[None]:
    """Turns what a database says into words; rows, which errors of the library hold, are left out."""
    try:
        yield
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        remedy = next((words for key, words in _WORDS.items() if key in said.lower()), "check the database")
        message = f"the records in {place!r} cannot be used ({said}): {remedy}."
        raise StorageError(message) from error
    except SQLAlchemyError as error:
        message = f"the records in {place!r} cannot be used ({type(error).__name__}): check the database."
        raise StorageError(message) from error
    except StorageError:
        raise
    except OSError as error:
        message = f"the records in {place!r} cannot be used ({error.strerror or error}): check that the folder exists."
        raise StorageError(message) from error


def blames_rows(error: StorageError) -> bool:
    """Whether a row was refused for what stands in it, so that trying again is of no use."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError):
        return isinstance(cause, (DataError, IntegrityError))
    return isinstance(cause, StatementError)
