"""A copy of the data folder in another place, also while the studio paints.

First the database as it stands at one moment, then the files its rows name: they were whole before
their rows were, and a name never gets another content. So the copy is a data folder of its own, and
a later copy to the same place brings only what is new.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from studio.errors import CannotStart, Unavailable
from studio.settings import Settings
from studio.store.files import PART, Files
from studio.store.lock import Lock

NAMES = """
SELECT path FROM picture UNION ALL SELECT thumb FROM picture
UNION ALL SELECT 'inputs/' || hash FROM input
"""


@dataclass(slots=True)
class Backup:
    copied: int = 0
    there: int = 0  # from an earlier copy
    missing: list[str] = field(default_factory=list)  # somebody deleted them by hand


def backup(settings: Settings, to: Path) -> Backup:
    source, files, done = settings.data / "darkroom.db", Files(), Backup()
    if settings.database:
        raise CannotStart(
            "backup: it copies SQLite alone. Use the database's own means, such as pg_dump, and "
            f"then copy {settings.data}."
        )
    if not source.is_file():
        raise CannotStart(f"backup: there is no history in {settings.data}.")
    if to.exists() and any(to.iterdir()) and not (to / source.name).is_file():
        raise CannotStart(f"backup: {to} holds something else. Choose an empty folder.")
    if to.resolve() == settings.data.resolve():
        raise CannotStart(f"backup: {to} is the data folder itself.")
    with ExitStack() as opened, _in_words():
        files.make_folder(to)
        opened.callback(Lock(to / "darkroom.lock", f"The copy {to}").release)
        part = to / f"{PART}{source.name}"
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(part)) as copy:
            live.backup(copy)
            names = [name for (name,) in copy.execute(NAMES)]
        for name in _new(names, to, done):
            _copy(settings.data / name, to / name, files, done)
        for log in ("-wal", "-shm"):  # of a studio that once ran in the copy
            files.remove(to / f"{source.name}{log}")
        files.replace(part, to / source.name)
        files.sync_folder(to)
    return done


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"backup: {error}.") from None


def _new(names: list[str], to: Path, done: Backup) -> Iterator[str]:
    for name in names:
        if (to / name).is_file():
            done.there += 1
        else:
            yield name


def _copy(source: Path, target: Path, files: Files, done: Backup) -> None:
    files.make_folder(target.parent)
    part = target.with_name(f"{PART}{target.name}")
    try:
        shutil.copy2(source, part)
    except FileNotFoundError:
        done.missing.append(source.name)
        return
    with part.open("rb") as copied:
        files.sync(copied.fileno())
    files.replace(part, target)
    done.copied += 1
