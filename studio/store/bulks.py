"""Bulk files in the database: all pictures of one enter the line in one transaction, or none.

A picture is known again by its mark, so what is painted or waits is not asked for twice. Knows
neither files nor how they are written.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection, exists, func, insert, or_, select, update

from studio.errors import NotFound
from studio.request import ImageRequest
from studio.store import jobs, keys
from studio.store.database import Database
from studio.store.ids import new_id
from studio.store.rows import Bulk, BulkPicture, Job, Room, State
from studio.store.tables import bulk, bulk_picture, job, picture
from studio.wishes.catalog import Settled

AT_ONCE = 500  # parameters of one query
MEANT = or_(bulk_picture.c.picture.is_(None), bulk_picture.c.picture == picture.c.id)
# Of every file, as long as there are no accounts.
OWNER = str(ImageRequest.model_fields["owner"].default)


class There(NamedTuple):
    """Where a picture of a file is: in a job, and which of its pictures, if not all of them."""

    job: str
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A picture of a file. `mark` is a hash of what is asked for, and of its place among equals;
    `there` is where the history of its owner has it."""

    line: int
    groups: tuple[str, ...]
    mark: str
    settled: Settled
    there: There | None = None


@dataclass(frozen=True, slots=True)
class Bulks:
    database: Database
    clock: Callable[[], float] = time.time

    def begin(
        self,
        asked: Sequence[Ask],
        *,
        name: str,
        form: str,
        key: str | None,
        body_hash: str,
        room: Room,
        again: bool = False,
    ) -> tuple[Bulk, list[Job]]:
        """With the jobs that are new. `again` paints also what is painted or waits already."""
        now, owner = self.clock(), asked[0].settled.request.owner
        with self.database.write() as tx:
            if key and (before := keys.recall(tx, owner, key, body_hash, now)):
                return _find(tx, before[0]), []
            made = Bulk(new_id(), owner, name, form, now)
            there = {} if again else _there(tx, [one.mark for one in asked]) | _kept(tx, asked)
            new = [one.settled for one in asked if one.mark not in there]
            entered = jobs.enter(tx, new, made.id, None, room, now) if new else []
            tx.execute(insert(bulk).values(_row(made)))
            names = iter(entered)
            rows = []
            for n, one in enumerate(asked):
                told = there.get(one.mark)
                rows.append(
                    {
                        "bulk": made.id,
                        "n": n,
                        "line": one.line,
                        "groups": list(one.groups),
                        "mark": one.mark,
                        "job": told.job if told else next(names).id,
                        "skipped": told is not None,
                        "picture": told and told.picture,
                    }
                )
            tx.execute(insert(bulk_picture), rows)
            if key:
                keys.remember(tx, owner, key, body_hash, [made.id], now)
            return made, entered

    def earlier(self, key: str, body_hash: str) -> Bulk | None:
        """What this key stands for already."""
        with self.database.write() as tx:
            found = keys.recall(tx, OWNER, key, body_hash, self.clock())
            return _find(tx, found[0]) if found else None

    def there(self, marks: Sequence[str]) -> dict[str, There]:
        """What waits, is painted, or has its pictures, by its mark."""
        with self.database.read() as connection:
            return _there(connection, marks)

    def find(self, bulk_id: str) -> Bulk:
        with self.database.read() as connection:
            return _find(connection, bulk_id)

    def newest(self, limit: int) -> list[Bulk]:
        with self.database.read() as connection:
            query = select(bulk).order_by(bulk.c.id.desc()).limit(limit)
            return [Bulk(**row._mapping) for row in connection.execute(query)]

    def counts(self, bulk_id: str) -> dict[State, int]:
        """Of pictures by the state of their jobs."""
        its = select(job.c.state, func.count()).join(bulk_picture, bulk_picture.c.job == job.c.id)
        query = its.where(bulk_picture.c.bulk == bulk_id).group_by(job.c.state)
        with self.database.read() as connection:
            return {state: count for state, count in connection.execute(query)}

    def pictures(
        self,
        bulk_id: str,
        *,
        after: int = -1,
        limit: int | None = None,
        states: Sequence[State] = (),
    ) -> list[BulkPicture]:
        """In the order of the file; `after` is the `n` where the last page ended."""
        columns = (bulk_picture.c.n, bulk_picture.c.line, bulk_picture.c.groups)
        its_job = (job.c.id, job.c.state, job.c.error_code, job.c.error, job.c.request)
        first = select(func.min(picture.c.id)).where(picture.c.job == job.c.id, MEANT)
        seed = select(picture.c.seed).where(picture.c.id == bulk_picture.c.picture)
        said = (*columns, bulk_picture.c.skipped, *its_job, first.scalar_subquery())
        query = (
            select(seed.scalar_subquery(), *said)
            .join(job, bulk_picture.c.job == job.c.id)
            .where(bulk_picture.c.bulk == bulk_id, bulk_picture.c.n > after)
            .order_by(bulk_picture.c.n)
            .limit(limit)
        )
        if states:
            query = query.where(job.c.state.in_(states))
        with self.database.read() as connection:
            return [
                _alone(BulkPicture(n, line, tuple(groups), *rest), seed)
                for seed, n, line, groups, *rest in connection.execute(query)
            ]

    def kept(self, bulk_id: str) -> list[str]:
        """The ids of all its pictures that are painted, in the order of the file."""
        query = (
            select(picture.c.id)
            .join(bulk_picture, bulk_picture.c.job == picture.c.job)
            .where(bulk_picture.c.bulk == bulk_id, MEANT)
            .order_by(bulk_picture.c.n, picture.c.index)
        )
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def stop(self, bulk_id: str) -> list[str]:
        """Takes out of the line what waits of it; what is painted is finished."""
        with self.database.write() as tx:
            found = _find(tx, bulk_id)
            its = select(bulk_picture.c.job).where(bulk_picture.c.bulk == found.id)
            return jobs.stop_waiting(tx, its, self.clock())

    def again(self, bulk_id: str, states: Sequence[State], room: Room) -> list[Job]:
        """New jobs in place of those that ended so, with the same seeds."""
        with self.database.write() as tx:
            _find(tx, bulk_id)
            query = (
                select(bulk_picture.c.n, job)
                .join(job, bulk_picture.c.job == job.c.id)
                .where(bulk_picture.c.bulk == bulk_id, job.c.state.in_(states))
                .order_by(bulk_picture.c.n)
            )
            rows = tx.execute(query).all()
            if not rows:
                return []
            entered = jobs.copy([row._mapping for row in rows], tx, bulk_id, room, self.clock())
            for row, made in zip(rows, entered, strict=True):
                its = (bulk_picture.c.bulk == bulk_id, bulk_picture.c.n == row.n)
                fresh = {"job": made.id, "skipped": False, "picture": None}
                tx.execute(update(bulk_picture).where(*its).values(fresh))
            return entered

    def groups(self, job_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The groups that the pictures of these jobs stood in."""
        query = select(bulk_picture.c.job, bulk_picture.c.groups)
        with self.database.read() as connection:
            return {
                name: tuple(groups)
                for some in _portions(job_ids)
                for name, groups in connection.execute(query.where(bulk_picture.c.job.in_(some)))
            }


def _there(tx: Connection, marks: Sequence[str]) -> dict[str, There]:
    kept = exists().where(picture.c.job == job.c.id, MEANT)
    alive = job.c.state.in_(("queued", "running")) | ((job.c.state == "done") & kept)
    columns = (bulk_picture.c.mark, job.c.id, bulk_picture.c.picture)
    query = select(*columns).join(job, bulk_picture.c.job == job.c.id)
    return {
        mark: There(*place)
        for some in _portions(marks)
        for mark, *place in tx.execute(query.where(bulk_picture.c.mark.in_(some), alive))
    }


def _kept(tx: Connection, asked: Sequence[Ask]) -> dict[str, There]:
    """Of what was found in the history before, all that is there still."""
    found = {one.mark: one.there for one in asked if one.there}
    names = sorted({place.job for place in found.values()})
    query = select(picture.c.job, picture.c.id)
    left = {
        place
        for some in _portions(names)
        for name, its in tx.execute(query.where(picture.c.job.in_(some)))
        for place in (There(name), There(name, its))
    }
    return {mark: place for mark, place in found.items() if place in left}


def _alone(one: BulkPicture, seed: int | None) -> BulkPicture:
    """As the one picture that it means, if it means one of several."""
    if seed is None:
        return one
    return replace(one, request=one.request | {"seed": seed, "count": 1})


def _find(tx: Connection, bulk_id: str) -> Bulk:
    row = tx.execute(select(bulk).where(bulk.c.id == bulk_id)).first()
    if row is None:
        raise NotFound(f"There is no bulk import {bulk_id[:64]!r}.")
    return Bulk(**row._mapping)


def _row(made: Bulk) -> dict[str, object]:
    return {name: getattr(made, name) for name in Bulk.__dataclass_fields__}


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[begin : begin + AT_ONCE] for begin in range(0, len(names), AT_ONCE))
