"""Brings the database to the form this version knows, or says in a sentence why it will not.

A damaged file is never touched, a newer one never guessed at, and SQLite is copied before a change.
"""

import logging
import sqlite3
import time
from contextlib import closing
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from studio.errors import CannotStart
from studio.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


class Damaged(CannotStart):
    def __init__(self, file: Path, found: str) -> None:
        super().__init__(
            f"{file} is damaged ({found}). It was left as it is. Put a backup copy in its place, "
            "or run 'python app.py recover': it sets the file aside and finds the history again "
            "in the pictures, which stay where they are."
        )
        self.file = file


class Older(CannotStart):
    """It must be brought up to date, and may not be written."""


def prepare(database: Database, migrations: Path = MIGRATIONS) -> None:
    file = Path(database.writer.url.database or "") if database.sqlite else None
    try:
        with database.writer.begin() as tx:
            verdict = str(tx.exec_driver_sql("PRAGMA quick_check(1)").scalar()) if file else "ok"
    except DBAPIError as error:
        verdict = str(error.orig)
        if not file or not any(word in verdict for word in ("malformed", "not a database")):
            where = file or "The PostgreSQL database"
            # psycopg names host and port before "failed:", which are nobody's business here.
            reason = verdict.splitlines()[0].rpartition("failed: ")[2]
            raise CannotStart(f"{where} cannot be opened: {reason}.") from None
    if file and verdict != "ok":
        found = verdict.splitlines()[-1]
        raise Damaged(file, found)
    _migrate(database, file, migrations)


def _migrate(database: Database, file: Path | None, migrations: Path) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its INFO is of no use to anybody here
    with database.read() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    head, known = _revisions(migrations)
    if now == head:
        return
    if now and now not in known:
        raise CannotStart(
            f"The database was written by a newer Darkroom (its form is {now}, this version knows "
            f"up to {head}). Update Darkroom, or choose another data folder."
        )
    if database.reading:
        raise Older(
            f"{database.reading} But the database must be brought up to date first: its form is "
            f"{now}, this version needs {head}. A studio that may write does that when it starts."
        )
    if now and file:
        _copy(file, file.with_name(f"{file.name}.before-{head}-{time.time():.0f}"))
    with database.write() as tx:
        command.upgrade(_config(tx, migrations), "head")


@cache
def _revisions(migrations: Path) -> tuple[str, frozenset[str]]:
    """The last, and all."""
    script = ScriptDirectory(migrations)
    known = (revision.revision for revision in script.walk_revisions())
    return script.get_current_head() or "", frozenset(known)


def _copy(file: Path, copy: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        copy.unlink(missing_ok=True)
        raise CannotStart(
            f"{file} must be copied before it is brought up to date, but: {error}."
        ) from None


def _config(connection: Connection, migrations: Path) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config
