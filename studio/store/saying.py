"""Which pictures say what they have of a setting; others would stand there with what nobody knows.

One from elsewhere may tell no model, no steps and no guidance. One that was only enlarged has a
model and a sampler by name, and nothing was painted with them.
"""

import numpy as np

from studio.models.enlarge import NAME
from studio.store.columns import Mask, Sight
from studio.store.foreign import UNKNOWN


def says(sight: Sight, name: str) -> Mask:
    match name:
        case "model":
            known = ~_has(sight, "model", UNKNOWN)
        case "sampler" | "steps":
            known = sight[name] != 0
        case "guidance":  # one that came in with 0 and one that came in with none are kept alike
            known = (sight["guidance"] != 0) | ((sight["steps"] != 0) & ~_came_in(sight))
        case _:
            return np.ones(sight.count, np.bool_)
    return np.asarray(known & painted(sight))


def painted(sight: Sight) -> Mask:
    return ~_has(sight, "model", NAME)


def _has(sight: Sight, kind: str, said: str) -> Mask:
    return np.asarray(sight[kind] == _number(sight, kind, said))


def _came_in(sight: Sight) -> Mask:
    its = np.zeros(sight.count, np.bool_)
    its[sight.pair_rows[sight.pair_terms == _number(sight, "kind", "imported")]] = True
    return its


def _number(sight: Sight, kind: str, said: str) -> int:
    """-1 where no picture has it."""
    return next((n for n, pair in enumerate(sight.terms) if pair == (kind, said)), -1)
