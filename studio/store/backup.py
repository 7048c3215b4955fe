"""A copy of the data folder in another place, also while the studio paints.

First the database as it stands at one moment, then the files its rows name: they were whole before
their rows were, and a name never gets another content. So the copy is a data folder of its own, and
a later copy to the same place brings only what is new. What left the history leaves the copy.
"""

import os
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
from studio.store.shelf import files_in

NAMES = """
SELECT path FROM picture UNION ALL SELECT thumb FROM picture
UNION ALL SELECT 'inputs/' || hash FROM input
"""
OWN = ("wildcards", "looks")  # folders that a person fills; LoRAs too, where that is asked for
LORAS = "models/loras"
LOGS = ("-wal", "-shm")


@dataclass(slots=True)
class Backup:
    copied: int = 0
    linked: int = 0  # to an earlier copy, which has the same files
    there: int = 0  # from an earlier copy to the same place
    removed: int = 0  # of pictures that were deleted since
    missing: list[str] = field(default_factory=list)  # somebody deleted them by hand


def backup(
    settings: Settings, to: Path, *, link: Path | None = None, loras: bool = False
) -> Backup:
    """`link` is an earlier copy, whose files are not copied a second time but linked."""
    source, files, done = settings.data / "darkroom.db", Files(), Backup()
    _check(settings, to, link, loras)
    with ExitStack() as opened, in_words("backup"):
        files.make_folder(to)
        opened.callback(Lock(to / "darkroom.lock", f"The copy {to}").release)
        before = names_in(to / source.name)
        part = copy_database(source, to)
        names = names_in(part)
        for name in sorted(names):
            _bring(settings.data / name, to / name, link and link / name, files, done)
        for path in files_in(settings.data, *OWN, *([LORAS] if loras else [])):
            _refresh(path, to / path.relative_to(settings.data), files, done)
        for log in LOGS:  # of a studio that once ran in the copy
            files.remove(to / f"{source.name}{log}")
        files.replace(part, to / source.name)
        files.sync_folder(to)
        for name in before - names:
            files.remove(to / name)
            done.removed += 1
    return done


def _check(settings: Settings, to: Path, link: Path | None, loras: bool) -> None:
    if settings.database:
        raise CannotStart(
            "backup: it copies SQLite alone. Use the database's own means, such as pg_dump, and "
            f"then copy {settings.data}."
        )
    if not (settings.data / "darkroom.db").is_file():
        raise CannotStart(f"backup: there is no history in {settings.data}.")
    if to.exists() and any(to.iterdir()) and not (to / "darkroom.db").is_file():
        raise CannotStart(f"backup: {to} holds something else. Choose an empty folder.")
    if to.resolve() == settings.data.resolve():
        raise CannotStart(f"backup: {to} is the data folder itself.")
    if loras and settings.models:
        raise CannotStart(
            f"backup --loras: they lie in {settings.models}, outside the data folder; copy that "
            "folder yourself."
        )
    if link and not (link / "darkroom.db").is_file():
        raise CannotStart(f"backup: {link} is no earlier copy; it holds no history.")


@contextmanager
def in_words(verb: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"{verb}: {error}.") from None


def copy_database(source: Path, folder: Path) -> Path:
    """As it stands at one moment, into a file of the folder that has no name yet."""
    part = folder / f"{PART}{source.name}"
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(part)) as copy:
        live.backup(copy)
    with part.open("rb") as written:
        Files().sync(written.fileno())
    return part


def names_in(database: Path) -> set[str]:
    if not database.is_file():
        return set()
    with closing(sqlite3.connect(database)) as copy:
        return {name for (name,) in copy.execute(NAMES)}


def _bring(source: Path, target: Path, earlier: Path | None, files: Files, done: Backup) -> None:
    if target.is_file():
        done.there += 1
        return
    files.make_folder(target.parent)
    if earlier and earlier.is_file() and _size(earlier) == _size(source):
        os.link(earlier, target)
        done.linked += 1
    elif copy_file(source, target, files):
        done.copied += 1
    else:
        done.missing.append(source.name)


def _refresh(source: Path, target: Path, files: Files, done: Backup) -> None:
    """What a person may change under its name."""
    if target.is_file():
        was, now = target.stat(), source.stat()
        if (was.st_size, was.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            done.there += 1
            return
    files.make_folder(target.parent)
    done.copied += copy_file(source, target, files)


def copy_file(source: Path, target: Path, files: Files) -> bool:
    """Whole, or not at all because it is gone."""
    part = target.with_name(f"{PART}{target.name}")
    try:
        shutil.copy2(source, part)
    except FileNotFoundError:
        return False
    with part.open("rb") as copied:
        files.sync(copied.fileno())
    files.replace(part, target)
    return True


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1
