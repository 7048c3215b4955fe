"""The gate for pictures from outside: each is read in a process of its own with little memory.

A decoder that is tricked, bursts or never ends takes that process with it, and nothing else. Who
comes while many are read is sent away, so that those who only look on are not held up.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from studio.errors import Refused, TooMany
from studio.formats.metadata import RECIPE, recipe_text
from studio.formats.picture import HOLES, Clean, Unfit, form_of
from studio.formats.rewrite import with_text
from studio.settings import ROOT

SECONDS = 120  # of the clock: the machine may be busy painting
AT_ONCE = 2  # each may take a gigabyte
WAITING = 2  # who waits here holds a thread of the server, which has few
NEEDED = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "PYTHONPATH")

_doors = threading.BoundedSemaphore(AT_ONCE)
_room = threading.BoundedSemaphore(AT_ONCE + WAITING)


def admit(data: bytes, field: str, *, holes: bool = False) -> Clean:
    """The picture as a plain PNG, or a refusal that names the field it was given for."""
    try:
        form_of(data)  # for what is none, no process is needed
    except Unfit as why:
        raise Refused(f"{field}: {why}", field=field) from None
    if not _room.acquire(blocking=False):
        raise TooMany("Too many pictures are handed in at once; try again in a moment.")
    try:
        told, _, png = _read(data, field, holes).partition(b"\n")
    finally:
        _room.release()
    found = json.loads(told)
    if "unfit" in found:
        raise Refused(f"{field}: {found['unfit']}", field=field)
    return Clean(png, found["width"], found["height"], tuple(found["notes"]))


def admit_with(data: bytes, recipe: Mapping[str, Any]) -> bytes:
    """Its plain pixels beside the recipe that was read from it: to compare with, not to paint from,
    for `canvas.read_head` takes nothing but pixels."""
    png = admit(data, "image").png
    return with_text(png, RECIPE, recipe_text(dict(recipe)))


def _read(data: bytes, field: str, holes: bool) -> bytes:
    command = [sys.executable, "-m", "studio.formats.picture", *([HOLES] if holes else [])]
    environment = {name: value for name, value in os.environ.items() if name in NEEDED}
    with _doors:
        try:
            done = subprocess.run(
                command,
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env=environment,
                timeout=SECONDS,
                check=True,
            )
        except subprocess.TimeoutExpired:
            sentence = f"{field}: it was not read within {SECONDS} seconds; make it smaller."
            raise Refused(sentence, field=field) from None
        except subprocess.CalledProcessError:
            sentence = f"{field}: it could not be read; save it again as a plain PNG or JPEG."
            raise Refused(sentence, field=field) from None
    return done.stdout
