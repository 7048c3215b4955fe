"""Pictures that are alike: variants of one wish, the same file twice, and what looks nearly so.

How a picture looks is 64 bits, taken where its thumb is made; one without them is not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select

from studio.store.entries import SHOWN
from studio.store.search import Found
from studio.store.tables import entry, picture

MOST = 200  # of one answer
NEAR = 5  # bits of 64 that may differ


@dataclass(frozen=True, slots=True)
class Group:
    """Numbers of entries, the oldest first. `why` is `the same file` or `looks the same`."""

    why: str
    seqs: tuple[int, ...]


def variants(found: Found, seq: int) -> list[int]:
    """Of the same words and settings but the seed, the newest first; itself among them."""
    sight = found.sight
    (row,) = np.flatnonzero(sight["seq"] == seq)
    same = found.mask & (sight["family"] == sight["family"][row])
    return [int(one) for one in sight["seq"][same][::-1]]


def near(connection: Connection, found: Found, seq: int) -> list[int]:
    """Those that look nearly like one, the nearest first."""
    own = connection.scalar(select(entry.c.near).where(entry.c.seq == seq))
    if own is None:
        return []
    rows = connection.execute(select(entry.c.seq, entry.c.near).where(entry.c.near.is_not(None)))
    pairs = np.array([tuple(row) for row in rows], dtype=np.int64)
    apart = np.bitwise_count((pairs[:, 1] ^ np.int64(own)).view(np.uint64))  # no sign
    alike = np.flatnonzero(apart <= NEAR)
    shown = set(found.sight["seq"][found.mask].tolist())
    order = alike[np.argsort(apart[alike], kind="stable")]
    return [int(pairs[at, 0]) for at in order if pairs[at, 0] in shown and pairs[at, 0] != seq]


def duplicates(connection: Connection, owner: str | None) -> list[Group]:
    """The same file kept twice, and those that look the same to the bit."""
    return [
        *_groups(connection, "the same file", picture.c.sha256, owner),
        *_groups(connection, "looks the same", entry.c.near, owner),
    ]


def _groups(connection: Connection, why: str, by: object, owner: str | None) -> Sequence[Group]:
    shown = select(by.label("what"), entry.c.seq)  # type: ignore[attr-defined]
    shown = shown.join(picture, picture.c.id == entry.c.picture).where(entry.c.state == SHOWN)
    if owner is not None:
        shown = shown.where(picture.c.owner == owner)
    its = shown.subquery()
    twice = select(its.c.what).where(its.c.what.is_not(None)).group_by(its.c.what)
    twice = twice.having(func.count() > 1).limit(MOST)
    groups: dict[object, list[int]] = {}
    members = select(its.c.what, its.c.seq).where(its.c.what.in_(twice)).order_by(its.c.seq)
    for what, seq in connection.execute(members):
        groups.setdefault(what, []).append(seq)
    return [Group(why, tuple(seqs)) for seqs in groups.values()]
