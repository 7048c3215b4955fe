"""Pictures that are alike: variants of one wish, the same file twice, and what looks nearly so.

How a picture looks is 64 bits, taken where its thumb is made; one without them is not compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select

from studio.store.pages import newest_first
from studio.store.search import Found
from studio.store.tables import entry, picture

MOST = 200  # groups of one answer
SHOWN = 20  # pictures of one group
NEAR = 5  # bits of 64 that may differ


@dataclass(frozen=True, slots=True)
class Group:
    """Numbers of entries, the oldest first; `total` counts them all. `why` is `the same file` or
    `looks the same`."""

    why: str
    seqs: tuple[int, ...]
    total: int


def variants(found: Found, seq: int) -> list[int]:
    """Of the same words and settings but the seed, the newest first; itself among them."""
    sight = found.sight
    (row,) = np.flatnonzero(sight["seq"] == seq)
    same = found.mask & (sight["family"] == sight["family"][row])
    return newest_first(sight, same)


def near(found: Found, seq: int) -> list[int]:
    """Those that look nearly like one, the nearest first."""
    numbers = found.sight["near"]
    (row,) = np.flatnonzero(found.sight["seq"] == seq)
    if not numbers[row]:
        return []
    apart = np.bitwise_count((numbers ^ numbers[row]).view(np.uint64))  # without a sign
    alike = np.flatnonzero((apart <= NEAR) & (numbers != 0) & found.mask)
    order = alike[np.argsort(apart[alike], kind="stable")]
    return [int(one) for one in found.sight["seq"][order] if one != seq]


def duplicates(connection: Connection, found: Found) -> list[Group]:
    """The same file kept twice, and those that look the same to the bit."""
    shown = set(found.sight["seq"][found.mask].tolist())
    return [*_same_files(connection, shown), *_same_looks(found)]


def _same_files(connection: Connection, shown: set[int]) -> Iterator[Group]:
    content = picture.c.sha256
    twice = select(content).group_by(content).having(func.count() > 1)  # from its index alone
    its = select(content, entry.c.seq).join(entry, entry.c.picture == picture.c.id)
    groups: dict[str, list[int]] = {}
    for name, seq in connection.execute(its.where(content.in_(twice)).order_by(entry.c.seq)):
        if seq in shown:
            groups.setdefault(name, []).append(seq)
    whole = [seqs for seqs in groups.values() if len(seqs) > 1]
    yield from (Group("the same file", tuple(its[:SHOWN]), len(its)) for its in whole[:MOST])


def _same_looks(found: Found) -> Iterator[Group]:
    rows = np.flatnonzero(found.mask & (found.sight["near"] != 0))
    _, at, counts = np.unique(found.sight["near"][rows], return_inverse=True, return_counts=True)
    some = np.flatnonzero(counts > 1)[:MOST]
    rows, at = rows[np.isin(at, some)], at[np.isin(at, some)]
    for one in some:
        its = found.sight["seq"][rows[at == one]]
        yield Group("looks the same", tuple(int(seq) for seq in its[:SHOWN]), len(its))
