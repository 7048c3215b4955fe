"""A picture at which whoever reads it waits until it is opened, and how a test waits at all."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS = 60.0


class Door:
    """Opened, it is an empty file."""

    def __init__(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        self._file, self._held = file, -1

    def reached(self) -> bool:
        """Whether somebody waits at it, who is held from then on."""
        if self._held < 0:
            with suppress(OSError):
                self._held = os.open(self._file, os.O_WRONLY | os.O_NONBLOCK)
        return self._held >= 0

    def open(self) -> None:
        os.close(self._held)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
