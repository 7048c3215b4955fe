"""From what a picture was painted, and what was painted from it: start images, masks, references,
enlargings and reruns, as far back and forth as one follows them.

An input that is a copy of a picture of ours leads to that picture; others stay inputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from studio.store.tables import came_from, input_of, picture

MOST = 200  # pictures of one lineage


@dataclass(frozen=True, slots=True)
class Link:
    """`picture` was painted from `source`: a picture of the history, or an input by its hash."""

    picture: str
    source: str
    role: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that hangs together, `links` from each to what it was painted from."""

    pictures: tuple[str, ...]
    links: tuple[Link, ...]
    more: bool  # whether there is more than is told here


def remember(tx: Connection, content_hash: str, picture_id: str) -> None:
    """Of which picture an input is a copy."""
    its = (input_of.c.hash == content_hash, input_of.c.picture == picture_id)
    if tx.scalar(select(input_of.c.hash).where(*its)) is None:
        tx.execute(insert(input_of).values(hash=content_hash, picture=picture_id))


def lineage(connection: Connection, picture_id: str) -> Lineage:
    known, links = {picture_id: None}, dict[Link, None]()
    more = False
    for way in (_sources, _children):  # all it came from, then all that came of it
        edge = [picture_id]
        while edge and not more:
            found = list(way(connection, edge))
            links |= dict.fromkeys(found)
            ends = [link.source if way is _sources else link.picture for link in found]
            edge = [one for one in dict.fromkeys(ends) if one not in known and len(one) == 32]
            more = len(known) + len(edge) > MOST
            known |= dict.fromkeys(edge[: MOST - len(known)])
    return Lineage(tuple(known), tuple(links), more)


def _sources(connection: Connection, ids: Sequence[str]) -> Iterator[Link]:
    query = select(came_from.c.picture, came_from.c.source, came_from.c.role)
    rows = list(
        connection.execute(query.where(came_from.c.picture.in_(ids)).order_by(came_from.c.n))
    )
    origins = _origins(connection, [row.source for row in rows if len(row.source) > 32])
    for row in rows:
        yield Link(row.picture, origins.get(row.source, row.source), row.role)


def _children(connection: Connection, ids: Sequence[str]) -> Iterator[Link]:
    names = {one: one for one in ids}
    copies = select(input_of.c.hash, input_of.c.picture).where(input_of.c.picture.in_(ids))
    names |= {name: one for name, one in connection.execute(copies)}
    files = select(picture.c.sha256, picture.c.id).where(picture.c.id.in_(ids))
    names |= {name: one for name, one in connection.execute(files)}
    query = select(came_from.c.picture, came_from.c.source, came_from.c.role)
    for row in connection.execute(query.where(came_from.c.source.in_(names)).limit(MOST + 1)):
        yield Link(row.picture, names[row.source], row.role)


def _origins(connection: Connection, hashes: Sequence[str]) -> dict[str, str]:
    """Which picture of ours an input is: the file itself, or a plain copy of it."""
    files = select(picture.c.sha256, picture.c.id).where(picture.c.sha256.in_(hashes))
    copies = select(input_of.c.hash, input_of.c.picture).where(input_of.c.hash.in_(hashes))
    found = {name: one for name, one in connection.execute(files.order_by(picture.c.id.desc()))}
    return found | {name: one for name, one in connection.execute(copies)}
