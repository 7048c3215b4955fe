"""How many of what was found have which model, look, LoRA, size, day, rating, tag.

Exact at any number of pictures: each is one pass over a column in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from studio.store.columns import Mask, Numbers
from studio.store.entries import MANY, ONE
from studio.store.saying import says
from studio.store.search import MILLION, Found

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 200  # values of one facet; how many more there are is said


@dataclass(frozen=True, slots=True)
class Facet:
    """The commonest values first; days and months the latest first, ratings the highest."""

    values: tuple[tuple[str, int], ...]
    more: int = 0  # values that are not listed


def count(found: Found) -> dict[str, Facet]:
    sight, mask = found.sight, found.mask
    facets = {
        kind: _named(
            np.bincount(sight[kind][mask & says(sight, kind)], minlength=1), sight.terms, kind
        )
        for kind in ONE
    }
    several = np.bincount(sight.pair_terms[mask[sight.pair_rows]], minlength=1)
    facets |= {kind: _named(several, sight.terms, kind) for kind in MANY}
    stars = int(np.count_nonzero(sight["star"][mask]))
    all_of_them = int(np.count_nonzero(mask))
    ratings = np.bincount(sight["rating"][mask], minlength=6)
    return facets | {
        "star": _some([("yes", stars), ("no", all_of_them - stars)]),
        "rating": _some([(str(rating), int(ratings[rating])) for rating in range(5, -1, -1)]),
        **_dates(sight["kept_at"], mask),
    }


def _named(counts: Numbers, terms: Sequence[tuple[str, str]], kind: str) -> Facet:
    there = [
        (terms[number][1], int(counts[number]))
        for number in map(int, np.flatnonzero(counts))
        if number and terms[number][0] == kind
    ]
    there.sort(key=lambda pair: (-pair[1], pair[0]))
    return _some(there)


def _dates(kept_at: Numbers, mask: Mask) -> dict[str, Facet]:
    days = kept_at[mask] // (MILLION * DAY)
    if not len(days):
        return {"day": Facet(()), "month": Facet(())}
    first = int(days.min())
    counts = np.bincount(days - first)
    by_day = [
        ((EPOCH + timedelta(days=first + int(day))).strftime("%Y-%m-%d"), int(counts[day]))
        for day in np.flatnonzero(counts)[::-1]
    ]
    months: dict[str, int] = {}
    for day, number in by_day:
        months[day[:7]] = months.get(day[:7], 0) + number
    return {"day": _some(by_day), "month": _some(list(months.items()))}


def _some(values: Sequence[tuple[str, int]]) -> Facet:
    there = [pair for pair in values if pair[1]]
    return Facet(tuple(there[:MOST]), max(0, len(there) - MOST))
