"""What is wrong between the history and its files: each finding has a kind, a name, a sentence.

It only reads. Rows and files come some hundreds at a time. What a running studio
has in its hands is no finding: a file a minute old may have its row in a moment.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    exists,
    func,
    or_,
    select,
)

from studio.errors import sayable
from studio.request import ImageRequest
from studio.store.database import Database
from studio.store.entries import GONE, wordless
from studio.store.files import PART
from studio.store.rows import FINAL
from studio.store.shelf import CLOCK_SECONDS, files_in
from studio.store.tables import entry, input_picture, job, job_event, leaving, picture

PAGE = 500
# By which column a file is looked up, and which names it as it lies there.
STRAYS = {"picture": picture.c.thumb, "thumb": picture.c.thumb, "input": input_picture.c.hash}
TOLD = {"picture": picture.c.path, "thumb": picture.c.thumb, "input": input_picture.c.hash}

# What may be found.
KINDS = {
    "database": "the database cannot be used as it is",
    "no_file": "a picture of the history without its file; put back if it lies elsewhere",
    "wrong_size": "the file of a picture has another size than the history says",
    "changed": "with `--deep`: the file of a picture has other bytes than the history says",
    "no_thumb": "a picture without its small one; drawn again",
    "stray_picture": "a file among the pictures that the history does not know; taken up if it "
    "says how it was painted",
    "stray_thumb": "a small picture that belongs to none; removed",
    "stray_input": "a picture that was handed in and the history does not know; taken up",
    "half_file": "a file that was not written to its end; removed",
    "no_input": "a picture that was handed in without its file",
    "changed_input": "with `--deep`: one that was handed in has other bytes than its name says",
    "needed_input": "a job that waits lacks a picture that it begins from",
    "job": "a job in a state that cannot be",
    "unsearched": "a picture that no search finds; taken up",
    "orphan": "a row of the history that belongs to nothing",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`name` is a path in the data folder, or an id."""

    kind: str
    name: str
    said: str


@dataclass(frozen=True, slots=True)
class Check:
    database: Database
    data: Path
    deep: bool
    running: bool

    def run(self) -> Iterator[Finding]:
        yield from self._pictures()
        yield from self._inputs()
        for kind, column in STRAYS.items():
            yield from self._strays(kind, column)
        with self.database.read() as connection:
            yield from _jobs(connection)
            yield from _orphans(connection)
            yield from _unsearched(connection)
            yield from self._needed(connection)

    def counts(self) -> dict[str, int]:
        tables = {"pictures": picture, "jobs": job, "inputs": input_picture}
        with self.database.read() as connection:
            return {
                name: connection.scalar(select(func.count()).select_from(table)) or 0
                for name, table in tables.items()
            }

    def _pictures(self) -> Iterator[Finding]:
        columns = (picture.c.id, picture.c.path, picture.c.thumb, picture.c.bytes)
        for row in self._rows(select(*columns, picture.c.sha256), picture.c.id):
            found = list(self._picture(row))
            if found and self._still(row.id):  # it may have been deleted meanwhile
                yield from found

    def _picture(self, row: Row[Any]) -> Iterator[Finding]:
        file = self.data / row.path
        if not file.is_file():
            yield Finding("no_file", row.path, f"the picture {row.id} has no file")
        elif (size := file.stat().st_size) != row.bytes:
            said = f"{size} bytes, and the picture {row.id} had {row.bytes}"
            yield Finding("wrong_size", row.path, said)
        elif self.deep and (now := _sha256(file)) != row.sha256:
            said = f"SHA-256 {now[:12]}…, and the picture {row.id} had {row.sha256[:12]}…"
            yield Finding("changed", row.path, said)
        if not (self.data / row.thumb).is_file():
            yield Finding("no_thumb", row.thumb, f"the picture {row.id} has no small one")

    def _inputs(self) -> Iterator[Finding]:
        for row in self._rows(select(input_picture.c.hash), input_picture.c.hash):
            name = f"inputs/{row.hash}"
            file = self.data / name
            if not file.is_file():
                yield Finding("no_input", name, "its file is gone")
            elif self.deep and _sha256(file) != row.hash:
                yield Finding("changed_input", name, "its bytes are others than its name says")

    def _strays(self, kind: str, column: Column[Any]) -> Iterator[Finding]:
        for paths in _some(files_in(self.data, f"{kind}s")):
            names = {path.relative_to(self.data).as_posix(): path for path in paths}
            asked = {_key(kind, name) for name in names}
            with self.database.read() as connection:
                rows = connection.execute(select(column, TOLD[kind]).where(column.in_(asked)))
                known = {row[1] for row in rows}
                going = connection.scalars(select(leaving.c.name).where(leaving.c.name.in_(names)))
                known |= set(going)  # they are deleted, and go with the next start
            for name, path in names.items():
                if self.running and _is_young(path):
                    continue
                called = sayable(name)
                if path.name.startswith(PART):
                    said = "a server was killed while it wrote this"
                    yield Finding("half_file", called, said)
                elif name.removeprefix("inputs/") not in known:
                    yield Finding(f"stray_{kind}", called, "the history does not know it")

    def _needed(self, connection: Connection) -> Iterator[Finding]:
        waiting = select(job.c.id, job.c.request).where(job.c.state.in_(("queued", "running")))
        for row in connection.execute(waiting):
            for field, handed_in in ImageRequest.model_validate(row.request).pictures():
                if not (self.data / "inputs" / handed_in).is_file():
                    said = f"{field}: inputs/{handed_in} is gone; the job will fail and say so"
                    yield Finding("needed_input", row.id, said)

    def _still(self, picture_id: str) -> bool:
        with self.database.read() as connection:
            return bool(connection.scalar(select(picture.c.id).where(picture.c.id == picture_id)))

    def _rows(self, query: Select[Any], key: Any) -> Iterator[Row[Any]]:
        last = ""
        while True:
            with self.database.read() as connection:
                page = connection.execute(query.where(key > last).order_by(key).limit(PAGE)).all()
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1][0]


def _key(kind: str, name: str) -> str:
    """A small picture is named after the large one, and its name has an index."""
    if kind == "input":
        return name.removeprefix("inputs/")
    stem = name.partition("/")[2]
    return f"thumbs/{stem.rpartition('.')[0] or stem}.webp" if kind == "picture" else name


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < CLOCK_SECONDS
    except FileNotFoundError:  # it had another name in the moment
        return True


def _some(paths: Iterable[Path]) -> Iterator[list[Path]]:
    rest = iter(paths)
    while page := list(islice(rest, PAGE)):
        yield page


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def _jobs(connection: Connection) -> Iterator[Finding]:
    """What no change of a job ever makes."""
    ended = job.c.state.in_(FINAL)
    cases: dict[str, ColumnElement[bool]] = {
        "it has ended and does not say when": and_(ended, job.c.finished_at.is_(None)),
        "it has not ended and says when it did": and_(~ended, job.c.finished_at.is_not(None)),
        "it is being painted and no slot has it": and_(
            job.c.state == "running", or_(job.c.slot.is_(None), job.c.started_at.is_(None))
        ),
        "it waits and a slot has it": and_(job.c.state == "queued", job.c.slot.is_not(None)),
        "it failed and does not say why": and_(
            job.c.state == "failed", or_(job.c.error.is_(None), job.c.error_code.is_(None))
        ),
        "it is not done and has pictures": and_(
            job.c.state != "done", exists().where(picture.c.job == job.c.id)
        ),
        "nothing tells how it came into the line": ~exists().where(
            job_event.c.job_seq == job.c.seq
        ),
    }
    for said, wrong in cases.items():
        query = select(job.c.id, job.c.state).where(wrong).order_by(job.c.seq)
        for row in connection.execute(query):
            yield Finding("job", row.id, f"it is {row.state}: {said}")
    last = select(job_event.c.job_seq, func.max(job_event.c.n).label("n"), func.count().label("of"))
    ends = last.group_by(job_event.c.job_seq).subquery()
    told: Select[Any] = (
        select(job.c.id, job.c.state, job_event.c.to_state, ends.c.n, ends.c.of)
        .join(ends, ends.c.job_seq == job.c.seq)
        .join(job_event, and_(job_event.c.job_seq == ends.c.job_seq, job_event.c.n == ends.c.n))
        .where(or_(job_event.c.to_state != job.c.state, ends.c.n != ends.c.of))
        .order_by(job.c.seq)
    )
    for row in connection.execute(told):
        said = f"it is {row.state}, and the last of its {row.of} events says {row.to_state}"
        yield Finding("job", row.id, said)


def _unsearched(connection: Connection) -> Iterator[Finding]:
    lone = select(picture.c.id).where(
        ~exists().where(entry.c.picture == picture.c.id, entry.c.state < GONE)
    )
    for key in connection.scalars(lone.order_by(picture.c.id)):
        yield Finding("unsearched", key, "it has no entry in the search")
    for key in connection.scalars(select(entry.c.picture).where(wordless(connection))):
        yield Finding("unsearched", key, "the search does not know its words")


def _orphans(connection: Connection) -> Iterator[Finding]:
    lost = select(picture.c.id).where(~exists().where(job.c.id == picture.c.job))
    for key in connection.scalars(lost.order_by(picture.c.id)):
        yield Finding("orphan", key, "a picture of a job that is not there")
    entries = select(entry.c.picture).where(
        entry.c.state < GONE, ~exists().where(picture.c.id == entry.c.picture)
    )
    for key in connection.scalars(entries.order_by(entry.c.seq)):
        yield Finding("orphan", key, "an entry in the search of a picture that is not there")
    events = select(job_event.c.job_seq, func.count().label("of")).group_by(job_event.c.job_seq)
    strays = events.where(~exists().where(job.c.seq == job_event.c.job_seq))
    for seq, count in connection.execute(strays.order_by(job_event.c.job_seq)):
        yield Finding("orphan", str(seq), f"{count} events of a job that is not there")
