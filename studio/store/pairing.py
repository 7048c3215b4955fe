"""Two pictures to choose between: of the same words where there are such, and of other settings.

Only where two differ in a setting does a choice tell which one wins, so others are not asked about.
"""

import random
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np

from studio.store.columns import Sight
from studio.store.search import Found
from studio.store.wins import NAMED, NUMBERS, WORN, value_of

AROUND = 150  # entries that are looked at together: what was painted of one wish lies side by side
TRIES = 8
Settings = dict[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """Numbers of entries. `differs` are the settings they differ in, as the left and the right have
    them; one that has none of a kind has an empty text."""

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
    rows = np.flatnonzero(found.mask)
    if len(rows) < 2:
        return None
    other = None
    for _ in range(TRIES):
        middle = chance.randrange(len(rows))
        some = rows[max(0, middle - AROUND // 2) :][:AROUND]
        settings = _settings(found.sight, some.tolist())
        said = prompts(list(settings))
        for left, right in _pairs(list(settings), chance):
            if settings[left] == settings[right] or frozenset((left, right)) in chosen:
                continue
            told = Pair(left, right, said.get(left) == said.get(right), {})
            told.differs.update(_apart(settings[left], settings[right]))
            if told.same_words:
                return told
            other = other or told
    return other


def _pairs(seqs: list[int], chance: random.Random) -> Iterator[tuple[int, int]]:
    chance.shuffle(seqs)
    return ((left, right) for at, left in enumerate(seqs) for right in seqs[:at])


def _apart(left: Settings, right: Settings) -> dict[str, tuple[str, str]]:
    names = [name for name in left if left[name] != right[name]]
    return {name: (left[name], right[name]) for name in names}


def _settings(sight: Sight, rows: list[int]) -> dict[int, Settings]:
    """Of entries by their numbers."""
    worn: dict[int, dict[str, list[str]]] = {}
    its = np.isin(sight.pair_rows, rows)
    for row, number in zip(sight.pair_rows[its], sight.pair_terms[its], strict=True):
        kind, said = sight.terms[number]
        if kind in WORN:
            worn.setdefault(int(row), {}).setdefault(kind, []).append(said)
    return {
        int(sight["seq"][row]): {
            name: value_of(sight, name, int(sight[name][row])) for name in (*NAMED, *NUMBERS)
        }
        | {kind: ", ".join(sorted(worn.get(row, {}).get(kind, []))) for kind in WORN}
        for row in rows
    }
