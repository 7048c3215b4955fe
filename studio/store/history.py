"""History as an instrument: searched, counted, marked, put into the trash and out of it again.

What the faces call. Each verb is one transaction or one look; files follow their rows.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, select

from studio.errors import Refused
from studio.formats.query import Node, parse
from studio.store import alike, arranged, entries, facets, marks, pairing, together, wins
from studio.store.database import Database
from studio.store.facets import Facet
from studio.store.kept import Kept, kept
from studio.store.lineage import Lineage, lineage
from studio.store.marks import Marks
from studio.store.pages import Sort, newest_first, page
from studio.store.pairing import Pair
from studio.store.search import Found, Search
from studio.store.shelf import Shelf
from studio.store.tables import entry, leaving, picture
from studio.store.together import Ask, Groups, Remembered, Together
from studio.store.wins import Basis, Standing

MOST = 200  # pictures of a page
MOST_MARKED = 10_000  # at once, by their ids; by a search any number
DAY = 86_400

log = logging.getLogger("darkroom.store")


@dataclass(frozen=True, slots=True)
class Page:
    """`next` begins the page behind this one; `total` counts all that was found."""

    pictures: tuple[Kept, ...]
    next: str | None
    total: int
    notes: tuple[str, ...] = ()
    stands_for: tuple[int, ...] = ()  # how many, where those that are alike are shown as one


@dataclass(frozen=True, slots=True)
class Counted:
    total: int
    facets: dict[str, Facet]
    notes: tuple[str, ...] = ()


class History:
    def __init__(
        self, database: Database, shelf: Shelf, clock: Callable[[], float], trash_days: int = 0
    ) -> None:
        self.database, self._shelf, self._clock = database, shelf, clock
        self._trash_days = trash_days
        self._search = Search(database)
        self._groups = Remembered()

    # Looking

    def search(
        self,
        q: str = "",
        *,
        owner: str | None = None,
        sort: Sort = "newest",
        after: str | None = None,
        limit: int = 50,
        as_one: Together | None = None,
    ) -> Page:
        """`as_one`: those that are alike are told as the first of them."""
        if not 1 <= limit <= MOST:
            raise Refused(f"limit: {limit} is not from 1 to {MOST}.", field="limit")
        query = self._read(q)
        found = self._search.find(query, owner)
        with self.database.read() as connection:
            ask = self._asking(connection, found, query, sort, owner)
            counts: tuple[int, ...] = ()
            if as_one is None:
                seqs, following = ask(after, limit)
            else:
                groups = self._grouped(ask, found, (q, sort, owner, as_one), as_one)
                its, following = together.page(ask, groups, after, limit)
                seqs, counts = [int(one[0]) for one in its], tuple(map(len, its))
            shown = tuple(kept(connection, seqs))
        return Page(shown, following, len(found), found.notes, counts)

    def those_of_one(
        self,
        picture_id: str,
        q: str = "",
        *,
        as_one: Together,
        sort: Sort = "newest",
        owner: str | None = None,
    ) -> Page:
        """All that a picture stands for where a search shows those that are alike as one."""
        query = self._read(q)
        found = self._search.find(query, owner)
        with self.database.read() as connection:
            ask = self._asking(connection, found, query, sort, owner)
            groups = self._grouped(ask, found, (q, sort, owner, as_one), as_one)
            seqs = groups.of(marks.numbers(connection, [picture_id], owner)[0]).tolist()
            return Page(tuple(kept(connection, seqs[:MOST])), None, len(seqs))

    def facets(self, q: str = "", *, owner: str | None = None) -> Counted:
        found = self._search.find(self._read(q), owner)
        return Counted(len(found), facets.count(found), found.notes)

    def found(self, q: str, *, owner: str | None = None) -> Found:
        return self._search.find(self._read(q), owner)

    def one(self, picture_id: str, *, owner: str | None = None) -> Kept:
        """Also one that lies in the trash."""
        with self.database.read() as connection:
            seqs = marks.numbers(connection, [picture_id], owner)
            return kept(connection, seqs)[0]

    def those(self, ids: Sequence[str]) -> list[Kept]:
        """Those of them that are here, in their order."""
        with self.database.read() as connection:
            query = select(entry.c.picture, entry.c.seq).where(entry.c.picture.in_(ids))
            seqs = {name: seq for name, seq in connection.execute(query)}
            return kept(connection, [seqs[one] for one in ids if one in seqs])

    def ids(self, q: str, *, owner: str | None = None) -> list[str]:
        """Of all that are found, for who takes a whole search at once: the newest first, or in the
        order of the collection that is asked for."""
        query = self._read(q)
        found = self._search.find(query, owner)
        with self.database.read() as connection:
            if arranged.its_id(connection, query, owner) is None:
                return _ids(connection, newest_first(found.sight, found.mask))
            placed = arranged.placed(connection, query, owner)
            return _ids(connection, arranged.among(found, placed)[1].tolist())

    def usual(self, q: str, *, owner: str | None = None) -> tuple[Sort, str]:
        """The order that is meant where none is said, and the one collection that is asked for."""
        with self.database.read() as connection:
            its = arranged.its_id(connection, self._read(q), owner)
        return ("collection", its) if its else ("newest", "")

    # Marking

    def mark(
        self,
        ids: Sequence[str] | None,
        what: Marks,
        *,
        q: str | None = None,
        owner: str | None = None,
    ) -> int:
        """Those of the ids, all or none; or all that a search finds. How many were otherwise."""
        seqs = self._which(ids, q, owner)
        with self.database.write() as tx:
            found = marks.numbers(tx, ids, owner) if ids is not None else seqs
            changed = marks.mark(tx, found, what, self._clock())
        if what.trash:
            self.retire()
        return changed

    def empty_trash(
        self,
        ids: Sequence[str] | None = None,
        *,
        owner: str | None = None,
        older_than: float = 0.0,
    ) -> int:
        """For good: all that lies there, or these, or what has lain there for so many seconds."""
        return sum(self._emptying(ids, owner, older_than))

    def retire(self) -> int:
        """What has lain in the trash for long enough ends: once a day, and when more comes."""
        return sum(self.retiring())

    def retiring(self) -> Iterator[int]:
        """The same in steps; how many each."""
        if self._trash_days:
            yield from self._emptying(None, None, self._trash_days * DAY)

    def _emptying(
        self, ids: Sequence[str] | None, owner: str | None, older_than: float
    ) -> Iterator[int]:
        before, seqs = self._clock() - older_than, None
        if ids is not None:
            _few(ids)
            with self.database.read() as connection:
                seqs = marks.numbers(connection, ids, owner)
        while True:
            with self.database.write() as tx:
                some = marks.discard(tx, before, seqs, owner)
            self.finish_leaving()
            if not some:
                return
            yield some

    # What hangs together

    def lineage(self, picture_id: str, *, owner: str | None = None) -> Lineage:
        with self.database.read() as connection:
            marks.numbers(connection, [picture_id], owner)
            return lineage(connection, picture_id)

    def variants(self, picture_id: str, *, owner: str | None = None, limit: int = 50) -> Page:
        """Of the same words and settings but the seed, the newest first; itself among them."""
        found = self.found("", owner=owner)
        with self.database.read() as connection:
            seqs = alike.variants(found, marks.numbers(connection, [picture_id], owner)[0])
            return Page(tuple(kept(connection, seqs[:limit])), None, len(seqs))

    def near(self, picture_id: str, *, owner: str | None = None, limit: int = 50) -> Page:
        """What looks nearly like it, the nearest first."""
        found = self.found("", owner=owner)
        with self.database.read() as connection:
            seq = marks.numbers(connection, [picture_id], owner)[0]
            seqs = alike.near(found, seq)
            return Page(tuple(kept(connection, seqs[:limit])), None, len(seqs))

    def duplicates(self, *, owner: str | None = None) -> list[tuple[str, list[Kept], int]]:
        """Groups of pictures that are the same file, or look the same: why, some, how many."""
        found = self.found("", owner=owner)
        with self.database.read() as connection:
            groups = alike.duplicates(connection, found)
            return [(one.why, kept(connection, one.seqs), one.total) for one in groups]

    def choose(self, winner: str, loser: str, *, owner: str | None = None) -> str:
        """Of two pictures, this one rather than that. The choice's own id, to take it back by."""
        with self.database.write() as tx:
            return wins.choose(tx, winner, loser, owner, self._clock())

    def take_back(self, choice: str, *, owner: str | None = None) -> None:
        with self.database.write() as tx:
            wins.take_back(tx, choice, owner)

    def pair(self, q: str = "", *, owner: str | None = None) -> tuple[Kept, Kept, Pair] | None:
        """Two to choose between, among what a search finds, that differ in a setting."""
        while True:
            found = self.found(q, owner=owner)
            with self.database.read() as connection:
                chosen = wins.chosen(connection, found, owner)
                prompts = partial(_prompts, connection)
                told = pairing.pair(found, prompts, chosen, random.Random())
                if told is None:
                    return None
                both = kept(connection, [told.left, told.right])
            if len(both) == 2:  # else one of them left meanwhile
                return both[0], both[1], told

    def basis(self, q: str = "", *, owner: str | None = None) -> Basis:
        """What `wins` rests on."""
        found = self.found(q, owner=owner)
        with self.database.read() as connection:
            return wins.basis(connection, found, owner)

    def wins(self, q: str = "", *, owner: str | None = None) -> dict[str, list[Standing]]:
        """Which settings win, among what a search finds."""
        found = self.found(q, owner=owner)
        with self.database.read() as connection:
            return wins.standings(connection, found, owner)

    # At opening

    def catch_up(self) -> None:
        """Pictures of an older version, or of a mended database, are searched like all others."""
        with self.database.read() as connection:
            if not entries.missing(connection):
                return
        began, last = time.monotonic(), ""
        while True:
            with self.database.write() as tx:
                last = entries.catch_up(tx, last)
            if not last:
                break
        log.info("the history is searched now; it took %.1f s", time.monotonic() - began)

    def finish_leaving(self) -> None:
        """Files whose rows have ended go, also those that a crash left behind."""
        with self.database.read() as connection:
            names = list(connection.execute(select(leaving.c.name)).scalars())
        for at in range(0, len(names), marks.AT_ONCE):
            some = names[at : at + marks.AT_ONCE]
            self._shelf.drop(some)
            with self.database.write() as tx:
                tx.execute(delete(leaving).where(leaving.c.name.in_(some)))

    # Below

    def _read(self, q: str) -> Node:
        return parse(q, self._clock())

    def _asking(
        self, connection: Connection, found: Found, query: Node, sort: Sort, owner: str | None
    ) -> Ask:
        placed = arranged.placed(connection, query, owner) if sort == "collection" else None

        prompts = partial(_prompts, connection)
        return lambda after, limit: page(found, query, sort, after, limit, prompts, placed)

    def _grouped(self, ask: Ask, found: Found, key: tuple[object, ...], as_one: Together) -> Groups:
        return self._groups.groups(key, found, together.whole(ask, found), as_one)

    def _which(self, ids: Sequence[str] | None, q: str | None, owner: str | None) -> list[int]:
        if (ids is None) == (q is None):
            raise Refused("Give either ids, or q for all that a search finds.", field="ids")
        if ids is not None:
            _few(ids)
            return []
        found = self.found(q or "", owner=owner)
        return [int(seq) for seq in found.sight["seq"][found.mask]]


def _few(ids: Sequence[str]) -> None:
    if len(ids) > MOST_MARKED:
        sentence = f"ids: {len(ids)} are too many at once; the most is {MOST_MARKED}."
        raise Refused(sentence, field="ids")


def _prompts(connection: Connection, seqs: Sequence[int]) -> dict[int, str]:
    query = select(entry.c.seq, picture.c.prompt).join(picture, picture.c.id == entry.c.picture)
    return {seq: prompt for seq, prompt in connection.execute(query.where(entry.c.seq.in_(seqs)))}


def _ids(connection: Connection, seqs: Sequence[int]) -> list[str]:
    names: dict[int, str] = {}
    for at in range(0, len(seqs), marks.AT_ONCE):
        some = seqs[at : at + marks.AT_ONCE]
        query = select(entry.c.seq, entry.c.picture).where(entry.c.seq.in_(some))
        names |= {seq: name for seq, name in connection.execute(query)}
    return [names[seq] for seq in seqs if seq in names]
