"""Pictures that are alike shown as one: the first of them in an order, and how many it stands for.

Each belongs to the first before it that it is alike to and that stands for itself. Groups are told
as far as pages are asked for, and remembered for the next page.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, get_args

import numpy as np

from studio.errors import Refused
from studio.store.alike import NEAR
from studio.store.columns import Numbers
from studio.store.search import Found

Together = Literal["looks", "words"]
Ask = Callable[[str | None, int], tuple[Sequence[int], str | None]]  # a page behind a cursor
REMEMBERED = 4  # orders; some 20 bytes for each picture and one


def together_of(word: str) -> Together:
    for known in get_args(Together):
        if word == known:
            return known  # type: ignore[no-any-return]
    sentence = f"together: {word[:40]!r} is none of {', '.join(get_args(Together))}."
    raise Refused(sentence, field="together")


class Groups:
    """Of entries in an order, by `looks` (as good as the same to the eye) or `words` (the same wish
    but for the seed)."""

    def __init__(self, found: Found, order: Numbers, kind: Together) -> None:
        self.order, self._kind = order, kind
        rows = np.searchsorted(found.sight["seq"], order)
        self._marks = found.sight["near" if kind == "looks" else "family"][rows]
        self._free = np.ones(len(order), np.bool_)  # places that belong to nobody yet
        self._at = 0  # the first of them
        self._firsts: list[int] = []  # places of those that stand for themselves
        self._groups: list[Numbers] = []
        self._turn = threading.Lock()

    def some(self, start: int, limit: int) -> list[Numbers]:
        """The numbers of each group whose first stands at this place or behind; the first first."""
        with self._turn:
            while not self._firsts or self._firsts[-1] < start:
                if not self._next():
                    break
            at = bisect_left(self._firsts, start)
            while len(self._firsts) < at + limit and self._next():
                pass
            return self._groups[at : at + limit]

    def of(self, seq: int) -> Numbers:
        """The group that it is the first of; nothing, if it is none."""
        (places,) = np.nonzero(self.order == seq)
        groups = self.some(int(places[0]), 1) if len(places) else []
        return groups[0] if groups and groups[0][0] == seq else self.order[:0]

    def _next(self) -> bool:
        while self._at < len(self.order) and not self._free[self._at]:
            self._at += 1
        if self._at == len(self.order):
            return False
        same = self._same(self._at)
        self._free[same] = False
        self._firsts.append(self._at)
        self._groups.append(self.order[same])
        return True

    def _same(self, at: int) -> Numbers:
        """The places of all that belong to this one."""
        mark, marks = self._marks[at], self._marks[at:]
        if self._kind == "words":
            alike = marks == mark
        elif mark:
            apart = np.bitwise_count((marks ^ mark).view(np.uint64))  # without a sign
            alike = (apart <= NEAR) & (marks != 0)
        else:  # nobody knows how it looks
            return np.array([at])
        return at + np.flatnonzero(alike & self._free[at:])


class Remembered:
    """The last few, each as long as the order is what it was."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Groups] = OrderedDict()
        self._turn = threading.Lock()

    def groups(self, key: Hashable, found: Found, order: Numbers, kind: Together) -> Groups:
        with self._turn:
            known = self._known.pop(key, None)
            if known is None or not np.array_equal(known.order, order):
                known = Groups(found, order, kind)
            self._known[key] = known
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return known


def whole(ask: Ask, found: Found) -> Numbers:
    return np.array(ask(None, max(1, len(found)))[0], np.int64)


def page(
    ask: Ask, groups: Groups, after: str | None, limit: int
) -> tuple[list[Numbers], str | None]:
    """The groups, and where the next page begins."""
    order, start = groups.order, 0
    if after is not None:
        (places,) = np.nonzero(np.isin(order, ask(after, 1)[0]))
        start = int(places[0]) if len(places) else len(order)
    its = groups.some(start, limit + 1)
    if len(its) <= limit:
        return its, None
    (last,) = np.nonzero(order == its[limit - 1][0])
    return its[:limit], ask(None, int(last[0]) + 1)[1]
