"""The order that a collection was given by hand, for a search that asks for one collection.

Pages of it go on behind the picture that was the last, wherever it lies by now.
"""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, select

from studio.errors import Refused
from studio.formats.query import All, Node, leaves
from studio.formats.query_fields import Name
from studio.store.columns import Numbers
from studio.store.search import Found, fits
from studio.store.tables import collected, collection, entry

Placed = tuple[Numbers, Numbers]  # places in their order, and the numbers of the entries there


def asked(query: Node) -> Name | None:
    """The one collection that all of the found lie in, as it was asked for."""
    parts = query.parts if isinstance(query, All) else (query,)
    named = [part for part in parts if isinstance(part, Name) and part.field == "in"]
    every = [leaf for leaf in leaves(query) if isinstance(leaf, Name) and leaf.field == "in"]
    return named[0] if len(named) == len(every) == 1 else None


def its_id(connection: Connection, query: Node, owner: str | None) -> str | None:
    name = asked(query)
    if name is None:
        return None
    there = select(collection.c.id, collection.c.name)
    if owner is not None:
        there = there.where(collection.c.owner == owner)
    its = [key for key, said in connection.execute(there) if fits(said, name)]
    return its[0] if len(its) == 1 else None


def placed(connection: Connection, query: Node, owner: str | None) -> Placed:
    its = its_id(connection, query, owner)
    if its is None:
        sentence = "sort: there is the order of a collection where the search asks for one alone."
        raise Refused(sentence, field="sort")
    inside = select(collected.c.place, entry.c.seq).join(
        entry, entry.c.picture == collected.c.picture
    )
    inside = inside.where(collected.c.collection == its).order_by(collected.c.place)
    rows = np.array([tuple(row) for row in connection.execute(inside)], np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def among(found: Found, its: Placed) -> Placed:
    """Those of them that were found."""
    there = np.isin(its[1], found.sight["seq"][found.mask])
    return its[0][there], its[1][there]


def behind(its: Placed, cursor: Sequence[int]) -> Numbers:
    """The numbers of those behind the place of the picture that the cursor names; behind its former
    place, if it is no longer there."""
    places, seqs = its
    place, seq = cursor
    now = places[seqs == seq]
    return seqs[places > (now[0] if len(now) else place)]
