"""Looks at many pictures from outside through one process with little memory, one after another.

A picture that bursts it, or never ends, is refused by name, and the next one gets a new process.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from studio.errors import Refused
from studio.formats.glance import GENTLE, LENGTH, READ
from studio.settings import ROOT
from studio.store.gate import NEEDED

SECONDS = 60  # of the clock, for one picture: the machine may be busy painting


@dataclass(frozen=True, slots=True)
class Glance:
    """`reading` is what the picture says of itself, if that was asked for: a `Reading` as JSON."""

    width: int
    height: int
    form: str
    thumb: bytes
    reading: dict[str, Any] | None = None


class Glances:
    """Not for several threads at once."""

    def __init__(
        self, *, read: bool = False, gentle: bool = False, seconds: float = SECONDS
    ) -> None:
        self._words = [*[READ] * read, *[GENTLE] * gentle]
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def look(self, data: bytes) -> Glance:
        """Refused in a sentence without a subject, such as `it was not read within 60 seconds`."""
        told, thumb = self._ask(data)
        if unfit := told.get("unfit"):
            raise Refused(str(unfit))
        return Glance(told["width"], told["height"], told["form"], thumb, told.get("reading"))

    def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with suppress(OSError):  # what it was sent last may still lie there
                    pipe.close()

    def _ask(self, data: bytes) -> tuple[dict[str, Any], bytes]:
        child = self._child = self._child or self._begin()
        assert child.stdin
        assert child.stdout
        over = threading.Event()  # a clock read beside the timer's could tell less than its seconds

        def stop() -> None:
            over.set()
            child.kill()

        late = threading.Timer(self._seconds, stop)
        late.start()
        try:
            child.stdin.write(len(data).to_bytes(LENGTH) + data)
            child.stdin.flush()
            told = json.loads(child.stdout.readline())
            return told, child.stdout.read(told["thumb"])
        except (OSError, ValueError):
            self.close()
            if over.is_set():
                sentence = f"it was not read within {self._seconds:g} seconds; make it smaller."
                raise Refused(sentence) from None
            raise Refused("it could not be read; save it again as a plain PNG or JPEG.") from None
        finally:
            late.cancel()

    def _begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "studio.formats.glance", *self._words]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,  # Ctrl+C is for the command, not for the picture it is at
            env={name: value for name, value in os.environ.items() if name in NEEDED},
        )


@contextmanager
def glances(*, read: bool = False, gentle: bool = False) -> Iterator[Glances]:
    """`gentle` is for what may take long beside a studio that paints."""
    found = Glances(read=read, gentle=gentle)
    try:
        yield found
    finally:
        found.close()
