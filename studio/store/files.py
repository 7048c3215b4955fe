"""Files that are whole or not there: written aside, synced, renamed, and their folder synced.

`Files` is every change made to the data folder, so that a test can make any one of them fail. It
knows nothing of jobs or rows.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from studio.errors import Unavailable
from studio.store.ids import new_id

PART = ".part-"  # begins the name of a file that is not whole yet; the sweep at start removes it


class Files:
    def make_folder(self, folder: Path) -> None:
        """A picture is only as durable as each folder above it."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            self.sync_folder(folder.parent)

    def write(self, path: Path, data: bytes) -> None:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            self.sync(file.fileno())

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        if os.name == "nt":
            return  # Windows cannot open a folder; NTFS journals its names
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


class Save:
    """Files that are kept together or not at all. Leaving the block by an error undoes them."""

    def __init__(self, files: Files, tag: str) -> None:
        self._files = files
        self._tag = f"{PART}{tag}-{new_id()}"
        self._made: list[Path] = []

    def write(self, folder: Path, data: bytes) -> Path:
        self._files.make_folder(folder)
        part = folder / f"{self._tag}-{len(self._made)}"
        self._made.append(part)
        self._files.write(part, data)
        return part

    def rename(self, part: Path, target: Path) -> None:
        self._files.replace(part, target)
        self._made[self._made.index(part)] = target

    def sync_folders(self) -> None:
        for folder in sorted({path.parent for path in self._made}):
            self._files.sync_folder(folder)

    def undo(self) -> None:
        for path in self._made:
            with suppress(OSError):  # the sweep at start finds what a broken disk keeps now
                self._files.remove(path)

    @contextmanager
    def or_undo(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.undo()
            if isinstance(error, OSError):
                raise Unavailable(_sentence(error)) from error
            raise


def _sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk of the data folder is full. Make room, and it goes on."
    return f"The data folder cannot be written: {error.strerror or 'an unknown reason'}."
