"""Two pictures to choose between: of the same words where there are such, and of other settings.

Only where two differ in a setting, and both say what they have of it, does a choice tell which one
wins, so others are not asked about. Pictures without words, and such as were only enlarged, are
asked about where there is nothing else.
"""

import random
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np

from studio.store.columns import Numbers, Sight
from studio.store.saying import painted, says
from studio.store.search import Found
from studio.store.wins import NAMED, NUMBERS, WORN, value_of

# Entries that are looked at together. Up to that many all are; of more, parts at random: what was
# painted of one wish mostly lies side by side.
AROUND = 3000
TRIES = 4
Settings = tuple[str | None, ...]  # as KINDS; None where it does not say
KINDS = (*NAMED, *NUMBERS, *WORN)


@dataclass(frozen=True, slots=True)
class Pair:
    """Numbers of entries. `differs` are the settings they differ in, as the left and the right have
    them; one that wears none of a kind has an empty text."""

    left: int
    right: int
    same_words: bool
    differs: dict[str, tuple[str, str]]


def pair(
    found: Found,
    prompts: Callable[[Sequence[int]], dict[int, str]],
    chosen: Set[frozenset[int]],
    chance: random.Random,
) -> Pair | None:
    """One at random, of those nobody has chosen between. None where no two differ."""
    others: list[Pair | None] = []
    last: list[Pair | None] = []
    for some in _parts(np.flatnonzero(found.mask), chance):
        settings = _settings(found.sight, some)
        said = prompts(list(settings))
        words: dict[str, list[int]] = {}
        for seq in found.sight["seq"][some[painted(found.sight)[some]]].tolist():
            if text := said.get(seq, "").strip():
                words.setdefault(text, []).append(seq)
        groups = list(words.values())
        chance.shuffle(groups)
        for its in groups:
            if two := _two(its, settings, chosen, chance, same_words=True):
                return two
        others.append(_two([seq for its in groups for seq in its], settings, chosen, chance))
        last.append(_two(list(settings), settings, chosen, chance))
    return next(filter(None, (*others, *last)), None)


def _parts(rows: Numbers, chance: random.Random) -> Iterator[Numbers]:
    if len(rows) <= AROUND:
        yield rows
        return
    for _ in range(TRIES):
        begin = chance.randrange(len(rows) - AROUND + 1)
        yield rows[begin : begin + AROUND]


def _two(
    seqs: list[int],
    settings: dict[int, Settings],
    chosen: Set[frozenset[int]],
    chance: random.Random,
    *,
    same_words: bool = False,
) -> Pair | None:
    chance.shuffle(seqs)
    alike: dict[Settings, list[int]] = {}
    for seq in seqs:
        alike.setdefault(settings[seq], []).append(seq)
    kinds = list(alike)
    for one, other in ((one, other) for at, one in enumerate(kinds) for other in kinds[:at]):
        if differs := _apart(one, other):
            for left, right in ((a, b) for a in alike[one] for b in alike[other]):
                if frozenset((left, right)) not in chosen:
                    return Pair(left, right, same_words, differs)
    return None


def _apart(left: Settings, right: Settings) -> dict[str, tuple[str, str]]:
    return {
        name: (one, other)
        for name, one, other in zip(KINDS, left, right, strict=True)
        if one is not None and other is not None and one != other
    }


def _settings(sight: Sight, rows: Numbers) -> dict[int, Settings]:
    """Of entries by their numbers."""
    worn: dict[int, dict[str, list[str]]] = {}
    its = np.isin(sight.pair_rows, rows)
    for row, number in zip(sight.pair_rows[its], sight.pair_terms[its], strict=True):
        kind, said = sight.terms[number]
        if kind in WORN:
            worn.setdefault(int(row), {}).setdefault(kind, []).append(said)
    told = [
        [
            value_of(sight, name, number) if known else None
            for number, known in zip(
                sight[name][rows].tolist(), says(sight, name)[rows].tolist(), strict=True
            )
        ]
        for name in (*NAMED, *NUMBERS)
    ]
    told += [
        [", ".join(sorted(worn.get(row, {}).get(kind, []))) for row in rows.tolist()]
        for kind in WORN
    ]
    return dict(zip(sight["seq"][rows].tolist(), zip(*told, strict=True), strict=True))
