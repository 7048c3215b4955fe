"""What lies in lost+found, put back where that can be; what cannot is named with the reason.

A picture says how it was painted. It comes back unless the history has it, or one that was painted
again in its place, or its job still waits and can do better. Its row follows by `recover`.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from studio.errors import DarkroomError, Refused
from studio.formats.read import own_recipe
from studio.request import MAX_COUNT, MAX_SEED
from studio.store import pictures
from studio.store.files import Files
from studio.store.half_done import asked_for
from studio.store.rows import Job
from studio.store.shelf import BROUGHT, CLOCK_SECONDS, LOST, Shelf, files_in
from studio.store.store import Store
from studio.store.tables import job, picture

OLDER = re.compile(r"^[0-9a-f]{32}-")  # as names began there before they kept their folders
# What reading a picture raises that was changed, or is none.
UNREADABLE = (DarkroomError, KeyError, TypeError, ValueError, OSError)
Left = list[tuple[str, str]]


class _One(NamedTuple):
    file: Path
    name: str  # where it lay, or may lie now
    mark: str
    recipe: Mapping[str, Any]


def put_back(store: Store, shelf: Shelf, data: Path) -> tuple[int, Left]:
    """How many lie among the pictures again, and which do not and why."""
    left: Left = []
    found: list[_One] = []
    for file in sorted(files_in(data, LOST)):
        try:
            found += _read(file, data)
        except UNREADABLE as error:
            left.append((file.relative_to(data).as_posix(), str(error)))
    waiting = waiting_jobs(store)
    there: dict[str, set[int]] = {}
    for one in found:
        if waits := _its(waiting, one):
            there.setdefault(waits.id, set()).add(int(one.recipe["index"]))
    back, twice = 0, set[tuple[str, str]]()
    for one in found:
        waits = _its(waiting, one)
        place = (waits.id, str(one.recipe["index"])) if waits else ("", one.mark)
        why = _why_not(store, one, waits, there)
        if why or place in twice:
            why = why or "it lies here twice, and the other one came back"
            left.append((one.file.relative_to(data).as_posix(), why))
        else:
            shelf.put_back(one.file, one.name, lambda thumb: _taken(store, thumb))
            twice.add(place)
            back += 1
    return back, left


def waiting_jobs(store: Store) -> list[Job]:
    """Those that will paint, and that nobody wants to stop."""
    found = store.jobs(states=("queued", "running"), limit=None)
    return [one for one in reversed(found) if not one.cancel_requested]


def waits_for(waiting: list[Job], request: Mapping[str, Any] | None, at: float) -> Job | None:
    """The job that paints such a picture; none that was asked for when the picture was there."""
    if not request:
        return None
    asked = asked_for(request)
    fits = (job for job in waiting if at >= job.created_at - CLOCK_SECONDS)
    return next((job for job in fits if asked_for(job.request) == asked), None)


def numbered_recipe(content: bytes) -> dict[str, Any]:
    """One that says which picture of its job it is, and by which seed; a row relies on both."""
    recipe = own_recipe(content)
    for name, most in (("index", MAX_COUNT - 1), ("seed", MAX_SEED)):
        number = recipe.get(name)
        if not isinstance(number, int) or not 0 <= number <= most:
            raise Refused(f"The recipe in this picture is not whole: its {name} was changed.")
    return recipe


def _read(file: Path, data: Path) -> list[_One]:
    """None of a small picture: it is drawn again with its large one, so it goes."""
    name = OLDER.sub("pictures/found/", file.relative_to(data / LOST).as_posix())
    if name.startswith("thumbs/"):
        Files().remove(file)
        return []
    if name.startswith("inputs/"):
        raise Refused("it is not what its name says, and the right one lies in its place.")
    content = file.read_bytes()
    recipe = {} if name.startswith(BROUGHT) else numbered_recipe(content)
    if not name.startswith("pictures/"):
        name = f"pictures/found/{file.name}"
    return [_One(file, name, sha256(content).hexdigest(), recipe)]


def _its(waiting: list[Job], one: _One) -> Job | None:
    return waits_for(waiting, one.recipe.get("request"), one.file.stat().st_mtime)


def _why_not(store: Store, one: _One, waits: Job | None, there: dict[str, set[int]]) -> str:
    with store.database.read() as connection:
        same = select(picture.c.path).where(picture.c.sha256 == one.mark)
        if path := connection.scalar(same.limit(1)):
            return f"the history has it, as {path}; this file may go"
        if waits:
            whole = there[waits.id] >= set(range(int(waits.request.get("count") or 1)))
            return "" if whole else f"its job {waits.id} waits, and paints it again with the others"
        if not one.recipe:
            return ""
        again = select(picture.c.path, job.c.request).join(job, job.c.id == picture.c.job)
        again = again.where(
            picture.c.seed == int(one.recipe["seed"]), picture.c.index == int(one.recipe["index"])
        )
        for path, request in connection.execute(again):
            if asked_for(request) == asked_for(one.recipe["request"]):
                return f"it was painted again since, as {path}; this file may go"
    return ""


def _taken(store: Store, thumb: str) -> bool:
    with store.database.read() as connection:
        return pictures.has_thumb(connection, thumb)
