"""Rows of kept pictures: adding them with their job, and finding them again."""

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select

from studio.errors import NotFound
from studio.store import entries
from studio.store.rows import Picture
from studio.store.tables import entry, leaving, picture


def add(
    tx: Connection, pictures: tuple[Picture, ...], near: Mapping[int, int | None] | None = None
) -> None:
    """`near` is how they look, by their index in the job."""
    if pictures:
        tx.execute(insert(picture), [asdict(one) for one in pictures])
        entries.add(tx, pictures, near)


def find(tx: Connection, picture_id: str) -> Picture:
    row = tx.execute(select(picture).where(picture.c.id == picture_id)).first()
    if row is None:
        raise NotFound(f"There is no picture {picture_id[:64]!r}.")
    return Picture(*row)


def of_job(tx: Connection, job_id: str) -> list[Picture]:
    query = select(picture).where(picture.c.job == job_id).order_by(picture.c.index)
    return [Picture(*row) for row in tx.execute(query)]


def newest(tx: Connection, *, owner: str | None, limit: int, before: str | None) -> list[Picture]:
    """Without what lies in the trash."""
    query = select(picture).join(entry, entry.c.picture == picture.c.id)
    # The sum keeps SQLite from sorting all that are shown, which it finds by another index.
    query = query.where(entry.c.state + 0 == entries.SHOWN)
    query = query.order_by(picture.c.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(picture.c.owner == owner)
    if before is not None:
        query = query.where(picture.c.id < before)
    return [Picture(*row) for row in tx.execute(query)]


def has_thumb(tx: Connection, thumb: str) -> bool:
    """Or a file of that name is about to go, and would take a new one with it."""
    there = select(picture.c.id).where(picture.c.thumb == thumb)
    goes = select(leaving.c.name).where(leaving.c.name == thumb)
    return tx.scalar(there.union_all(goes)) is not None


def last_id(tx: Connection) -> str | None:
    last: str | None = tx.scalar(select(func.max(picture.c.id)))
    return last


def all_names(tx: Connection) -> set[str]:
    return {name for row in tx.execute(select(picture.c.path, picture.c.thumb)) for name in row}
