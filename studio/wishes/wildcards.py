"""The wildcards of this studio: those that came along, and the user's own folder before them.

A file is one list, called by its path without the ending, or has names in it, which are called
below its folder. Folders are listed anew each time; a file is read again when it changes. One that
cannot be read is listed with the reason, and refused when it is called.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from studio.errors import Refused, sayable
from studio.formats.lists import READERS
from studio.formats.template import is_name
from studio.formats.wildcards import Wildcard
from studio.settings import Settings

MOST_FILES = 5000  # of one folder
MOST_BYTES = 4 * 2**20  # of one file
MOST_FOLDERS = 8  # inside each other
UNCALLABLE = "its name cannot be called; it may have letters, digits, -, . and single _"


@dataclass(frozen=True, slots=True)
class Found:
    """A wildcard, and the file it is from."""

    wildcard: Wildcard
    file: Path


def find_wildcards(settings: Settings) -> dict[str, Found]:
    """By name. One of the user's own stands before one of the same name that came along."""
    found: dict[str, Found] = {}
    for folder in (settings.presets / "wildcards", settings.wildcard_folder):
        found |= _of_folder(folder)
    return dict(sorted(found.items()))


def wildcards(settings: Settings) -> dict[str, Wildcard]:
    return {name: found.wildcard for name, found in find_wildcards(settings).items()}


def _of_folder(folder: Path) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for number, file in enumerate(_files(folder)):
        if number >= MOST_FILES:
            raise Refused(f"{folder} holds more than {MOST_FILES} wildcards; take some out.")
        try:
            state = file.stat()
        except OSError:  # gone just now
            continue
        above = file.relative_to(folder).parent.as_posix()
        for name, wildcard in _read(file, state.st_mtime_ns, state.st_size):
            whole = name if above == "." else f"{above}/{name}"
            why = wildcard.refused or ("" if is_name(whole) else UNCALLABLE)
            if whole in found and not why:
                why = f"{found[whole].file.name} and {file.name} both hold it; rename one"
            told = replace(wildcard, name=sayable(whole), refused=sayable(why))
            found[whole] = Found(told, file)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        deep = len(Path(path).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if name[0] != "." and deep < MOST_FOLDERS)
        for name in sorted(files):
            file = Path(path) / name
            if name[0] != "." and file.suffix.lower() in READERS and file.is_file():
                yield file


@lru_cache(maxsize=2 * MOST_FILES)  # of both folders; with fewer places all would be read anew
def _read(file: Path, _changed: int, size: int) -> tuple[tuple[str, Wildcard], ...]:
    try:
        if size > MOST_BYTES:
            raise ValueError(f"it has {size} bytes; the most is {MOST_BYTES}")
        lists = READERS[file.suffix.lower()](file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        return ((file.stem, _refused(file, "it is not UTF-8")),)
    except OSError as error:
        return ((file.stem, _refused(file, error.strerror or "it cannot be read")),)
    except ValueError as error:
        return ((file.stem, _refused(file, str(error))),)
    named = {name or file.stem: values for name, values in lists.items()} or {file.stem: ()}
    return tuple((name, Wildcard(name, values)) for name, values in named.items())


def _refused(file: Path, why: str) -> Wildcard:
    return Wildcard(file.stem, (), f"{sayable(file.name)}: {why}")
