"""A picture together with what was said of it: its star, its rating, its tags, the trash."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from studio.store.entries import TRASHED
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


def kept(connection: Connection, seqs: Sequence[int]) -> list[Kept]:
    """In the order given. Who left since is passed over."""
    query = select(entry.c.seq, entry.c.star, entry.c.rating, entry.c.trashed_at, picture)
    query = query.join(picture, picture.c.id == entry.c.picture).where(entry.c.seq.in_(seqs))
    rows = {row[0]: row for row in connection.execute(query.where(entry.c.state <= TRASHED))}
    tags: dict[int, list[str]] = {seq: [] for seq in seqs}
    its = select(entry_term.c.seq, term.c.text).join(term, term.c.id == entry_term.c.term)
    its = its.where(term.c.kind == "tag", entry_term.c.seq.in_(seqs)).order_by(term.c.text)
    for seq, tag in connection.execute(its):
        tags[seq].append(tag)
    return [
        Kept(Picture(*row[4:]), bool(row[1]), row[2], tuple(tags[seq]), row[3])
        for seq in seqs
        if (row := rows.get(seq))
    ]
