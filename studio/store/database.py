"""The way to the database: one writer whose transactions take turns, and readers beside it.

SQLite and PostgreSQL behind the same two doors, `write` and `read`. Knows no table but the one
that says who is here; what goes wrong comes out as a sentence, never with the URL in it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from studio.errors import CannotStart, InUse, Unavailable
from studio.formats import strict
from studio.settings import Settings
from studio.store.reading import connect

BUSY_SECONDS = 30
SILENT = "The database does not answer. Try again in a moment."
WAL_BYTES = 64 * 2**20  # the log shrinks back to this after a large batch
OUR_LOCK = 0x6461726B726F6F6D  # "darkroom": the advisory lock that makes us PostgreSQL's one writer
# Seconds: who fell silent is given up after a minute, by us and (below) by PostgreSQL, which would
# otherwise keep our lock for two hours.
ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
LOCK_SECONDS = 3  # PostgreSQL needs a moment to notice that a killed server has gone


def database_url(settings: Settings) -> URL:
    if not settings.database:
        return URL.create("sqlite", database=str(settings.data / "darkroom.db"))
    try:
        url = make_url(settings.database)
    except exc.ArgumentError:
        raise CannotStart(
            "Setting database: that is no URL such as postgresql+psycopg://user@host/darkroom."
        ) from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise CannotStart(
        f"Setting database: {backend} will not do; SQLite in a file and PostgreSQL will."
    )


class Database:
    """`reading` says why nothing can be written, if that is so."""

    def __init__(self, url: URL, reading: str = "") -> None:
        self.sqlite = url.get_backend_name() == "sqlite"
        self.reading = reading
        self._turn = threading.Lock()
        self._closed = self._met = False
        try:
            self.writer = self._engine(url, pool_size=1, max_overflow=0)
            self._reader = self._engine(
                url, pool_size=8, max_overflow=32, isolation_level="AUTOCOMMIT"
            )
        except ModuleNotFoundError:
            raise CannotStart(
                "Setting database: PostgreSQL needs 'pip install -r requirements-cluster.txt'."
            ) from None
        if self.reading:
            self.writer.dispose()
            self.writer = self._reader
        elif self.sqlite:
            event.listen(self.writer, "connect", _sqlite_writer)
            event.listen(self.writer, "begin", _begin_immediate)
            event.listen(self._reader, "connect", _sqlite_reader)
        else:
            event.listen(self.writer, "connect", self._take_over)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction of the one writer; it is on disk when the block is left."""
        if self.reading:
            raise Unavailable(self.reading)
        with self._turn, self._in_words(), self.writer.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._in_words(), self._reader.connect() as connection:
            yield connection

    def close(self) -> None:
        self._closed = True
        with self._turn:
            self._reader.dispose()
            self.writer.dispose()  # SQLite's last connection folds the log into the database

    def _take_over(self, connection: Any, _: object) -> None:
        try:
            _postgres_writer(connection)
        except InUse as error:
            if self._met:  # a connection of our own that PostgreSQL does not know to be broken
                raise Unavailable(SILENT) from error
            raise
        self._met = True

    def _engine(self, url: URL, **options: Any) -> Engine:
        if self.reading and self.sqlite:
            file = Path(url.database or "")
            options["creator"] = lambda: connect(file, BUSY_SECONDS)
        elif self.sqlite:
            options["connect_args"] = {"timeout": BUSY_SECONDS}
        else:
            only = {"options": "-c default_transaction_read_only=on"} if self.reading else {}
            options |= {"pool_pre_ping": True, "connect_args": ALIVE | only}
        options |= {"json_serializer": strict.write, "json_deserializer": strict.read}
        return create_engine(url, hide_parameters=True, **options)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        if self._closed:
            raise Unavailable("The studio is shutting down.")
        try:
            yield
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError):
            raise  # a mistake of ours, not of the machine
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise Unavailable(_sentence(error)) from error


def _sentence(error: exc.DBAPIError | exc.TimeoutError) -> str:
    said = str(getattr(error, "orig", error))
    if "is full" in said or "No space left" in said:
        return "The disk that holds the database is full. Make room, and it goes on."
    if "locked" in said or "lock timeout" in said:
        return f"Another program has locked the database for {BUSY_SECONDS} s. Try again."
    return SILENT


def _sqlite_writer(connection: Any, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN, Python's driver not
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"journal_size_limit = {WAL_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sqlite_reader(connection: Any, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")


def _postgres_writer(connection: Any) -> None:
    """The lock lives as long as the connection: a new writer waits until the old one is over."""
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    for name in ("idle", "interval", "count"):
        cursor.execute(f"SET tcp_keepalives_{name} = {ALIVE[f'keepalives_{name}']}")
    end = time.monotonic() + LOCK_SECONDS
    while not cursor.execute(f"SELECT pg_try_advisory_lock({OUR_LOCK})").fetchone()[0]:
        if time.monotonic() > end:
            raise InUse(f"The database is in use by {_holder(connection)}.", "Stop it first.")
        time.sleep(0.1)
    connection.commit()


def _holder(connection: Any) -> str:
    """A server that has just taken the lock may not have signed in yet."""
    cursor = connection.cursor()
    there = cursor.execute("SELECT to_regclass('instance')").fetchone()[0]
    row = there and cursor.execute("SELECT pid, host, started_at FROM instance").fetchone()
    if not row:
        return "another server"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row[2]))
    return f"process {row[0]} on {row[1]} since {when} UTC"
