"""Which settings win for whom: how often pictures of a model, sampler, look… were liked or chosen.

Liked is starred or rated 4 or 5. A choice between two counts for a setting only where both say
what they have of it, and differ. Each share has the interval it may truly lie in (Wilson's, 95 %):
few prove little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from studio.errors import NotFound, Refused
from studio.store import marks
from studio.store.columns import Mask, Numbers, Sight
from studio.store.entries import GONE
from studio.store.ids import new_id
from studio.store.saying import says
from studio.store.search import Found
from studio.store.tables import choice, entry

LIKED = 4  # and above
SURE = 1.96  # standard deviations that 95 of 100 lie within
NAMED = ("model", "sampler", "size")
WORN = ("look", "lora")  # a picture may have several
NUMBERS = ("steps", "guidance")
MOST = 50  # values of one setting


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many; in truth probably from `low` to `high`."""

    wins: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Standing:
    """`rating` is the mean of those that have one."""

    value: str
    liked: Share
    chosen: Share
    rated: int
    rating: float | None


@dataclass(frozen=True, slots=True)
class Basis:
    """What standings rest on: how many pictures, how many of them starred or rated, how many
    choices that one of them was in, and of each setting how many pictures say what they have."""

    pictures: int
    marked: int
    choices: int
    saying: dict[str, int]


def share(wins: int, of: int) -> Share:
    if not of:
        return Share(0, 0, 0.0, 1.0)
    rate, square = wins / of, SURE**2
    middle = (rate + square / (2 * of)) / (1 + square / of)
    half = SURE / (1 + square / of) * math.sqrt(rate * (1 - rate) / of + square / (4 * of**2))
    return Share(wins, of, round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4))


def choose(tx: Connection, winner: str, loser: str, owner: str | None, now: float) -> str:
    """The choice's own id."""
    if winner == loser:
        raise Refused("loser: a picture does not win against itself.", field="loser")
    marks.numbers(tx, [winner, loser], owner)
    row = {"id": new_id(), "owner": owner or "local", "winner": winner, "loser": loser}
    tx.execute(insert(choice).values(row | {"created_at": now}))
    return str(row["id"])


def take_back(tx: Connection, key: str, owner: str | None) -> None:
    its = delete(choice).where(choice.c.id == key)
    if owner is not None:
        its = its.where(choice.c.owner == owner)
    if not tx.execute(its).rowcount:
        raise NotFound(f"There is no choice {key[:64]!r}.")


def chosen(connection: Connection, found: Found, owner: str | None) -> set[frozenset[int]]:
    """Numbers of the entries that were chosen between."""
    won, lost = _choices(connection, found, owner)
    seqs = found.sight["seq"]
    return {frozenset((int(seqs[one]), int(seqs[two]))) for one, two in zip(won, lost, strict=True)}


def basis(connection: Connection, found: Found, owner: str | None) -> Basis:
    marked = (found.sight["star"] != 0) | (found.sight["rating"] != 0)
    choices = len(_choices(connection, found, owner)[0])
    saying = {
        name: int(np.count_nonzero(found.mask & says(found.sight, name)))
        for name in (*NAMED, *NUMBERS)
    }
    return Basis(len(found), int(np.count_nonzero(found.mask & marked)), choices, saying)


def standings(connection: Connection, found: Found, owner: str | None) -> dict[str, list[Standing]]:
    """For each setting its values, the best first: by the least they may truly be liked."""
    sight, mask = found.sight, found.mask
    pairs = _choices(connection, found, owner)
    columns = {name: sight[name] for name in (*NAMED, *NUMBERS)}
    told = {name: _column(sight, mask, name, numbers, pairs) for name, numbers in columns.items()}
    return told | {kind: _worn(sight, mask, kind, pairs) for kind in WORN}


def value_of(sight: Sight, name: str, number: int) -> str:
    """As it is said: a name, or a number."""
    if name in NAMED:
        return sight.terms[number][1]
    return f"{number / 1000:g}" if name == "guidance" else str(number)


Pairs = tuple[Numbers, Numbers]  # rows of winners and of losers


def _choices(connection: Connection, found: Found, owner: str | None) -> Pairs:
    """Of which at least one was found."""
    sight = found.sight
    won, lost = entry.alias(), entry.alias()
    query = select(won.c.seq, lost.c.seq).select_from(choice)
    query = query.join(won, won.c.picture == choice.c.winner)
    query = query.join(lost, lost.c.picture == choice.c.loser)
    query = query.where(won.c.state < GONE, lost.c.state < GONE)
    if owner is not None:
        query = query.where(choice.c.owner == owner)
    rows = [tuple(row) for row in connection.execute(query)]
    seqs = np.array(rows, dtype=np.int64).reshape(-1, 2)
    places = np.searchsorted(sight["seq"], seqs)
    places = places[(places < sight.count).all(axis=1)]
    places = places[found.mask[places].any(axis=1)]
    return places[:, 0], places[:, 1]


def _column(sight: Sight, mask: Mask, name: str, numbers: Numbers, pairs: Pairs) -> list[Standing]:
    known = says(sight, name)
    rows = np.flatnonzero(mask & known)
    values, at = np.unique(numbers[rows], return_inverse=True)
    won, lost = numbers[pairs[0]], numbers[pairs[1]]
    differs = (won != lost) & known[pairs[0]] & known[pairs[1]]
    told = []
    for number, its in enumerate(values):
        said = value_of(sight, name, int(its))
        wins = int(np.count_nonzero(differs & (won == its)))
        losses = int(np.count_nonzero(differs & (lost == its)))
        told.append(_standing(said, sight, rows[at == number], wins, losses))
    return _best(told)


def _worn(sight: Sight, mask: Mask, kind: str, pairs: Pairs) -> list[Standing]:
    told = []
    for number, (its, said) in enumerate(sight.terms):
        if its != kind:
            continue
        has = np.zeros(sight.count, np.bool_)
        has[sight.pair_rows[sight.pair_terms == number]] = True
        won, lost = has[pairs[0]], has[pairs[1]]
        wins, losses = np.count_nonzero(won & ~lost), np.count_nonzero(lost & ~won)
        told.append(_standing(said, sight, np.flatnonzero(has & mask), int(wins), int(losses)))
    return _best([one for one in told if one.liked.of or one.chosen.of])


def _standing(said: str, sight: Sight, rows: Numbers, wins: int, losses: int) -> Standing:
    ratings = sight["rating"][rows]
    liked = (sight["star"][rows] != 0) | (ratings >= LIKED)
    rated = ratings[ratings > 0]
    return Standing(
        value=said,
        liked=share(int(np.count_nonzero(liked)), len(rows)),
        chosen=share(wins, wins + losses),
        rated=len(rated),
        rating=round(float(rated.mean()), 2) if len(rated) else None,
    )


def _best(told: Sequence[Standing]) -> list[Standing]:
    return sorted(told, key=lambda one: (-one.liked.low, -one.chosen.low, one.value))[:MOST]
