"""What the studio remembers: the only writer of the database and of the data folder.

Opened once, asked from many threads. A change is on disk when its method returns; a picture is
whole on disk before its row is, and its row before anybody hears of it.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, delete, insert, select

from studio import messages
from studio.canvas import HEAD, Input, read_head
from studio.errors import CannotStart, Unavailable
from studio.request import ImageRequest, Priority
from studio.settings import Settings
from studio.store import jobs, keys, lineage, pictures
from studio.store.albums import Albums
from studio.store.bulks import Bulks
from studio.store.database import Database, database_url
from studio.store.files import Files, Save
from studio.store.gate import admit, admit_with
from studio.store.half_done import half_done_in
from studio.store.handed import HandedIn
from studio.store.history import History
from studio.store.ids import new_id, not_before
from studio.store.lock import Lock
from studio.store.reading import only_reading
from studio.store.rows import Event, Job, Picture, Place, Room, State
from studio.store.schema import prepare
from studio.store.shelf import Shelf
from studio.store.tables import instance
from studio.wishes.catalog import Settled


class Store:
    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        clock: Callable[[], float],
        settings: Settings,
        closing: ExitStack,
    ) -> None:
        self.database = database
        self._shelf = shelf
        self._clock = clock
        self._closing = closing
        self.history = History(database, shelf, clock, settings.trash_days)
        self.albums = Albums(database, clock)
        self.handed = HandedIn(database, shelf, clock, settings)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        files: Files | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Refuses a folder another server holds, brings the tables up to date, tidies up.

        A folder that cannot be written is only read.
        """
        data = settings.data
        if why := only_reading(settings):
            return cls.open_to_read(settings, why, clock)
        with ExitStack() as opened:
            try:
                data.mkdir(parents=True, exist_ok=True)
                lock = Lock(data / "darkroom.lock", f"The data folder {data}")
                opened.callback(lock.release)
                shelf = Shelf(data, settings.file_name, files or Files())
                database = Database(database_url(settings))
                opened.callback(database.close)
                prepare(database)
                history = History(database, shelf, clock, settings.trash_days)
                history.finish_leaving()
                with database.read() as connection:
                    known = pictures.all_names(connection)
                    last_start = connection.scalar(select(instance.c.started_at))
                    half_done = half_done_in(connection)
                    if last := pictures.last_id(connection):
                        not_before(last)
                shelf.sweep(known, last_start, half_done)
                with database.write() as tx:
                    _sign_in(tx, clock())
                history.catch_up()
            except OSError as error:
                raise CannotStart(f"The data folder {data}: {error.strerror or error}.") from None
            return cls(database, shelf, clock, settings, opened.pop_all())

    @classmethod
    def open_to_read(
        cls, settings: Settings, why: str, clock: Callable[[], float] = time.time
    ) -> Self:
        """Also beside a server that holds the folder. `why` is what is told to who would write."""
        with ExitStack() as opened:
            database = Database(database_url(settings), reading=why)
            opened.callback(database.close)
            prepare(database)
            shelf = Shelf(settings.data, settings.file_name, Files())
            return cls(database, shelf, clock, settings, opened.pop_all())

    @property
    def reading(self) -> str:
        """Why nothing can be written, if that is so."""
        return self.database.reading

    def close(self) -> None:
        self._closing.close()

    # Jobs

    def submit(
        self,
        settled: Sequence[Settled],
        *,
        key: str | None = None,
        body_hash: str = "",
        batch: str | None = None,
        rerun_of: str | None = None,
        room: Room,
    ) -> list[Job]:
        """All of them or none. The same key with the same body gives the same jobs again."""
        if not settled:
            return []
        now, owner = self._clock(), settled[0].request.owner
        with self.database.write() as tx:
            earlier = keys.recall(tx, owner, key, body_hash, now) if key else []
            if earlier:
                return [jobs.find(tx, name) for name in earlier]
            entered = jobs.enter(tx, settled, batch, rerun_of, room, now)
            if key:
                ids = [job.id for job in entered]
                keys.remember(tx, owner, key, body_hash, ids, now)
            return entered

    def earlier(self, owner: str, key: str, body_hash: str) -> list[Job]:
        """What this key stands for."""
        with self.database.write() as tx:
            found = keys.recall(tx, owner, key, body_hash, self._clock())
            return [jobs.find(tx, name) for name in found]

    def recover(self) -> list[str]:
        """At start nobody paints yet: what was running stands in its old place again."""
        with self.database.write() as tx:
            running = jobs.newest(tx, owner=None, states=["running"], limit=None, before=None)
            note, now = "the server was started again", self._clock()
            back = [jobs.put_back(tx, job.id, job.token, now, note) for job in running]
        return [job.id for job in back if job and job.state == "queued"]

    def waiting(self, limit: int | None = None) -> list[Job]:
        """In the order in which they are to be painted."""
        with self.database.read() as connection:
            return jobs.waiting(connection, limit)

    def turns(self, owner: str, rank: int) -> dict[str, int]:
        """Of all that wait for him in a class."""
        with self.database.read() as connection:
            return jobs.turns(connection, owner, rank)

    def claim(self, job_id: str, slot: str) -> Job | None:
        """None if it waits no longer, or if nothing is to be begun."""
        with self.database.write() as tx:
            return None if self.paused else jobs.start(tx, job_id, slot, self._clock())

    def requeue(self, job_id: str, token: int, *, crashed: bool, note: str) -> bool:
        """To its old place in the line; a job that was asked to stop is cancelled instead."""
        with self.database.write() as tx:
            return bool(jobs.put_back(tx, job_id, token, self._clock(), note, crashed=crashed))

    def keep(self, job_id: str, painted: messages.Painted) -> tuple[Picture, ...] | None:
        """Files first, then the rows and the end of the job at once. None if the token is old."""
        job = self.job(job_id)
        if (job.state, job.token) == ("done", painted.token):
            return tuple(self.pictures(job=job_id))  # said twice, kept once
        if (job.state, job.token) != ("running", painted.token):
            return None
        save, kept = self._shelf.lay(job, painted, self._clock(), self._has_thumb, self.group_of)
        if not self._record(job, painted, kept, save):
            save.undo()
            return None
        return kept

    def fail(
        self, job_id: str, token: int, code: str, sentence: str, *, crashed: bool = False
    ) -> bool:
        change: dict[str, Any] = {"state": "failed", "error_code": code, "error": sentence}
        with self.database.write() as tx:
            change["crashes"] = jobs.find(tx, job_id).crashes + int(crashed)
            return bool(jobs.end(tx, job_id, token, self._clock(), change))

    def cancel(self, job_id: str) -> Job:
        """At once if it waits; if it is painted, the pool is to stop it and say `cancelled`."""
        with self.database.write() as tx:
            return jobs.stop(tx, job_id, self._clock())

    def reprioritise(self, job_id: str, priority: Priority) -> Job:
        with self.database.write() as tx:
            return jobs.reprioritise(tx, job_id, priority, self._clock())

    def move(self, job_id: str, to: Place) -> Job:
        with self.database.write() as tx:
            return jobs.move(tx, job_id, to, self._clock())

    @property
    def paused(self) -> bool:
        """Then nothing is begun, until somebody says so; after a restart too."""
        return self._shelf.paused()

    def pause(self, on: bool) -> None:
        """In a turn of its own among the writers: when it returns, nobody is just beginning."""
        with self.database.write():
            self._shelf.pause(on)

    def cancelled(self, job_id: str, token: int) -> bool:
        with self.database.write() as tx:
            return bool(jobs.end(tx, job_id, token, self._clock(), {"state": "cancelled"}))

    def job(self, job_id: str) -> Job:
        with self.database.read() as connection:
            return jobs.find(connection, job_id)

    def jobs(
        self,
        *,
        owner: str | None = None,
        states: Sequence[State] = (),
        limit: int | None = 50,
        before: int | None = None,
    ) -> list[Job]:
        """Newest first; `before` is the `seq` where the last page ended."""
        with self.database.read() as connection:
            return jobs.newest(connection, owner=owner, states=states, limit=limit, before=before)

    def places(self, job_ids: Sequence[str]) -> dict[str, int]:
        """How many stand before each of these that waits."""
        with self.database.read() as connection:
            return jobs.places(connection, job_ids)

    def passable(self, job_id: str) -> bool:
        """Whether it waits and could be moved forward."""
        with self.database.read() as connection:
            return jobs.passable(connection, job_id)

    def counts(self) -> dict[str, int]:
        with self.database.read() as connection:
            return jobs.counts(connection)

    def batch(self, batch_id: str) -> list[Job]:
        with self.database.read() as connection:
            return jobs.in_batch(connection, batch_id)

    def events(self, job_id: str) -> list[Event]:
        with self.database.read() as connection:
            return jobs.events(connection, job_id)

    # Pictures

    def pictures(
        self,
        *,
        job: str | None = None,
        owner: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Picture]:
        """Those of a job in their order, or newest first; `before` is the id of the last one."""
        with self.database.read() as connection:
            if job is not None:
                return pictures.of_job(connection, job)
            return pictures.newest(connection, owner=owner, limit=limit, before=before)

    def picture(self, picture_id: str) -> Picture:
        with self.database.read() as connection:
            return pictures.find(connection, picture_id)

    def names(self) -> set[str]:
        """Of all files that belong to a picture."""
        with self.database.read() as connection:
            return pictures.all_names(connection)

    def adopt(
        self,
        request: ImageRequest,
        wish: dict[str, Any],
        found: Sequence[Picture],
        at: float,
        note: str,
    ) -> Job:
        """Pictures that lie here already, as those of one job that is done."""
        with self.database.write() as tx:
            job = jobs.adopt(tx, request, wish, found[0].recipe["warnings"], at, note)
            pictures.add(tx, tuple(replace(picture, job=job.id) for picture in found))
        return job

    def group_of(self, job_id: str) -> str:
        return " - ".join(Bulks(self.database).groups([job_id]).get(job_id, ()))

    def saving(self) -> Save:
        return self._shelf.saving()

    def bring(
        self, save: Save, stem: str, ending: str, content: tuple[bytes, bytes]
    ) -> tuple[str, str]:
        """Where the files of a picture from elsewhere lie; its row is to follow."""
        return self._shelf.bring(save, stem, ending, content, self._has_thumb)

    def file(self, picture: Picture) -> Path:
        return self._shelf.find("pictures", picture.path)

    def thumb(self, picture: Picture) -> Path:
        return self._shelf.find("thumbs", picture.thumb)

    # Inputs

    def keep_input(self, data: bytes) -> str:
        """Kept once, under the SHA-256 of its content."""
        return self.handed.keep(data)

    def take(
        self, data: bytes, field: str, *, holes: bool = False, of: str | None = None
    ) -> tuple[Input, tuple[str, ...]]:
        """A picture from outside, read at the gate and kept as plain PNG; with what there is to say
        about it. `holes` asks for a mask that is white where the picture is transparent. `of` is
        the picture of the history that it is."""
        if self.reading:
            raise Unavailable(self.reading)
        clean = admit(data, field, holes=holes)
        kept = self.handed.take(clean.png)
        if of:
            with self.database.write() as tx:
                lineage.remember(tx, kept, of)
        return read_head(kept, clean.png), clean.notes

    def keep_read(self, data: bytes, recipe: Mapping[str, Any]) -> str:
        """A picture from outside and the recipe that was read from it, to compare with."""
        if self.reading:
            raise Unavailable(self.reading)
        return self.handed.take(admit_with(data, recipe))

    def input(self, content_hash: str) -> bytes:
        return self.input_file(content_hash).read_bytes()

    def input_file(self, content_hash: str) -> Path:
        return self.handed.file(content_hash)

    def look(self, content_hash: str) -> Input:
        with self.input_file(content_hash).open("rb") as file:
            return read_head(content_hash, file.read(HEAD))

    def inputs(self, request: Mapping[str, Any]) -> dict[str, bytes]:
        """All pictures that a settled request is painted from."""
        return self.handed.named_by(ImageRequest.model_validate(request))

    # Below

    def _record(
        self, job: Job, painted: messages.Painted, kept: tuple[Picture, ...], save: Save
    ) -> bool:
        change = {
            "state": "done",
            "timings": painted.timings,
            "warnings": list(dict.fromkeys((*job.warnings, *painted.warnings))),
        }
        try:
            with self.database.write() as tx:
                won = jobs.end(tx, job.id, painted.token, self._clock(), change)
                if won:
                    looks = {one.index: one.likeness for one in painted.pictures}
                    pictures.add(tx, kept, looks)
        except Exception:
            # Only the database knows whether a COMMIT that failed took hold after all. If it does
            # not answer, the files stay: better a file without a row than a row without its file.
            with self.database.write() as tx:
                now = jobs.find(tx, job.id)
            if (now.state, now.token) != ("done", painted.token):
                save.undo()
                raise
            return True
        return won is not None

    def _has_thumb(self, thumb: str) -> bool:
        with self.database.read() as connection:
            return pictures.has_thumb(connection, thumb)


def _sign_in(tx: Connection, now: float) -> None:
    tx.execute(delete(instance))
    me = {"id": new_id(), "host": socket.gethostname(), "pid": os.getpid(), "started_at": now}
    tx.execute(insert(instance).values(me))
