"""What the studio may let go by its settings: said beforehand, and pictures through the trash.

Of the history nothing, unless somebody sets it. What somebody said something of (a star, a rating,
a place in a collection) stays, and so does what was brought from elsewhere. What lay in the trash
for long, was handed in and is named by nothing, or is remembered for a day goes with it.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, select

from studio.formats.spoken import counted
from studio.settings import Settings
from studio.store import handover, keys
from studio.store.entries import SHOWN
from studio.store.files import PART
from studio.store.history import DAY
from studio.store.marks import read_marks
from studio.store.rows import FINAL
from studio.store.shelf import BROUGHT
from studio.store.store import Store
from studio.store.tables import bulk_picture, collected, entry, job, job_event, picture

GB = 1e9
log = logging.getLogger("darkroom.store")
AT_ONCE = 500
LAST = "tidied.json"


@dataclass(frozen=True, slots=True)
class Going:
    """Ids of pictures, the oldest first, with their size; how many jobs; and of how many bytes the
    pictures are that stay."""

    pictures: tuple[str, ...]
    bytes: int
    jobs: int
    left: int


def going(store: Store, settings: Settings, now: float) -> Going:
    with store.database.read() as connection:
        there, found = _bytes(connection), dict(_pictures(connection, settings, now))
        over = select(func.count()).select_from(job).where(_over(settings, now))
        jobs = connection.scalar(over) or 0 if settings.keep_jobs_days else 0
    size = sum(found.values())
    return Going(tuple(found), size, jobs, there - size)


def too_much(settings: Settings, left: int) -> str:
    """What to say where all that may go does not make the rest fit."""
    if not settings.keep_gb or left <= settings.keep_gb * GB:
        return ""
    return (
        f"{left / GB:.2f} GB of pictures stay, and DARKROOM_KEEP_GB is {settings.keep_gb:g}: what "
        "is starred, rated, in a collection or brought from elsewhere does not go."
    )


def tidying(
    store: Store, settings: Settings, done: "Tidied", clock: Callable[[], float] = time.time
) -> Iterator[None]:
    """All that may go, in small steps: each is whole, and between two of them one may stop. What
    went is counted in `done`."""
    for ended in store.history.retiring():
        done.ended += ended
        yield
    while some := _next(store, settings, clock()):
        done.trashed += store.history.mark(some, read_marks({"trash": True}))
        yield
    while settings.keep_jobs_days and (jobs := _forget_jobs(store, settings, clock())):
        done.jobs += jobs
        yield
    for inputs in store.handed.tidying():
        done.inputs += inputs
        yield
    with store.database.write() as tx:
        done.keys += keys.forget(tx, clock())
    handover.clear(settings.data, clock())
    yield
    if said := done.counted:
        log.info("tidied: %s", said)


@dataclass(slots=True)
class Tidied:
    """The last time: when, how many went of what; `said` is why it broke off, if it did."""

    at: float
    seconds: float = 0.0
    trashed: int = 0
    ended: int = 0
    inputs: int = 0
    jobs: int = 0
    keys: int = 0
    said: str = ""

    @property
    def counted(self) -> str:
        """What went, in words."""
        went = (
            (self.trashed, "picture", "to the trash"),
            (self.ended, "picture", "from the trash for good"),
            (self.inputs, "picture", "that nothing names"),
            (self.jobs, "job", "forgotten"),
            (self.keys, "key", "forgotten"),
        )
        return ", ".join(f"{counted(number, one)} {how}" for number, one, how in went if number)

    def keep(self, data: Path) -> None:
        part = data / f"{PART}{LAST}"
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(data / LAST)


def last_tidied(data: Path) -> Tidied | None:
    """None if there was none yet, or nobody can read of it."""
    try:
        return Tidied(**json.loads((data / LAST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _next(store: Store, settings: Settings, now: float) -> list[str]:
    """The first of the pictures."""
    with store.database.read() as connection:
        return [key for key, _ in islice(_pictures(connection, settings, now), AT_ONCE)]


def _bytes(connection: Connection) -> int:
    """Of all pictures that are not in the trash."""
    there = select(func.coalesce(func.sum(picture.c.bytes), 0)).select_from(picture)
    there = there.join(entry, entry.c.picture == picture.c.id).where(entry.c.state == SHOWN)
    return int(connection.scalar(there) or 0)


def _pictures(connection: Connection, settings: Settings, now: float) -> Iterator[tuple[str, int]]:
    """Ids with their bytes: those too old, and then the oldest until the rest fits."""
    if not (settings.keep_days or settings.keep_gb):
        return
    of = select(picture.c.id, picture.c.bytes, picture.c.created_at)
    of = of.join(entry, entry.c.picture == picture.c.id).where(entry.c.state == SHOWN)
    said = exists().where(collected.c.picture == picture.c.id)
    free = of.where(entry.c.star == 0, entry.c.rating == 0, ~said)
    free = free.where(~picture.c.path.startswith(BROUGHT))
    left = _bytes(connection)
    before = now - settings.keep_days * DAY if settings.keep_days else 0.0
    for row in connection.execute(free.order_by(picture.c.created_at, picture.c.id)):
        too_much = settings.keep_gb and left > settings.keep_gb * GB
        if row.created_at >= before and not too_much:
            break
        yield row.id, row.bytes
        left -= row.bytes


def _over(settings: Settings, now: float) -> ColumnElement[bool]:
    """Jobs that ended long ago, and of which nothing is left."""
    return and_(
        job.c.state.in_(FINAL),
        job.c.finished_at < now - settings.keep_jobs_days * DAY,
        ~exists().where(picture.c.job == job.c.id),
        ~exists().where(bulk_picture.c.job == job.c.id),
    )


def _forget_jobs(store: Store, settings: Settings, now: float) -> int:
    with store.database.write() as tx:
        seqs = list(tx.scalars(select(job.c.seq).where(_over(settings, now)).limit(AT_ONCE)))
        tx.execute(delete(job_event).where(job_event.c.job_seq.in_(seqs)))
        tx.execute(delete(job).where(job.c.seq.in_(seqs)))
    return len(seqs)
