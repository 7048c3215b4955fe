"""A copy of the data folder put back: into an empty folder, or over one whose studio is stopped.

Nothing is lost by it. The history that was there is set aside, and so is a file that has another
content under the same name; pictures that the copy does not know stay where they are.
"""

import filecmp
import sqlite3
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from studio.errors import CannotStart
from studio.settings import Settings
from studio.store.backup import LOGS, LORAS, OWN, copy_database, copy_file, in_words, names_in
from studio.store.database import Database, database_url
from studio.store.files import Files
from studio.store.lock import Lock
from studio.store.recover import set_aside
from studio.store.schema import Older, prepare
from studio.store.shelf import Shelf, files_in


@dataclass(slots=True)
class Restored:
    copied: int = 0
    there: int = 0
    aside: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # in the copy itself
    kept: list[str] = field(default_factory=list)  # of your own, and newer than the copy's


def restore(settings: Settings, copy: Path) -> Restored:
    data, source, files, done = settings.data, copy / "darkroom.db", Files(), Restored()
    _check(settings, copy)
    with ExitStack() as opened, in_words("restore"):
        with suppress(OSError):  # a copy on a disk that cannot be written is nobody else's just now
            opened.callback(Lock(copy / "darkroom.lock", f"The copy {copy}").release)
        files.make_folder(data)
        opened.callback(Lock(data / "darkroom.lock", f"restore: the data folder {data}").release)
        part = copy_database(source, data)
        for name in sorted(names_in(part)):
            _bring(copy / name, data / name, data, files, done)
        for path in files_in(copy, *OWN, LORAS):
            _own(path, data, path.relative_to(copy).as_posix(), files, done)
        if (data / source.name).is_file():
            done.aside += _aside(data / source.name, files)
        files.replace(part, data / source.name)
        files.sync_folder(data)
    return done


def _check(settings: Settings, copy: Path) -> None:
    if settings.database:
        raise CannotStart(
            "restore: it puts SQLite back alone. Put the database back by its own means, such as "
            f"pg_restore, and copy the folders of {copy} to {settings.data}."
        )
    if not (copy / "darkroom.db").is_file():
        raise CannotStart(f"restore: there is no history in {copy}.")
    if copy.resolve() == settings.data.resolve():
        raise CannotStart(f"restore: {copy} is the data folder itself.")
    url = database_url(settings.model_copy(update={"data": copy}))
    with closing(Database(url, reading=f"{copy} is a copy.")) as database, suppress(Older):
        prepare(database)  # refuses what is damaged, and what a newer Darkroom wrote


def _bring(source: Path, target: Path, data: Path, files: Files, done: Restored) -> None:
    if not source.is_file():
        if not target.is_file():
            done.missing.append(target.relative_to(data).as_posix())
        return
    if target.is_file():
        if filecmp.cmp(source, target, shallow=False):
            done.there += 1
            return
        shelf = Shelf(data, "{job}", files)
        done.aside.append(shelf.lose(target, target.relative_to(data).as_posix()))
    files.make_folder(target.parent)
    done.copied += copy_file(source, target, files)


def _own(source: Path, data: Path, name: str, files: Files, done: Restored) -> None:
    """What a person wrote since the copy is worth more than the copy."""
    if not (data / name).is_file():
        _bring(source, data / name, data, files, done)
    elif not filecmp.cmp(source, data / name, shallow=False):
        done.kept.append(name)


def _aside(file: Path, files: Files) -> list[Path]:
    """There is a history at each moment: the old one is copied before the new takes its place."""
    to = file.with_name(f"{file.name}.before-restore-{time.time():.0f}")
    try:
        with closing(sqlite3.connect(file)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            old.execute("PRAGMA quick_check(1)")
            with closing(sqlite3.connect(to)) as copy:
                old.backup(copy)
    except sqlite3.DatabaseError:
        to.unlink(missing_ok=True)
        return set_aside(file)
    for log in LOGS:
        files.remove(file.with_name(file.name + log))
    return [to]
