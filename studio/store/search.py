"""Which pictures a search means, and the pages of them in an order: exact, over all entries.

The words are asked of the database, which answers with numbers; all else is counted in memory. A
page goes on behind its last picture, whatever came or went meanwhile.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from studio.formats.query import All, Node, Not, Some, Words, leaves
from studio.formats.query_fields import Flag, Name, Span
from studio.formats.words import tokens
from studio.store.columns import Columns, Mask, Numbers, Sight, packed
from studio.store.database import Database
from studio.store.entries import GONE, MANY, SHOWN
from studio.store.tables import collected, collection, entry

REMEMBERED = 64  # answers of the database to words; an eighth of a byte for each picture and one
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    sight: Sight
    mask: Mask
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))


class Search:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._columns = Columns(database)
        self._said: OrderedDict[str, tuple[int, npt.NDArray[np.uint8]]] = OrderedDict()
        self._turn = threading.Lock()

    def find(self, query: Node, owner: str | None) -> Found:
        """Without what lies in the trash, unless it is asked for."""
        sight = self._columns.look()
        with self._database.read() as connection:
            asking = _Asking(self, connection, sight, owner)
            mask = asking.mask(query)
        mask = mask & (sight["state"] < GONE)
        if Flag("trash") not in leaves(query):
            mask &= sight["state"] == SHOWN
        if owner is not None:
            mask &= asking.owned(owner)
        return Found(sight, mask, tuple(dict.fromkeys(asking.notes)))

    def said(self, connection: Connection, expression: str, sight: Sight) -> Mask:
        """Who has these words. A prompt never changes, so only new ones are asked for again."""
        last = int(sight["seq"][-1]) if sight.count else 0
        with self._turn:
            upto, bits = self._said.get(expression, (0, np.empty(0, np.uint8)))
            if expression in self._said:
                self._said.move_to_end(expression)
        known = np.unpackbits(bits, count=upto + 1).view(np.bool_) if upto else np.zeros(1, bool)
        if upto < last:
            there = np.zeros(last + 1, np.bool_)
            there[: len(known)] = known
            there[_seqs(connection, expression, upto, last)] = True
            known = there
            with self._turn:
                self._said[expression] = (last, np.packbits(known))
                while len(self._said) > REMEMBERED:
                    self._said.popitem(last=False)
        return sight.by_row(known)


class _Asking:
    """One search over one sight of the entries."""

    def __init__(
        self, search: Search, connection: Connection, sight: Sight, owner: str | None
    ) -> None:
        self.search, self.connection, self.sight, self.owner = search, connection, sight, owner
        self.notes: list[str] = []

    def mask(self, node: Node) -> Mask:
        if _plain(node):
            return self.search.said(self.connection, self.expression(node), self.sight)
        match node:
            case Not(part):
                return ~self.mask(part)
            case Some(parts):
                return np.asarray(np.logical_or.reduce([self.mask(part) for part in parts]))
            case All(parts):
                return self.all(parts)
            case Name("in"):
                return self.collected(node)
            case Name():
                return self.named(node)
            case Span():
                return self.between(node)
            case Flag(name):
                return self.flagged(name)
        raise AssertionError(node)

    def all(self, parts: Sequence[Node]) -> Mask:
        """Words beside each other are one question."""
        mask = np.ones(self.sight.count, np.bool_)
        said = tuple(part for part in parts if _plain(part))
        others = [part for part in parts if not _plain(part)]
        for part in (*([All(said)] if said else []), *others):
            mask &= self.mask(part)
        return mask

    def expression(self, node: Node) -> str:
        """For FTS5 or as a tsquery. Of letters and digits alone, so nothing in it can mean more."""
        sqlite = self.connection.dialect.name == "sqlite"
        match node:
            case Words(parts, prefix) if sqlite:
                return f'"{" ".join(parts)}"' + " *" * prefix
            case Words(parts, prefix):
                *before, last = (f"'{part}'" for part in parts)
                return "(" + " <-> ".join((*before, last + ":*" * prefix)) + ")"
            case All(nodes) | Some(nodes):
                ways = (" AND ", " OR ") if sqlite else (" & ", " | ")
                told = ways[isinstance(node, Some)].join(map(self.expression, nodes))
                return f"({told})"
        raise AssertionError(node)

    def named(self, name: Name) -> Mask:
        which = _meant(self.sight.terms, name)
        if not which.any():
            terms = self.sight.terms if self.owner is None else ()
            self.notes.append(_unknown(terms, name))
        if name.field in MANY:
            return self.having(which)
        return np.asarray(which[self.sight[name.field]])

    def owned(self, owner: str) -> Mask:
        """By the letter: two owners may differ in case alone."""
        which = np.array([pair == ("owner", owner) for pair in self.sight.terms])
        return np.asarray(which[self.sight["owner"]])

    def having(self, which: Mask) -> Mask:
        mask = np.zeros(self.sight.count, np.bool_)
        mask[self.sight.pair_rows[which[self.sight.pair_terms]]] = True
        return mask

    def between(self, span: Span) -> Mask:
        numbers: npt.NDArray[np.integer[Any] | np.floating[Any]]
        match span.field:
            case "date":
                numbers = self.sight["kept_at"] / MILLION
            case "guidance":
                numbers = self.sight["guidance"] / 1000
            case "size":
                numbers = np.maximum(self.sight["width"], self.sight["height"])
            case field:
                numbers = self.sight[field]
        return np.asarray((numbers >= span.low) & (numbers <= span.high))

    def flagged(self, name: str) -> Mask:
        match name:
            case "trash":
                return np.asarray(self.sight["state"] != SHOWN)
            case "has rating":
                return np.asarray(self.sight["rating"] != 0)
        kind = name.removeprefix("has ")
        return self.having(np.array([its == kind for its, _ in self.sight.terms]))

    def collected(self, name: Name) -> Mask:
        query = select(collection.c.id, collection.c.name)
        if self.owner is not None:
            query = query.where(collection.c.owner == self.owner)
        its = [key for key, said in self.connection.execute(query) if fits(said, name)]
        if not its:
            self.notes.append(f"There is no collection like {name.value!r}.")
        inside = select(entry.c.seq).join(collected, collected.c.picture == entry.c.picture)
        seqs = self.connection.execute(inside.where(collected.c.collection.in_(its))).scalars()
        return self.sight.rows_of(np.fromiter(seqs, np.int64))


def _plain(node: Node) -> bool:
    """Whether it asks for words alone, and for something that is there."""
    match node:
        case Words():
            return True
        case All(parts) | Some(parts):
            return bool(parts) and all(map(_plain, parts))
    return False


def _seqs(connection: Connection, expression: str, after: int, last: int) -> Numbers:
    """The numbers of those that have the words, in one piece."""
    if connection.dialect.name == "sqlite":
        query = "SELECT rowid AS seq FROM find WHERE find MATCH :said"
        query += " AND rowid > :after AND rowid <= :last" if after else " AND rowid <= :last"
    else:
        query = "SELECT seq FROM find WHERE words @@ (:said)::tsquery"
        query += " AND seq > :after AND seq <= :last" if after else " AND seq <= :last"
    given = {"said": expression, "last": last} | ({"after": after} if after else {})
    return packed(connection, query, ["seq"], **given)[0]


def _meant(terms: Sequence[tuple[str, str]], name: Name) -> Mask:
    return np.array([kind == name.field and fits(said, name) for kind, said in terms])


def fits(said: str, name: Name) -> bool:
    """Exact but for case; or with a word in it that begins so, as flux is meant by FLUX.1 dev."""
    if name.exact:
        return said.casefold() == name.value.casefold()
    asked, words = tokens(name.value), tokens(said)
    if not asked:
        return said.casefold() == name.value.casefold()
    *whole, last = asked
    return any(
        words[at : at + len(whole)] == whole and words[at + len(whole)].startswith(last)
        for at in range(len(words) - len(whole))
    )


def _unknown(terms: Sequence[tuple[str, str]], name: Name) -> str:
    there = sorted({said for kind, said in terms if kind == name.field})
    known = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
    others = f"; there are {known}" if known else ""
    return f"No picture has {name.field} {name.value[:40]!r}{others}."
