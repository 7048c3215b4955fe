"""Finds the history again in the pictures themselves, for when the database is damaged or gone.

A damaged file is set aside, never deleted. What waited in it is lost; what was painted is not: each
picture says who asked for what. Which pictures were one job is told by their request and order.
"""

import io
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from studio.errors import NotFound
from studio.formats.glance import draw_thumb
from studio.request import ImageRequest, canonical, read_request
from studio.settings import Settings
from studio.store.files import PART
from studio.store.ids import new_id
from studio.store.importing import take_up
from studio.store.jobs import found_again
from studio.store.lost import UNREADABLE, numbered_recipe, waiting_jobs, waits_for
from studio.store.pictures import add
from studio.store.rows import Job, Picture
from studio.store.schema import Damaged
from studio.store.shelf import BROUGHT
from studio.store.store import Store

NOTE = "found again in its pictures"

log = logging.getLogger("darkroom.store")


@dataclass(frozen=True, slots=True)
class Found:
    path: Path
    recipe: dict[str, Any]
    request: ImageRequest
    data: bytes
    at: float


@dataclass(slots=True)
class Recovery:
    aside: list[Path] = field(default_factory=list)
    jobs: int = 0
    pictures: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)  # which pictures were not, and why


def recover(settings: Settings) -> Recovery:
    recovery = Recovery()
    try:
        store = Store.open(settings)
    except Damaged as damaged:
        recovery.aside = set_aside(damaged.file)
        store = Store.open(settings)
    try:
        find_again(store, settings.data, recovery)
    finally:
        store.close()
    return recovery


def find_again(store: Store, data: Path, recovery: Recovery) -> None:
    known, waiting = store.names(), waiting_jobs(store)
    for group in _jobs(_unknown(data, known, recovery)):
        pictures = tuple(_rows(data, group, recovery))
        if not pictures:
            continue
        if waits := _waits(waiting, group):
            finish(store, waits, pictures)
            waiting.remove(waits)
        else:
            store.adopt(group[0].request, _wish(group[0]), pictures, group[0].at, NOTE)
        for _, handed_in in group[0].request.pictures():
            with suppress(NotFound):
                store.keep_input(store.input(handed_in))
        recovery.jobs += 1
        recovery.pictures += len(pictures)
    brought = [name for name, _ in _strays(data, known) if name.startswith(BROUGHT)]
    for outcome in take_up(store, data, brought):
        if outcome.why or outcome.known:
            path = outcome.known and store.picture(outcome.picture).path
            recovery.left.append((outcome.name, outcome.why or f"the history has it, as {path}"))
        else:
            recovery.jobs, recovery.pictures = recovery.jobs + 1, recovery.pictures + 1


def finish(store: Store, waits: Job, found: tuple[Picture, ...]) -> None:
    """What waited is here already, so it need not be painted once more."""
    with store.database.write() as tx:
        done = found_again(tx, waits, found[0].created_at, NOTE)
        add(tx, tuple(replace(picture, job=done.id) for picture in found))


def set_aside(file: Path) -> list[Path]:
    stamp = f"damaged-{time.time():.0f}"
    parts = [file.with_name(file.name + ending) for ending in ("", "-wal", "-shm")]
    return [part.rename(part.with_name(f"{part.name}.{stamp}")) for part in parts if part.exists()]


def _waits(waiting: list[Job], group: list[Found]) -> Job | None:
    """The job that all pictures of the group would be painted for again."""
    waits = waits_for(waiting, group[0].recipe["request"], group[0].at)
    whole = waits and set(range(int(waits.request["count"])))
    return waits if whole == {int(one.recipe["index"]) for one in group} else None


def _strays(data: Path, known: set[str]) -> list[tuple[str, Path]]:
    """Files among the pictures without a row, the oldest first."""
    files = [path for path in (data / "pictures").rglob("*") if path.is_file()]
    files.sort(key=lambda path: (path.stat().st_mtime, path.name))
    named = [(path.relative_to(data).as_posix(), path) for path in files]
    return [(name, path) for name, path in named if name not in known]


def _unknown(data: Path, known: set[str], recovery: Recovery) -> Iterator[Found]:
    """Those that were painted here."""
    for name, path in _strays(data, known):
        if name.startswith(BROUGHT):
            continue
        try:
            content = path.read_bytes()
            recipe = numbered_recipe(content)
            request = read_request(recipe["request"])
            list(recipe["warnings"])
            yield Found(path, recipe, request, content, path.stat().st_mtime)
        except UNREADABLE as error:
            recovery.left.append((name, str(error)))


def _jobs(found: Iterator[Found]) -> Iterator[list[Found]]:
    """A job is over when another request comes, or a picture it has already."""
    group: list[Found] = []
    for one in found:
        same = bool(group) and canonical(group[0].request) == canonical(one.request)
        if not same or one.recipe["index"] in [other.recipe["index"] for other in group]:
            if group:
                yield group
            group = []
        group.append(one)
    if group:
        yield group


def _wish(found: Found) -> dict[str, Any]:
    return {**found.recipe["request"], **found.recipe.get("wish", {})}


def _rows(data: Path, group: list[Found], recovery: Recovery) -> Iterator[Picture]:
    for one in group:
        try:
            yield _row(data, one)
        except Exception as error:  # noqa: BLE001 - decoders raise anything over a damaged file
            recovery.left.append((one.path.relative_to(data).as_posix(), str(error)))


def _row(data: Path, found: Found) -> Picture:
    path = found.path.relative_to(data).as_posix()
    thumb = Path("thumbs", *Path(path).parts[1:]).with_suffix(".webp")
    with Image.open(io.BytesIO(found.data)) as image:
        if not (data / thumb).is_file():
            _draw_thumb(image, data / thumb)
        width, height = image.size
        kind = str(image.format).lower()
    index = int(found.recipe["index"])
    return Picture(
        id=new_id(found.at + index / 1000),  # ids sort by time, and those of one job by number
        job="",
        index=index,
        path=path,
        thumb=thumb.as_posix(),
        sha256=sha256(found.data).hexdigest(),
        bytes=len(found.data),
        width=width,
        height=height,
        seed=int(found.recipe["seed"]),
        format=kind,
        recipe={k: v for k, v in found.recipe.items() if k not in ("seed", "index")},
        created_at=found.at,
        owner=found.request.owner,
        model=found.request.model or "",
        prompt=found.request.prompt,
    )


def _draw_thumb(image: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(PART + target.name)  # which the next start removes
    part.write_bytes(draw_thumb(image))
    part.rename(target)
