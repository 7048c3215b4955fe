"""Where a waiting job fits while one decision is made: which GPUs, and who has to leave for it.

A GPU with less memory than a model takes is no place for it, unless nothing larger is there at all.
It knows nothing of turns.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from studio.jobs.state import Gpu, Need, Resident, State, Waiting


@dataclass(frozen=True, slots=True)
class Place:
    gpus: tuple[str, ...]
    loads: bool
    leave: tuple[Resident, ...] = ()


@dataclass(frozen=True, slots=True)
class Able:
    """The GPUs a model may be painted on, busy or not."""

    gpus: Sequence[Gpu]
    names: frozenset[str]
    widest: int  # of them on one machine
    enough: bool  # each has the memory that the model takes
    all: bool  # there are no others, but for those kept for other models


class Places:
    def __init__(self, state: State) -> None:
        self._state = state
        self.free = {gpu.name: gpu for gpu in state.gpus if gpu.free_at is None}
        self.kept: dict[str, float] = {}  # GPUs that wait for a wide job, and when it can begin
        self._machines: dict[str, list[str]] = {}
        for gpu in state.gpus:
            self._machines.setdefault(gpu.machine, []).append(gpu.name)
        self._of_model: dict[str, list[Resident]] = {}
        self._on_gpu: dict[str, list[Resident]] = {}
        for one in state.residents:
            self._settle(one)
        self._aside = frozenset[str]().union(*(need.only or () for need in state.needs.values()))
        self._able: dict[str, Able] = {}
        self._found: dict[tuple[str, float | None], Place | None] = {}  # until something changes
        self._emptied: dict[tuple[tuple[str, ...], str], Place] = {}  # until somebody leaves

    def find(self, job: Waiting) -> Place | None:
        """The cheapest place that is free for it, or none."""
        key = (job.model, job.seconds if self.kept else None)
        if key not in self._found:
            self._found[key] = self._search(job)
        return self._found[key]

    def able(self, model: str) -> Able:
        if model not in self._able:
            need = self._state.needs[model]
            may: Sequence[Gpu] = self._state.gpus
            if need.only is not None:
                may = [gpu for gpu in may if gpu.name in need.only]
            elif self._aside:
                may = [gpu for gpu in may if gpu.name not in self._aside]
            gpus: Sequence[Gpu] = [gpu for gpu in may if gpu.gb >= need.gb]
            widest = _widest(gpus)
            if not (enough := widest >= need.gpus):
                gpus, widest = may, _widest(may)
            names = frozenset(gpu.name for gpu in gpus)
            self._able[model] = Able(gpus, names, widest, enough, len(gpus) == len(may))
        return self._able[model]

    def take(self, job: Waiting, place: Place) -> None:
        self._found.clear()
        if place.loads:
            self._settle(Resident(job.model, place.gpus))
        if place.leave:
            self._emptied.clear()
        for one in place.leave:
            self._of_model[one.model].remove(one)
            for name in one.gpus:
                self._on_gpu[name].remove(one)
        for name in place.gpus:
            del self.free[name]

    def keep(self, model: str) -> tuple[list[str], float] | None:
        """The GPUs that such a wide job waits for, and when the last of them is free.

        None if an earlier one waits for some of those it could have.
        """
        need, able, now = self._state.needs[model], self.able(model), self._state.now
        if not self.kept.keys().isdisjoint(able.names):
            return None
        soon = sorted(able.gpus, key=lambda gpu: (gpu.machine, gpu.free_at or now))
        sets = [list(there)[: need.gpus] for _, there in groupby(soon, key=lambda gpu: gpu.machine)]
        sets = [some for some in sets if len(some) == need.gpus]
        chosen = min(sets, key=lambda some: max(gpu.free_at or now for gpu in some))
        begins = max(gpu.free_at or now for gpu in chosen)
        self.kept |= {gpu.name: begins for gpu in chosen}
        self._found.clear()
        return [gpu.name for gpu in self._state.gpus if gpu in chosen], begins

    def _settle(self, resident: Resident) -> None:
        self._of_model.setdefault(resident.model, []).append(resident)
        for name in resident.gpus:
            self._on_gpu.setdefault(name, []).append(resident)

    def _search(self, job: Waiting) -> Place | None:
        need, able = self._state.needs[job.model], self.able(job.model)
        open_to = self.free.keys() & able.names
        open_to = {name for name in open_to if self._in_time(job, need, name, False)}
        for name in self.free:
            for one in self._on_gpu.get(name, ()):
                if one.model == job.model and open_to.issuperset(one.gpus):
                    return Place(one.gpus, loads=False)
        open_to = {name for name in open_to if self._in_time(job, need, name, True)}
        places = [self._emptied_for(job.model, gpus) for gpus in self._sets(open_to, need.gpus)]
        spares = 1 if able.enough else -1  # large cards are left to those who need them
        return min(places, key=lambda place: self._cost(place, spares), default=None)

    def _in_time(self, job: Waiting, need: Need, name: str, loads: bool) -> bool:
        """Whether it is done before a wide job needs the GPU."""
        until = self.kept.get(name)
        if until is None:
            return True
        if job.seconds is None:
            return False
        return self._state.now + job.seconds + loads * need.load_seconds <= until

    def _sets(self, names: set[str], width: int) -> Iterator[tuple[str, ...]]:
        """Sets of so many GPUs of one machine; neighbours first, as wide jobs leave them whole."""
        for there in self._machines.values():
            if width == 1:
                yield from ((name,) for name in there if name in names)
                continue
            blocks = [there[i : i + width] for i in range(0, len(there) - width + 1, width)]
            whole = [tuple(block) for block in blocks if names.issuperset(block)]
            yield from whole
            some = [name for name in there if name in names]
            if not whole and len(some) >= width:
                yield tuple(some[:width])

    def _emptied_for(self, model: str, gpus: tuple[str, ...]) -> Place:
        """With those who have to leave for it, the least valuable first."""
        if known := self._emptied.get((gpus, model)):
            return known
        leave: list[Resident] = []
        needs = self._state.needs
        for name in gpus:
            here = [one for one in self._on_gpu.get(name, ()) if one not in leave]
            room = self.free[name].gb - sum(needs[one.model].gb for one in here)
            for one in sorted(here, key=self._value):
                if room >= needs[model].gb:
                    break
                leave.append(one)
                room += needs[one.model].gb
        return self._emptied.setdefault((gpus, model), Place(gpus, True, tuple(leave)))

    def _value(self, resident: Resident) -> float:
        """Size, cost to load again, and how much of what waits it would paint."""
        need = self._state.needs[resident.model]
        wanted = self._state.wanted.get(resident.model, 0.0)
        return need.gb * need.load_seconds * (0.01 + wanted) / len(self._of_model[resident.model])

    def _cost(self, place: Place, spares: int) -> tuple[float, float, int]:
        """What is lost by it; of equals the one with the least memory to spare; of these the one
        that breaks up fewest free neighbours."""
        first = place.gpus[0]
        machine = self._machines[self.free[first].machine]
        pair = machine.index(first) ^ 1
        alone = len(place.gpus) == 1 and pair < len(machine) and machine[pair] in self.free
        gb = spares * min(self.free[name].gb for name in place.gpus)
        return sum(map(self._value, place.leave)), gb, int(alone)


def _widest(gpus: Sequence[Gpu]) -> int:
    return max(Counter(gpu.machine for gpu in gpus).values(), default=0)
