"""Collections of pictures in an order, searches worth keeping, and sets of references for wishes.

A picture may be in many collections; one in the trash is passed over until it comes back. A set of
references holds plain copies, so it can be painted from when their pictures are gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from studio.errors import Refused
from studio.formats.query import parse
from studio.request import MAX_REFERENCES, InputPicture
from studio.store import marks, named
from studio.store.database import Database
from studio.store.entries import SHOWN
from studio.store.history import MOST_MARKED, Page
from studio.store.kept import kept
from studio.store.pages import sort_of
from studio.store.tables import collected, collection, entry, reference_set, saved_search

NOBODY = "local"  # whose things are while there are no accounts


@dataclass(frozen=True, slots=True)
class Collection:
    """`cover` is its first picture."""

    id: str
    name: str
    owner: str
    count: int
    cover: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class SavedSearch:
    id: str
    name: str
    owner: str
    q: str
    sort: str
    created_at: float


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """`references` are what a wish takes under that name."""

    id: str
    name: str
    owner: str
    references: tuple[InputPicture, ...]
    created_at: float


class Albums:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    # Collections

    def collections(self, owner: str | None = None) -> list[Collection]:
        with self._database.read() as connection:
            rows = named.all_of(connection, collection, owner)
            return [_collection(connection, row) for row in rows]

    def collection(self, key: str, owner: str | None = None) -> Collection:
        with self._database.read() as connection:
            return _collection(connection, named.find(connection, collection, key, owner))

    def collect(self, name: str, ids: Sequence[str] = (), owner: str | None = None) -> Collection:
        """A new one, with these in their order."""
        with self._database.write() as tx:
            key = named.make(tx, collection, owner or NOBODY, name, self._clock())
            _put(tx, key, ids, owner)
            return _collection(tx, named.find(tx, collection, key, owner))

    def change(
        self,
        key: str,
        *,
        name: str | None = None,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        order: Sequence[str] | None = None,
        move: Sequence[str] = (),
        before: str | None = None,
        after: str | None = None,
        owner: str | None = None,
    ) -> Collection:
        """`add` puts them at the end; `order` says it anew: those come first, the others behind;
        `move` takes these out and puts them before or behind another, or at the end."""
        with self._database.write() as tx:
            if name is not None:
                named.change(tx, collection, key, owner, name=name)
            its = named.find(tx, collection, key, owner)
            for some in marks.parts(remove):
                one = (collected.c.collection == key, collected.c.picture.in_(some))
                tx.execute(delete(collected).where(*one))
            _put(tx, key, add, owner)
            if order is not None:
                _arrange(tx, key, lambda there: [*_inside(order, there, "order"), *there])
            if before is not None and after is not None:
                raise Refused("after: say before or after, not both.", field="after")
            if not move and (before is not None or after is not None):
                raise Refused("move: say which pictures go there.", field="move")
            if move:
                _arrange(tx, key, lambda there: _moved(there, move, before, after))
            return _collection(tx, its if name is None else named.find(tx, collection, key, owner))

    def drop(self, key: str, owner: str | None = None) -> None:
        """The collection; its pictures stay in the history."""
        with self._database.write() as tx:
            named.find(tx, collection, key, owner)
            tx.execute(delete(collected).where(collected.c.collection == key))
            named.remove(tx, collection, key, owner)

    def pictures(
        self, key: str, *, after: int = -1, limit: int = 50, owner: str | None = None
    ) -> Page:
        """In its order, behind that place; `next` is the place that the next page begins behind."""
        with self._database.read() as connection:
            its = _collection(connection, named.find(connection, collection, key, owner))
            query = _shown(key).where(collected.c.place > after).limit(limit + 1)
            rows = list(connection.execute(query))
            following = str(rows[limit - 1].place) if len(rows) > limit else None
            shown = tuple(kept(connection, [row.seq for row in rows[:limit]]))
        return Page(shown, following, its.count)

    # Searches

    def searches(self, owner: str | None = None) -> list[SavedSearch]:
        with self._database.read() as connection:
            return [_search(row) for row in named.all_of(connection, saved_search, owner)]

    def search(self, key: str, owner: str | None = None) -> SavedSearch:
        with self._database.read() as connection:
            return _search(named.find(connection, saved_search, key, owner))

    def save_search(
        self, name: str, q: str, sort: str = "newest", owner: str | None = None
    ) -> SavedSearch:
        """One that is not understood is not kept."""
        parse(q, self._clock())
        with self._database.write() as tx:
            more = {"q": q, "sort": sort_of(sort)}
            key = named.make(tx, saved_search, owner or NOBODY, name, self._clock(), **more)
            return _search(named.find(tx, saved_search, key, owner))

    def change_search(
        self, key: str, what: Mapping[str, str], owner: str | None = None
    ) -> SavedSearch:
        if "q" in what:
            parse(what["q"], self._clock())
        if "sort" in what:
            sort_of(what["sort"])
        with self._database.write() as tx:
            named.change(tx, saved_search, key, owner, **what)
            return _search(named.find(tx, saved_search, key, owner))

    def drop_search(self, key: str, owner: str | None = None) -> None:
        with self._database.write() as tx:
            named.remove(tx, saved_search, key, owner)

    # References

    def reference_sets(self, owner: str | None = None) -> list[ReferenceSet]:
        with self._database.read() as connection:
            return [_set(row) for row in named.all_of(connection, reference_set, owner)]

    def reference_set(self, key: str, owner: str | None = None) -> ReferenceSet:
        with self._database.read() as connection:
            return _set(named.find(connection, reference_set, key, owner))

    def keep_set(
        self, name: str, references: Sequence[InputPicture], owner: str | None = None
    ) -> ReferenceSet:
        members = _members(references)
        with self._database.write() as tx:
            more = {"members": members}
            key = named.make(tx, reference_set, owner or NOBODY, name, self._clock(), **more)
            return _set(named.find(tx, reference_set, key, owner))

    def change_set(
        self,
        key: str,
        *,
        name: str | None = None,
        references: Sequence[InputPicture] | None = None,
        owner: str | None = None,
    ) -> ReferenceSet:
        what: dict[str, object] = {} if name is None else {"name": name}
        if references is not None:
            what["members"] = _members(references)
        with self._database.write() as tx:
            named.change(tx, reference_set, key, owner, **what)
            return _set(named.find(tx, reference_set, key, owner))

    def drop_set(self, key: str, owner: str | None = None) -> None:
        with self._database.write() as tx:
            named.remove(tx, reference_set, key, owner)


def _shown(key: str) -> Select[Any]:
    query = select(entry.c.seq, collected.c.place, entry.c.picture)
    query = query.join(collected, collected.c.picture == entry.c.picture)
    its = (collected.c.collection == key, entry.c.state == SHOWN)
    return query.where(*its).order_by(collected.c.place)


def _collection(connection: Connection, row: Row[Any]) -> Collection:
    shown = _shown(row.id)
    count = connection.scalar(select(func.count()).select_from(shown.order_by(None).subquery()))
    first = connection.execute(shown.limit(1)).first()
    cover = first.picture if first else None
    return Collection(row.id, row.name, row.owner, count or 0, cover, row.created_at)


def _put(tx: Connection, key: str, ids: Sequence[str], owner: str | None) -> None:
    """At the end; who is in it already stays where it is."""
    if len(ids) > MOST_MARKED:
        sentence = f"{len(ids)} pictures are too many at once; the most is {MOST_MARKED}."
        raise Refused(sentence)
    marks.numbers(tx, ids, owner)
    there: set[str] = set()
    for some in marks.parts(ids):
        one = (collected.c.collection == key, collected.c.picture.in_(some))
        there |= set(tx.execute(select(collected.c.picture).where(*one)).scalars())
    last = tx.scalar(select(func.max(collected.c.place)).where(collected.c.collection == key))
    begin = -1 if last is None else last
    fresh = [one for one in dict.fromkeys(ids) if one not in there]
    rows = [
        {"collection": key, "picture": one, "place": begin + n}
        for n, one in enumerate(fresh, start=1)
    ]
    if rows:
        tx.execute(insert(collected), rows)


def _arrange(tx: Connection, key: str, order: Callable[[Sequence[str]], Sequence[str]]) -> None:
    """`order` is given all that are in it, in the order of before."""
    query = select(collected.c.picture).where(collected.c.collection == key)
    there = list(tx.execute(query.order_by(collected.c.place)).scalars())
    whole = dict.fromkeys(order(there))
    its = (collected.c.collection == key, collected.c.picture == bindparam("its"))
    places = [{"its": one, "new": place} for place, one in enumerate(whole)]
    tx.execute(update(collected).where(*its).values(place=bindparam("new")), places)


def _moved(
    there: Sequence[str], move: Sequence[str], before: str | None, after: str | None
) -> list[str]:
    going = dict.fromkeys(_inside(move, there, "move"))
    rest = [one for one in there if one not in going]
    at = len(rest)
    for field, edge in (("before", before), ("after", after)):
        if edge is not None:
            _inside([edge], there, field)
            if edge in going:
                raise Refused(f"{field}: it is one of those that move.", field=field)
            at = rest.index(edge) + (field == "after")
    return [*rest[:at], *going, *rest[at:]]


def _inside(ids: Sequence[str], there: Sequence[str], field: str) -> Sequence[str]:
    known = set(there)
    for one in ids:
        if one not in known:
            raise Refused(f"{field}: {one[:64]!r} is not in this collection.", field=field)
    return ids


def _search(row: Row[Any]) -> SavedSearch:
    return SavedSearch(row.id, row.name, row.owner, row.q, row.sort, row.created_at)


def _set(row: Row[Any]) -> ReferenceSet:
    members = tuple(InputPicture.model_validate(one) for one in row.members)
    return ReferenceSet(row.id, row.name, row.owner, members, row.created_at)


def _members(references: Sequence[InputPicture]) -> list[dict[str, Any]]:
    if not 1 <= len(references) <= MAX_REFERENCES:
        sentence = f"references: {len(references)} is not from 1 to {MAX_REFERENCES}."
        raise Refused(sentence, field="references")
    return [one.model_dump(mode="json") for one in references]
