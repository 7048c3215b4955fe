"""Which pictures are meant: ids, a job, a batch or a search, in an order; and their rows.

A selection is a list of ids, taken at one moment; the rows come a hundred at a time, so that any
number of pictures takes little memory.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from studio.errors import NotFound, Refused
from studio.store.database import Database
from studio.store.entries import SHOWN
from studio.store.rows import Picture
from studio.store.store import Store
from studio.store.tables import entry, job, picture

AT_ONCE = 100


def selected(
    store: Store,
    *,
    ids: Sequence[str] | None = None,
    job_id: str = "",
    batch: str = "",
    q: str | None = None,
) -> list[str]:
    """Exactly one of the four says which. An id that is none is refused before anything begins;
    what lies in the trash is meant only where its id is said, or the search says so."""
    if (ids is not None) + bool(job_id) + bool(batch) + (q is not None) != 1:
        raise Refused("Say which pictures: ids, a job, a batch or q, and one of these alone.")
    if ids is not None:
        return _known(store.database, list(dict.fromkeys(ids)))
    if q is not None:
        return store.history.ids(q)
    of = job.c.id == job_id if job_id else job.c.batch == batch
    query = select(picture.c.id).join(job, job.c.id == picture.c.job)
    query = query.join(entry, entry.c.picture == picture.c.id).where(of, entry.c.state == SHOWN)
    with store.database.read() as connection:
        found = list(connection.scalars(query.order_by(job.c.seq, picture.c.index)))
    if not found:
        what = f"job {job_id[:64]!r}" if job_id else f"batch {batch[:64]!r}"
        raise NotFound(f"There are no pictures of a {what}.")
    return found


def rows(database: Database, ids: Sequence[str]) -> Iterator[tuple[str, Picture | None]]:
    """In the order of the ids. None for one that was deleted meanwhile."""
    for some in _hundreds(ids):
        with database.read() as connection:
            query = select(picture).where(picture.c.id.in_(some))
            found = {row.id: Picture(*row) for row in connection.execute(query)}
        yield from ((one, found.get(one)) for one in some)


def _known(database: Database, ids: list[str]) -> list[str]:
    if not ids:
        raise Refused("ids: name at least one picture.", field="ids")
    for some in _hundreds(ids):
        with database.read() as connection:
            known = set(connection.scalars(select(picture.c.id).where(picture.c.id.in_(some))))
        for one in some:
            if one not in known:
                raise NotFound(f"ids: there is no picture {one[:64]!r}.", field="ids")
    return ids


def _hundreds(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
