"""All entries in memory, a column of numbers for each of their fields: what searches count with.

About 80 bytes a picture. They follow the database: before each use what has changed since is read
again, whoever changed it. It knows no query.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from studio.store.database import Database
from studio.store.entries import GONE

Numbers = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]
WIDE = ("seq", "seed", "kept_at", "family", "near")  # 0 is near nothing
NARROW = (
    *("state", "owner", "model", "sampler", "size", "format", "width", "height"),
    *("steps", "guidance", "rating", "star"),
)
NAMES = WIDE + NARROW
SLICE = 200_000  # rows read at once: their text takes some 30 MB


@dataclass(frozen=True, slots=True)
class Sight:
    """The entries at one moment, the oldest number first."""

    count: int
    columns: Mapping[str, Numbers]
    pair_rows: Numbers  # which row has which term, of those it may have several of
    pair_terms: Numbers
    terms: Sequence[tuple[str, str]]  # kind and text by number; 0 is none
    in_order: bool  # whether later rows were kept later

    def __getitem__(self, name: str) -> Numbers:
        return self.columns[name][: self.count]

    def rows_of(self, seqs: Numbers) -> Mask:
        """As a mask. Numbers that are not here are passed over."""
        there = np.zeros(int(self["seq"][-1]) + 1 if self.count else 1, dtype=np.bool_)
        there[seqs[seqs < len(there)]] = True
        return self.by_row(there)

    def by_row(self, by_number: Mask) -> Mask:
        seq = self["seq"]
        if self.count and seq[-1] - seq[0] == self.count - 1:  # without gaps they lie as they are
            return by_number[seq[0] : seq[-1] + 1]
        return by_number[seq]


class Columns:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._version = -1
        self._count = 0
        self._columns: dict[str, Numbers] = {name: np.empty(0, _type(name)) for name in NAMES}
        self._rows: Numbers = np.empty(0, np.int32)
        self._pairs: Numbers = np.empty(0, np.int32)
        self._terms: list[tuple[str, str]] = [("", "")]
        self._in_order = True

    def look(self) -> Sight:
        with self._turn, self._database.read() as connection:
            if self._version < 0:
                self._load(connection)
            else:
                self._refresh(connection)
            return Sight(
                self._count,
                dict(self._columns),
                self._rows,
                self._pairs,
                tuple(self._terms),
                self._in_order,
            )

    def _load(self, connection: Connection) -> None:
        version = _newest(connection)
        last = -1
        while True:
            some = f"WHERE seq > {last} AND state < {GONE} ORDER BY seq LIMIT {SLICE}"
            found = _read(connection, "entry", NAMES, some)
            if not len(found["seq"]):
                break
            last = int(found["seq"][-1])
            self._append(found)
        self._read_terms(connection)
        self._add_pairs(_read(connection, "entry_term", ("seq", "term"), "ORDER BY seq"))
        self._version = version

    def _refresh(self, connection: Connection) -> None:
        newest = _newest(connection)
        if newest == self._version:
            return
        # Between two, or PostgreSQL expects a third of all; and in the order of a sum, or SQLite
        # reads all in the order of their numbers to find the few.
        between = f"WHERE changed > {self._version} AND changed <= {newest}"
        found = _read(connection, "entry", NAMES, f"{between} ORDER BY seq + 0")
        self._read_terms(connection)
        last = int(self._columns["seq"][self._count - 1]) if self._count else -1
        old = found["seq"] <= last
        self._overwrite({name: numbers[old] for name, numbers in found.items()})
        self._append({name: numbers[~old] for name, numbers in found.items()})
        theirs = f"WHERE seq IN (SELECT seq FROM entry {between})"
        self._add_pairs(_read(connection, "entry_term", ("seq", "term"), theirs))
        self._version = newest

    def _overwrite(self, found: Mapping[str, Numbers]) -> None:
        rows, known = self._places(found["seq"])
        for name, numbers in found.items():
            self._columns[name][rows] = numbers[known]
        self._pairs = np.where(np.isin(self._rows, rows), 0, self._pairs)  # their terms come anew

    def _append(self, found: Mapping[str, Numbers]) -> None:
        more = len(found["seq"])
        if not more:
            return
        need, room = self._count + more, len(self._columns["seq"])
        for name, numbers in found.items():
            if need > room:  # who looks at the old ones keeps them
                grown = np.empty(max(need, room * 5 // 4), _type(name))
                grown[: self._count] = self._columns[name][: self._count]
                self._columns[name] = grown
            self._columns[name][self._count : need] = numbers
        kept_at = self._columns["kept_at"][max(0, self._count - 1) : need]
        self._in_order = self._in_order and bool((kept_at[1:] >= kept_at[:-1]).all())
        self._count = need

    def _add_pairs(self, found: Mapping[str, Numbers]) -> None:
        rows, known = self._places(found["seq"])
        self._rows = np.concatenate((self._rows, rows.astype(np.int32)))
        self._pairs = np.concatenate((self._pairs, found["term"][known].astype(np.int32)))

    def _places(self, seqs: Numbers) -> tuple[Numbers, Mask]:
        """The rows of those that are here, and which those are."""
        seq = self._columns["seq"][: self._count]
        rows = np.searchsorted(seq, seqs)
        known = rows < self._count
        known[known] = seq[rows[known]] == seqs[known]
        return rows[known], known

    def _read_terms(self, connection: Connection) -> None:
        after = {"last": len(self._terms) - 1}
        query = text("SELECT id, kind, text FROM term WHERE id > :last ORDER BY id")
        for number, kind, name in connection.execute(query, after):
            self._terms += [("", "")] * (number - len(self._terms))
            self._terms.append((kind, name))


_NONE: Numbers = np.empty(0, np.int64)


def packed(
    connection: Connection, query: str, names: Sequence[str], **given: object
) -> list[Numbers]:
    """Columns of whole numbers, each in one piece: the driver's rows would take ten times as long,
    and the interpreter's lock for each."""
    sqlite = connection.dialect.name == "sqlite"
    # SQLite has no way to bytes but text; PostgreSQL sends eight each.
    one = "group_concat({0})" if sqlite else "string_agg(int8send(({0})::bigint), ''::bytea)"
    told = ", ".join(one.format(name) for name in names)
    row = connection.execute(text(f"SELECT {told} FROM ({query}) AS asked"), given).one()
    if sqlite:
        return [np.fromstring(cell, np.int64, sep=",") if cell else _NONE for cell in row]
    return [np.frombuffer(cell or b"", dtype=">i8").astype(np.int64) for cell in row]


def _read(
    connection: Connection, table: str, names: Sequence[str], which: str
) -> dict[str, Numbers]:
    columns = ", ".join("coalesce(near, 0) AS near" if name == "near" else name for name in names)
    found = packed(connection, f"SELECT {columns} FROM {table} {which}", names)
    return dict(zip(names, found, strict=True))


def _newest(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT coalesce(max(changed), 0) FROM entry")) or 0)


def _type(name: str) -> type[np.int64] | type[np.int32]:
    return np.int64 if name in WIDE else np.int32
