"""Pictures that were handed in: kept once by their content, for a while, and not without an end.

One that a job, a picture, its recipe or a set of references names is kept as long as that is.
"""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    not_,
    select,
    update,
)

from studio.errors import NotFound, Unavailable
from studio.request import HASH, ImageRequest
from studio.settings import Settings
from studio.store.database import Database
from studio.store.shelf import Shelf
from studio.store.tables import came_from, input_picture, job, picture, reference_set

DAY = 86_400.0
GB = 10**9
AT_ONCE = 500  # rows
LOOKED_SECONDS = 3600.0  # as long a wish may take from the look at its picture to the line
NAMES = re.compile(r"\b[0-9a-f]{64}\b")
# Of a request that names none; whatever is written in another way is read through.
BARE = ('"start_image": null', '"mask": null', '"references": []')

log = logging.getLogger("darkroom.store")


class HandedIn:
    def __init__(
        self, database: Database, shelf: Shelf, clock: Callable[[], float], settings: Settings
    ) -> None:
        self._database, self._shelf, self._clock = database, shelf, clock
        self._days, self._gb = settings.input_days, settings.input_gb
        self._tidied: float | None = None
        self._keeping = Lock()  # what is handed in again while it goes
        self._looking = Lock()
        self._looked: dict[str, float] = {}  # the newest is last

    def keep(self, data: bytes) -> str:
        """Under the SHA-256 of its content; handed in again, it stays as long as a new one."""
        with self._keeping:
            name, now = self._shelf.lay_input(data), self._clock()
            self._note(name, len(data), now)
        return name

    def take(self, data: bytes) -> str:
        """One more from outside, if there is room. What nobody names goes first, once a day."""
        if self._tidied is None or self._clock() - self._tidied >= DAY:
            self.tidy()
        with self._database.read() as connection:
            there = connection.scalar(select(func.coalesce(func.sum(input_picture.c.bytes), 0)))
        if int(there or 0) + len(data) > self._gb * GB:
            raise Unavailable(
                f"image: pictures of {int(there or 0) / GB:.2f} GB were handed in already, and the "
                f"most is {self._gb:g}. Raise DARKROOM_INPUT_GB, or lower DARKROOM_INPUT_DAYS."
            )
        return self.keep(data)

    def file(self, content_hash: str) -> Path:
        if not re.fullmatch(HASH, content_hash):
            raise NotFound("A picture that was handed in is named by 64 hexadecimal digits.")
        self._look_at(content_hash)  # first, or it might go while it is found
        try:
            return self._shelf.find("inputs", f"inputs/{content_hash}")
        except NotFound:
            with self._looking:
                self._looked.pop(content_hash, None)
            raise

    def named_by(self, request: ImageRequest) -> dict[str, bytes]:
        found = {}
        for field, content_hash in request.pictures():
            try:
                found[content_hash] = self.file(content_hash).read_bytes()
            except NotFound:
                sentence = f"{field}: the picture is no longer in the data folder."
                raise NotFound(sentence, field=field) from None
        return found

    def tidy(self) -> int:
        """Old ones that nothing names go, files and rows. How many."""
        return sum(self.tidying())

    def tidying(self) -> Iterator[int]:
        """The same in steps; how many each."""
        self._tidied = now = self._clock()
        old = input_picture.c.created_at < now - self._days * DAY
        if not self._days:
            return
        with self._database.read() as connection:
            if not connection.scalar(select(func.count()).where(old)):
                return
            last = connection.scalar(select(func.max(job.c.seq))) or 0
            named = _named(connection, 0)  # which may take a while, so nothing is locked yet
            found = sorted(set(connection.scalars(select(input_picture.c.hash).where(old))) - named)
        for at in range(0, len(found), AT_ONCE):
            with self._keeping, self._database.write() as tx:
                some = found[at : at + AT_ONCE]
                its = input_picture.c.hash.in_(some)
                still = set(tx.scalars(select(input_picture.c.hash).where(old, its)))
                going = sorted(still - _named(tx, last) - self._looked_at())
                # Files first: a row without its file is found here again, and a file without its
                # row by nobody.
                self._shelf.drop([f"inputs/{name}" for name in going])
                tx.execute(delete(input_picture).where(input_picture.c.hash.in_(going)))
            if going:
                log.info("%d that were handed in are named by nothing, and went", len(going))
                yield len(going)

    def _looked_at(self) -> set[str]:
        with self._looking:
            self._forget_looks()
            return set(self._looked)

    def _look_at(self, name: str) -> None:
        with self._looking:
            self._looked.pop(name, None)
            self._looked[name] = self._clock()
            self._forget_looks()

    def _forget_looks(self) -> None:
        since = self._clock() - LOOKED_SECONDS
        while self._looked and self._looked[oldest := next(iter(self._looked))] < since:
            del self._looked[oldest]

    def _note(self, name: str, size: int, now: float) -> None:
        its = input_picture.c.hash == name
        with self._database.write() as tx:
            if tx.execute(update(input_picture).where(its).values(created_at=now)).rowcount == 0:
                row = {"hash": name, "bytes": size, "created_at": now}
                tx.execute(insert(input_picture).values(row))


def _named(connection: Connection, after: int) -> set[str]:
    """By anything that may want them again; of jobs, and what came of them, those after a `seq`."""
    found = set(connection.scalars(select(came_from.c.source).distinct()))
    found |= set(connection.scalars(select(job.c.rerun_of).where(job.c.seq > after).distinct()))
    for members in connection.scalars(select(cast(reference_set.c.members, Text))):
        found.update(NAMES.findall(members))
    for column in (job.c.request, job.c.wish):
        found |= _read(connection, job.c.seq, column, after)
    return found if after else found | _read(connection, picture.c.id, picture.c.recipe, "")


def _read(connection: Connection, key: Column[Any], column: Column[Any], last: Any) -> set[str]:
    """Some hundred rows at a time, so that few are in memory."""
    found, text = set[str](), cast(column, Text)
    bare = and_(*(text.like(f"%{none}%") for none in BARE))
    query = select(key, text).where(not_(bare)).order_by(key).limit(AT_ONCE)
    while rows := connection.execute(query.where(key > last)).all():
        last = rows[-1][0]
        found.update(name for row in rows for name in NAMES.findall(row[1]))
    return found
