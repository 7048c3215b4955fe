"""Hashes of files that stay known over a restart, so that one of 7 GB is read once in its life.

A line for each, in a file of the model folder: which file, its time and its size then, and what was
found. Several processes write there; each only adds lines, and reads what others added. A file that
was changed since has another time or size, and is read again.
"""

import json
import logging
import threading
import time
from pathlib import Path
from typing import Literal

What = Literal["all", "tensors"]
State = tuple[int, int]  # nanoseconds and bytes

NAME = "hashes.jsonl"
SETTLED_NS = 2 * 10**9  # a file younger than that may change once more without another time

log = logging.getLogger("darkroom.models")


class HashBook:
    """Without a folder it remembers for as long as it lives itself."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[State, str]] = {}
        self._read_to = 0
        self._lock = threading.Lock()

    def find(self, file: Path, what: What) -> str | None:
        """What is known of the file as it is now."""
        with self._lock:
            self._read_on()
            state, found = self._known.get((self._called(file), what), ((0, 0), ""))
        return found if found and state == state_of(file) else None

    def note(self, file: Path, what: What, state: State, found: str) -> None:
        """`state` is that from before it was read; if it is another now, nothing is known."""
        if state != state_of(file):
            return
        called = self._called(file)
        with self._lock:
            self._known[called, what] = (state, found)
        if self._folder is None or time.time_ns() - state[0] < SETTLED_NS:
            return
        line = json.dumps({"file": called, "what": what, "state": state, "hash": found})
        try:
            with (self._folder / NAME).open("ab") as book:
                book.write(line.encode() + b"\n")
        except FileNotFoundError:
            pass  # nobody keeps models in a folder yet
        except OSError as error:
            log.info("hashes are not kept in %s: %s", self._folder, error.strerror)

    def _called(self, file: Path) -> str:
        """In the model folder by its name there, for that folder may be moved."""
        whole, folder = file.resolve(), self._folder and self._folder.resolve()
        inside = folder is not None and whole.is_relative_to(folder)
        return (whole.relative_to(folder) if folder and inside else whole).as_posix()

    def _read_on(self) -> None:
        """What came since the last time; a line that is not whole yet is read the next time."""
        if self._folder is None:
            return
        try:
            with (self._folder / NAME).open("rb") as book:
                book.seek(self._read_to)
                lines = book.read()
        except OSError:
            return
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                told = json.loads(line)
                time_ns, size = told["state"]
                its = str(told["file"]), str(told["what"])
                self._known[its] = ((int(time_ns), int(size)), str(told["hash"]))
            except (ValueError, KeyError, TypeError):
                continue


def state_of(file: Path) -> State:
    about = file.stat()
    return about.st_mtime_ns, about.st_size
