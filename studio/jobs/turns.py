"""What waits, in memory, and what the schedule must remember from one decision to the next.

The database has the truth; this mirrors its waiting jobs by line, so that a decision does not read
them all. A job enters and leaves in microseconds, however many wait.
"""

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from operator import attrgetter
from typing import Any

from studio.jobs.schedule import schedule
from studio.jobs.state import Decision, Gpu, Line, Need, Passed, Resident, State, Waiting

HALF_SECONDS = 600.0  # after which half of what an owner had, or of what was wanted, is forgotten
NOTHING = 0.001  # seconds
SEEN = 64  # jobs of a kind among which companions are chosen
_turn = attrgetter("turn")


class Turns:
    def __init__(self, needs: Mapping[str, Need], most_running: int | None = None) -> None:
        self._needs = needs
        self._most_running = most_running
        self._lines: dict[Line, list[Waiting]] = {}
        self._kinds: dict[tuple[Any, int], list[Waiting]] = {}
        self._jobs: dict[str, Waiting] = {}
        self._had: dict[str, float] = {}
        self._wanted: dict[str, float] = {}
        self._passed: dict[Line, Passed] = {}
        self._faded_at = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: str) -> bool:
        return job in self._jobs

    def enter(self, waiting: Waiting, now: float) -> None:
        """A job that is put back goes to its old place."""
        self._fade(now)
        if waiting.job in self._jobs:
            return
        self._jobs[waiting.job] = waiting
        insort(self._lines.setdefault(waiting.line, []), waiting, key=_turn)
        if waiting.kind:
            alike = self._kinds.setdefault((waiting.kind, waiting.rank), [])
            insort(alike, waiting, key=_turn)
        asked = self._wanted.get(waiting.model, 0.0)
        self._wanted[waiting.model] = asked + (waiting.seconds or 1.0)

    def rearrange(self, rank: int, turns: Mapping[str, int]) -> bool:
        """These have such turns now, all of one class and owner. Whether it knows each of them."""
        moved = {
            name: replace(waiting, turn=turn)
            for name, turn in turns.items()
            if (waiting := self._jobs.get(name)) and waiting.rank == rank and waiting.turn != turn
        }
        self._jobs |= moved
        _sort(self._lines, {waiting.line for waiting in moved.values()}, moved)
        kinds = {(waiting.kind, rank) for waiting in moved.values() if waiting.kind}
        _sort(self._kinds, kinds, moved)
        return turns.keys() <= self._jobs.keys()

    def clear(self) -> None:
        """Nobody waits, but what owners had is remembered."""
        self._lines.clear()
        self._kinds.clear()
        self._jobs.clear()

    def models(self) -> Counter[str]:
        """How many wait for each."""
        found = Counter[str]()
        for (_, _, model), jobs in self._lines.items():
            found[model] += len(jobs)
        return found

    def gpu_seconds(self) -> float | None:
        """Of painting all that waits; None where one of them is of a length that nobody knows."""
        total = 0.0
        for waiting in self._jobs.values():
            if waiting.seconds is None:
                return None
            total += waiting.seconds * self._needs[waiting.model].gpus
        return total

    def leave(self, job: str) -> None:
        waiting = self._jobs.pop(job, None)
        if waiting is None:
            return
        _strike(self._lines, waiting.line, waiting)
        if waiting.kind:
            _strike(self._kinds, (waiting.kind, waiting.rank), waiting)

    def beside(
        self, kind: object, rank: int, room: int, running: Mapping[str, int]
    ) -> list[Waiting]:
        """Jobs of one kind and class that fill the room beside another, and leave the line for it.

        Again who had least comes first, and nobody exceeds what may run at once.
        """
        alike = self._kinds.get((kind, rank), ())
        found = companions(alike, room, self._had, running, self._most_running)
        for one in found:
            self.leave(one.job)
        return found

    def decide(
        self,
        now: float,
        gpus: Sequence[Gpu],
        residents: Sequence[Resident],
        running: Mapping[str, int],
    ) -> Decision:
        """What begins has left the line when this returns."""
        self._fade(now)
        decision = schedule(self._state(now, gpus, residents, running))
        self._passed = decision.passed
        for start in decision.starts:
            self.leave(start.job)
        return decision

    def copied(
        self, now: float, gpus: Sequence[Gpu], residents: Sequence[Resident], most: int
    ) -> State:
        """How things stand, for another thread: so many of each line."""
        state = self._state(now, gpus, residents, {})
        lines = {line: tuple(jobs[:most]) for line, jobs in self._lines.items()}
        return replace(state, lines=lines, needs=copy(self._needs), had=dict(self._had))

    def _state(
        self,
        now: float,
        gpus: Sequence[Gpu],
        residents: Sequence[Resident],
        running: Mapping[str, int],
    ) -> State:
        return State(
            now,
            self._lines,
            gpus,
            self._needs,
            residents,
            had=self._had,
            running=running,
            most_running=self._most_running,
            passed=self._passed,
            wanted=self._wanted,
        )

    def charge(self, owner: str, seconds: float) -> None:
        """So much was given to an owner: seconds of one GPU."""
        self._had[owner] = self._had.get(owner, 0.0) + seconds

    def _fade(self, now: float) -> None:
        fades = 0.5 ** (max(0.0, now - self._faded_at) / HALF_SECONDS)
        self._faded_at = now
        self._had, self._wanted = (
            {name: left for name, seconds in kept.items() if (left := seconds * fades) > NOTHING}
            for kept in (self._had, self._wanted)
        )


def companions(
    alike: Sequence[Waiting],
    room: int,
    had: Mapping[str, float],
    running: Mapping[str, int],
    most: int | None,
) -> list[Waiting]:
    """Who of those that are alike, in the order of arrival, is painted in the room of a pass."""
    had, begun = dict(had), Counter(running)
    waiting, found = list(alike[:SEEN]), list[Waiting]()
    free = math.inf if most is None else most
    while fits := [one for one in waiting if one.pictures <= room and begun[one.owner] < free]:
        one = min(fits, key=lambda each: (had.get(each.owner, 0.0), each.turn))
        waiting.remove(one)
        found.append(one)
        room -= one.pictures
        had[one.owner] = had.get(one.owner, 0.0) + (one.seconds or 1.0)
        begun[one.owner] += 1
    return found


def _strike(lists: dict[Any, list[Waiting]], name: object, waiting: Waiting) -> None:
    listed = lists[name]
    place = bisect_left(listed, waiting.turn, key=_turn)
    del listed[listed.index(waiting, place)]  # two may have one turn until all is told
    if not listed:
        del lists[name]


def _sort(
    lists: dict[Any, list[Waiting]], names: Collection[object], moved: Mapping[str, Waiting]
) -> None:
    for name in names:
        listed = [moved.get(waiting.job, waiting) for waiting in lists[name]]
        lists[name] = sorted(listed, key=_turn)
