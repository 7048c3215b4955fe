"""A picture at which whoever reads it waits until it is opened, and how a test waits at all."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def ctrl_c(door: Door, heard: Callable[[], object] = lambda: True) -> Iterator[None]:
    """Pressed while somebody waits at the door, which opens once it is heard."""

    def press() -> None:
        until(door.reached)
        os.kill(os.getpid(), signal.SIGINT)
        until(heard)
        door.open()

    pressing = threading.Thread(target=press)
    pressing.start()
    yield
    pressing.join()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
