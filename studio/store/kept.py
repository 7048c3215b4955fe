"""A picture together with what was said of it: its star, its rating, its tags, the trash."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from studio.store.entries import SHOWN, TRASHED
from studio.store.rows import Picture
from studio.store.tables import entry, entry_term, picture, term


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture of the history and what was said of it."""

    picture: Picture
    star: bool
    rating: int
    tags: tuple[str, ...]
    trashed_at: float | None
    variants: int  # pictures of the same words and settings that are shown, itself among them


def kept(connection: Connection, seqs: Sequence[int]) -> list[Kept]:
    """In the order given. Who left since is passed over."""
    marks = (entry.c.star, entry.c.rating, entry.c.trashed_at, entry.c.family)
    query = select(entry.c.seq, *marks, picture)
    query = query.join(picture, picture.c.id == entry.c.picture)
    query = query.where(entry.c.seq.in_(seqs), entry.c.state <= TRASHED)
    found = {row.seq: row for row in connection.execute(query)}
    tags, families = _tags(connection, seqs), {row.family for row in found.values()}
    variants = _variants(connection, families)
    return [
        Kept(
            picture=Picture(*row[5:]),
            star=bool(row.star),
            rating=row.rating,
            tags=tuple(tags.get(seq, ())),
            trashed_at=row.trashed_at,
            variants=variants.get(row.family, 0),
        )
        for seq in seqs
        if (row := found.get(seq))
    ]


def _tags(connection: Connection, seqs: Sequence[int]) -> dict[int, list[str]]:
    query = select(entry_term.c.seq, term.c.text).join(term, term.c.id == entry_term.c.term)
    query = query.where(term.c.kind == "tag", entry_term.c.seq.in_(seqs)).order_by(term.c.text)
    tags: dict[int, list[str]] = {}
    for seq, tag in connection.execute(query):
        tags.setdefault(seq, []).append(tag)
    return tags


def _variants(connection: Connection, families: set[int]) -> dict[int, int]:
    query = select(entry.c.family, func.count()).group_by(entry.c.family)
    # The sum keeps SQLite from reading all that are shown, by the index of the trash.
    query = query.where(entry.c.family.in_(families), entry.c.state + 0 == SHOWN)
    return {family: count for family, count in connection.execute(query)}
