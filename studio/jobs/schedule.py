"""Who paints next, and where: a pure function from what waits and what there is to decisions.

Classes first; an old job rises. Inside a class the owner who had least comes first, then who came
first. A wide job that finds no room keeps the GPUs that will be free soonest; what is over before
that may paint on them. Who needs no model loaded comes first, but nobody is passed over for it more
than `PASSES` times on each GPU, or `PASS_SECONDS`; and no model is loaded once more where those who
hold it will be free sooner.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby
from math import isfinite
from typing import Any

AGE_SECONDS = 600.0
TOP_RANK = 3
PASSES = 20
PASS_SECONDS = 120.0
Line = tuple[int, str, str]  # class, owner, model: inside it only the order of arrival counts


@dataclass(frozen=True, slots=True)
class Waiting:
    job: str
    model: str
    owner: str
    rank: int
    seq: int
    since: float
    seconds: float | None = None  # of painting, as far as it was ever measured
    kind: Any = None  # what it may share a pass with, if anything
    pictures: int = 1
    shared: float = 0.0  # of its seconds, for what is cheaper beside others

    @property
    def line(self) -> Line:
        return self.rank, self.owner, self.model


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes: GPUs of one machine, memory on each, time to load."""

    gpus: int = 1
    gb: float = 1.0
    load_seconds: float = 10.0
    only: frozenset[str] | None = None  # GPUs kept for it, if some are


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    machine: str
    gb: float
    free_at: float | None = None  # None for one that paints nothing now


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory, on all its GPUs. Over its head nothing else paints there meanwhile."""

    model: str
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """How often the head of a line was passed over for another model, and since when."""

    times: int
    since: float


@dataclass(frozen=True, slots=True)
class Start:
    job: str
    gpus: tuple[str, ...]
    loads: bool
    leave: tuple[Resident, ...]  # who must go first
    reason: str
    owner: str


@dataclass(frozen=True, slots=True)
class Decision:
    starts: list[Start]
    held: dict[str, str]  # the head of each line that stays, and why
    passed: dict[Line, Passed]


@dataclass(frozen=True, slots=True)
class State:
    """`lines` hold jobs in the order of arrival; `had` is what each owner was given lately."""

    now: float
    lines: Mapping[Line, Sequence[Waiting]]
    gpus: Sequence[Gpu]
    needs: Mapping[str, Need]
    residents: Sequence[Resident] = ()
    had: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    most_running: int | None = None  # jobs of one owner at once
    passed: Mapping[Line, Passed] = field(default_factory=dict)
    wanted: Mapping[str, float] = field(default_factory=dict)  # seconds asked for lately, by model


def schedule(state: State) -> Decision:
    return _Round(state).decide()


@dataclass(frozen=True, slots=True)
class _Place:
    gpus: tuple[str, ...]
    loads: bool
    leave: tuple[Resident, ...] = ()


class _Round:
    def __init__(self, state: State) -> None:
        self.state = state
        self.free = {gpu.name: gpu for gpu in state.gpus if gpu.free_at is None}
        self.free_at = {gpu.name: gpu.free_at or state.now for gpu in state.gpus}
        self.machines: dict[str, list[str]] = {}
        for gpu in state.gpus:
            self.machines.setdefault(gpu.machine, []).append(gpu.name)
        self.of_model: dict[str, list[Resident]] = {}
        self.on_gpu: dict[str, list[Resident]] = {}
        for one in state.residents:
            self._settle(one)
        self.had = dict(state.had)
        self.running = Counter(state.running)
        self.taken = dict.fromkeys(state.lines, 0)
        self.kept: dict[str, float] = {}  # GPUs that wait for a wide job, and when it can begin
        self.starts: list[Start] = []
        self.held: dict[str, str] = {}
        self.passed = {line: it for line, it in state.passed.items() if line in state.lines}
        # Who holds a model, the one that will be free first before all others. Who leaves or begins
        # to paint now is out for good, and so are those that a wide job keeps.
        self.holders: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
        for one in state.residents:
            at = max(self.free_at[name] for name in one.gpus)
            heappush(self.holders.setdefault(one.model, []), (at, one.gpus))
        self.could: dict[str, tuple[list[Gpu], int]] = {}  # GPUs a model may have; on one machine
        self.found: dict[tuple[str, float | None], _Place | None] = {}  # until something changes
        self.emptied: dict[tuple[tuple[str, ...], str], _Place] = {}  # until somebody leaves
        self.aside = frozenset[str]().union(*(need.only or () for need in state.needs.values()))

    def decide(self) -> Decision:
        heads = [(-self._class(line), line) for line, jobs in self.state.lines.items() if jobs]
        for _, lines in groupby(sorted(heads, key=lambda head: head[0]), key=lambda head: head[0]):
            if not self.free:
                break
            self._serve([line for _, line in lines])
        return Decision(self.starts, self.held, self.passed)

    def _serve(self, lines: list[Line]) -> None:
        """One class: first whose turn it is and whose model is here, then who must load."""
        later: list[Line] = []
        for line, head in self._in_turn(lines):
            place = self._find(head)
            if place is None:
                self._hold(head)
            elif not place.loads or self._overdue(line):
                self._start(head, place, later)
            elif not self._waits_gladly(head, place):
                later.append(line)
        for _, head in self._in_turn(later):
            place = self._find(head)
            if place is None:
                self._hold(head)
            elif not self._waits_gladly(head, place):
                self._start(head, place, [])

    def _waits_gladly(self, head: Waiting, place: _Place) -> bool:
        """Whether one who holds its model is free before loading it here would have paid.

        Who leaves for it will have to come back. Those behind it in its line that wait as gladly
        are passed over with it.
        """
        holders = self.holders.get(head.model)
        if not holders:
            return False
        pays = self.state.needs[head.model].load_seconds
        for one in place.leave:
            pays += self.state.needs[one.model].load_seconds
        (free_at, gpus), until = holders[0], self.state.now + pays
        if free_at >= until:
            return False
        line, behind = self.state.lines[head.line], self.taken[head.line]
        wait = free_at - self.state.now
        self.held[head.job] = (
            f"{' and '.join(gpus)} holds {head.model} and is free in {wait:.0f} s; "
            f"to load it once more would cost {pays:.0f} s"
        )
        while behind < len(line) and holders[0][0] < until:
            free_at, gpus = holders[0]
            heapreplace(holders, (free_at + (line[behind].seconds or 1.0), gpus))
            behind += 1
        self.taken[head.line] = behind
        return True

    def _no_holder(self, model: str, gpus: set[tuple[str, ...]]) -> None:
        holders = self.holders.get(model, [])
        holders[:] = [holder for holder in holders if holder[1] not in gpus]
        heapify(holders)

    def _settle(self, resident: Resident) -> None:
        self.of_model.setdefault(resident.model, []).append(resident)
        for name in resident.gpus:
            self.on_gpu.setdefault(name, []).append(resident)

    def _in_turn(self, lines: list[Line]) -> Iterator[tuple[Line, Waiting]]:
        """Heads by what their owner had, then by arrival. A line whose head stays is left alone."""
        heap = [turn for line in lines if (turn := self._turn(line))]
        heapify(heap)
        while heap and self.free:
            had, _, line, head = heap[0]
            if had < self.had.get(head.owner, 0.0):  # the owner got something meanwhile
                heapreplace(heap, (self.had[head.owner], head.seq, line, head))
                continue
            if self._at_limit(head):
                heappop(heap)
                continue
            yield line, head
            after = self._turn(line)
            if after and after[-1] is not head:
                heapreplace(heap, after)
            else:
                heappop(heap)

    def _turn(self, line: Line) -> tuple[float, int, Line, Waiting] | None:
        jobs, taken = self.state.lines[line], self.taken[line]
        if taken >= len(jobs):
            return None
        head = jobs[taken]
        return self.had.get(head.owner, 0.0), head.seq, line, head

    def _class(self, line: Line) -> int:
        waited = self.state.now - self.state.lines[line][0].since
        return min(TOP_RANK, line[0] + int(max(0.0, waited) / AGE_SECONDS))

    def _at_limit(self, head: Waiting) -> bool:
        most = self.state.most_running
        if most is None or self.running[head.owner] < most:
            return False
        self.held[head.job] = f"{head.owner} paints {most} at once, which is the most"
        return True

    def _overdue(self, line: Line) -> bool:
        passed = self.state.passed.get(line)
        if passed is None or self.taken[line]:
            return False
        often = passed.times >= PASSES * len(self.state.gpus)
        return often or self.state.now - passed.since >= PASS_SECONDS

    # Where

    def _find(self, head: Waiting) -> _Place | None:
        """The cheapest place that is free for it, or none."""
        key = (head.model, head.seconds if self.kept else None)
        if key not in self.found:
            self.found[key] = self._search(head)
        return self.found[key]

    def _search(self, head: Waiting) -> _Place | None:
        need = self.state.needs[head.model]
        open_to = {name for name in self.free if self._may(name, need)}
        open_to = {name for name in open_to if self._in_time(head, need, name, False)}
        for name in self.free:
            for one in self.on_gpu.get(name, ()):
                if one.model == head.model and open_to.issuperset(one.gpus):
                    return _Place(one.gpus, loads=False)
        open_to = {name for name in open_to if self._in_time(head, need, name, True)}
        places = [self._emptied(gpus, head.model) for gpus in self._sets(open_to, need.gpus)]
        return min(places, key=self._cost, default=None)

    def _may(self, name: str, need: Need) -> bool:
        return name in need.only if need.only is not None else name not in self.aside

    def _in_time(self, head: Waiting, need: Need, name: str, loads: bool) -> bool:
        """Whether it is done before a wide job needs the GPU."""
        until = self.kept.get(name)
        if until is None:
            return True
        if head.seconds is None:
            return False
        return self.state.now + head.seconds + loads * need.load_seconds <= until

    def _sets(self, names: set[str], width: int) -> Iterator[tuple[str, ...]]:
        """Sets of so many GPUs of one machine; neighbours first, as wide jobs leave them whole."""
        for there in self.machines.values():
            if width == 1:
                yield from ((name,) for name in there if name in names)
                continue
            blocks = [there[i : i + width] for i in range(0, len(there) - width + 1, width)]
            whole = [tuple(block) for block in blocks if names.issuperset(block)]
            yield from whole
            some = [name for name in there if name in names]
            if not whole and len(some) >= width:
                yield tuple(some[:width])

    def _emptied(self, gpus: tuple[str, ...], model: str) -> _Place:
        """With those who have to leave for it, the least valuable first."""
        if known := self.emptied.get((gpus, model)):
            return known
        leave: list[Resident] = []
        needs = self.state.needs
        for name in gpus:
            here = [one for one in self.on_gpu.get(name, ()) if one not in leave]
            room = self.free[name].gb - sum(needs[one.model].gb for one in here)
            for one in sorted(here, key=self._value):
                if room >= needs[model].gb:
                    break
                leave.append(one)
                room += needs[one.model].gb
        return self.emptied.setdefault((gpus, model), _Place(gpus, True, tuple(leave)))

    def _value(self, resident: Resident) -> float:
        """Size, cost to load again, and how much of what waits it would paint."""
        need = self.state.needs[resident.model]
        wanted = self.state.wanted.get(resident.model, 0.0)
        return need.gb * need.load_seconds * (0.01 + wanted) / len(self.of_model[resident.model])

    def _cost(self, place: _Place) -> tuple[float, int]:
        """What is lost by it; of equals, the one that breaks up fewest free neighbours."""
        first = place.gpus[0]
        machine = self.machines[self.free[first].machine]
        pair = machine.index(first) ^ 1
        alone = len(place.gpus) == 1 and pair < len(machine) and machine[pair] in self.free
        return sum(map(self._value, place.leave)), int(alone)

    # What follows

    def _start(self, head: Waiting, place: _Place, passed: list[Line]) -> None:
        why = self._reason(head, place)
        start = Start(head.job, place.gpus, place.loads, place.leave, why, head.owner)
        self.starts.append(start)
        self.taken[head.line] += 1
        self.found.clear()
        width = len(place.gpus)
        self.had[head.owner] = self.had.get(head.owner, 0.0) + width * (head.seconds or 1.0)
        self.running[head.owner] += 1
        if place.loads:
            self._settle(Resident(head.model, place.gpus))
        if place.leave:
            self.emptied.clear()
        for one in place.leave:
            self.of_model[one.model].remove(one)
            for name in one.gpus:
                self.on_gpu[name].remove(one)
        for one in (*place.leave, Resident(head.model, place.gpus)):
            self._no_holder(one.model, {one.gpus})
        for name in place.gpus:
            del self.free[name]
        self.passed.pop(head.line, None)
        for line in passed:
            before = self.passed.get(line, Passed(0, self.state.now))
            self.passed[line] = Passed(before.times + 1, before.since)

    def _reason(self, head: Waiting, place: _Place) -> str:
        where = " and ".join(place.gpus)
        if not place.loads:
            return f"{where} holds {head.model} already"
        if not place.leave:
            return f"{where} has room for {head.model}"
        gone = ", ".join(dict.fromkeys(one.model for one in place.leave))
        return f"{where} is free; {gone} leaves for {head.model}"

    def _hold(self, head: Waiting) -> None:
        """A job that needs several GPUs at once keeps those that will be free first."""
        need = self.state.needs[head.model]
        if head.model not in self.could:
            able = [gpu for gpu in self.state.gpus if self._may(gpu.name, need)]
            widest = max(Counter(gpu.machine for gpu in able).values(), default=0)
            self.could[head.model] = able, widest
        may, widest = self.could[head.model]
        if widest < need.gpus:
            needs = f"{head.model} needs {need.gpus} GPUs of one machine"
            self.held[head.job] = needs if may else "every GPU is kept for other models"
            return
        if need.gpus == 1 or (self.kept and any(gpu.name in self.kept for gpu in may)):
            self.held[head.job] = "all that could paint it are taken"
            return
        soon = sorted(may, key=lambda gpu: (gpu.machine, gpu.free_at or self.state.now))
        sets = [list(there)[: need.gpus] for _, there in groupby(soon, key=lambda gpu: gpu.machine)]
        sets = [some for some in sets if len(some) == need.gpus]
        chosen = min(sets, key=lambda some: max(gpu.free_at or self.state.now for gpu in some))
        begins = max(gpu.free_at or self.state.now for gpu in chosen)
        self.kept |= {gpu.name: begins for gpu in chosen}
        self.found.clear()
        for model, holders in self.holders.items():
            kept = {gpus for _, gpus in holders if not self.kept.keys().isdisjoint(gpus)}
            self._no_holder(model, kept)
        names = " and ".join(gpu.name for gpu in self.state.gpus if gpu in chosen)
        when = f" and free in {begins - self.state.now:.0f} s" if isfinite(begins) else ""
        self.held[head.job] = f"{names} are kept for it{when}"
