"""What the history may let go by its settings: said beforehand, and pictures through the trash.

Off unless somebody sets it. What somebody said something of (a star, a rating, a place in a
collection) stays, and so does what was brought from elsewhere.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, select

from studio.settings import Settings
from studio.store.entries import SHOWN
from studio.store.history import DAY, MOST_MARKED
from studio.store.marks import read_marks
from studio.store.rows import FINAL
from studio.store.store import Store
from studio.store.tables import bulk_picture, collected, entry, job, job_event, picture

GB = 1e9
log = logging.getLogger("darkroom.store")
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Going:
    """Ids of pictures, the oldest first, with their size; and how many jobs."""

    pictures: tuple[str, ...]
    bytes: int
    jobs: int


def going(store: Store, settings: Settings, now: float) -> Going:
    with store.database.read() as connection:
        found = _pictures(connection, settings, now)
        over = select(func.count()).select_from(job).where(_over(settings, now))
        jobs = connection.scalar(over) or 0 if settings.keep_jobs_days else 0
    return Going(tuple(found), sum(found.values()), jobs)


def let_go(store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> Going:
    gone = going(store, settings, clock())
    for first in range(0, len(gone.pictures), MOST_MARKED):
        some = gone.pictures[first : first + MOST_MARKED]
        store.history.mark(some, read_marks({"trash": True}))
    while settings.keep_jobs_days and _forget_jobs(store, settings, clock()):
        pass
    if gone.pictures or gone.jobs:
        log.info("%d pictures went to the trash, %d jobs ended", len(gone.pictures), gone.jobs)
    return gone


def _pictures(connection: Connection, settings: Settings, now: float) -> dict[str, int]:
    """Those too old, and then the oldest until the rest fits."""
    if not (settings.keep_days or settings.keep_gb):
        return {}
    of = select(picture.c.id, picture.c.bytes, picture.c.created_at)
    of = of.join(entry, entry.c.picture == picture.c.id).where(entry.c.state == SHOWN)
    said = exists().where(collected.c.picture == picture.c.id)
    free = of.where(entry.c.star == 0, entry.c.rating == 0, ~said)
    free = free.where(~picture.c.path.startswith("pictures/imported/"))
    there = select(func.coalesce(func.sum(picture.c.bytes), 0)).select_from(picture)
    there = there.join(entry, entry.c.picture == picture.c.id).where(entry.c.state == SHOWN)
    left, found = connection.scalar(there) or 0, dict[str, int]()
    before = now - settings.keep_days * DAY if settings.keep_days else 0.0
    for row in connection.execute(free.order_by(picture.c.created_at, picture.c.id)):
        too_much = settings.keep_gb and left > settings.keep_gb * GB
        if row.created_at >= before and not too_much:
            break
        found[row.id] = row.bytes
        left -= row.bytes
    return found


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
