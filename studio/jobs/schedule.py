"""Who paints next, and where: a pure function from what waits and what there is to decisions.

Classes first; an old job rises. Inside a class the owner who had least comes first, then who came
first. A wide job that finds no room keeps the GPUs that will be free soonest; what is over before
that may paint on them. Who needs no model loaded comes first, but nobody is passed over for it more
than `PASSES` times on each GPU, or `PASS_SECONDS`; and no model is loaded once more where those who
hold it will be free sooner.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby
from math import isfinite

from studio.jobs.places import Place, Places
from studio.jobs.state import Decision, Line, Passed, Resident, Start, State, Waiting

AGE_SECONDS = 600.0
TOP_RANK = 3
PASSES = 20
PASS_SECONDS = 120.0


def schedule(state: State) -> Decision:
    return _Round(state).decide()


class _Round:
    def __init__(self, state: State) -> None:
        self.state = state
        self.places = Places(state)
        self.had = dict(state.had)
        self.running = Counter(state.running)
        self.taken = dict.fromkeys(state.lines, 0)
        self.starts: list[Start] = []
        self.held: dict[str, str] = {}
        self.passed = {line: it for line, it in state.passed.items() if line in state.lines}
        # Who holds a model, the one that will be free first before all others. Who leaves or begins
        # to paint now is out for good, and so are those that a wide job keeps.
        self.holders: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
        free_at = {gpu.name: gpu.free_at or state.now for gpu in state.gpus}
        for one in state.residents:
            if self.places.able(one.model).names.issuperset(one.gpus):
                at = max(free_at[name] for name in one.gpus)
                heappush(self.holders.setdefault(one.model, []), (at, one.gpus))

    def decide(self) -> Decision:
        heads = [(-self._class(line), line) for line, jobs in self.state.lines.items() if jobs]
        for _, lines in groupby(sorted(heads, key=lambda head: head[0]), key=lambda head: head[0]):
            if not self.places.free:
                break
            self._serve([line for _, line in lines])
        return Decision(self.starts, self.held, self.passed)

    def _serve(self, lines: list[Line]) -> None:
        """One class: first whose turn it is and whose model is here, then who must load."""
        later: list[Line] = []
        for line, head in self._in_turn(lines):
            place = self.places.find(head)
            if place is None:
                self._hold(head)
            elif not place.loads or self._overdue(line):
                self._start(head, place, later)
            elif not self._waits_gladly(head, place):
                later.append(line)
        for _, head in self._in_turn(later):
            place = self.places.find(head)
            if place is None:
                self._hold(head)
            elif not self._waits_gladly(head, place):
                self._start(head, place, [])

    def _waits_gladly(self, head: Waiting, place: Place) -> bool:
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

    def _in_turn(self, lines: list[Line]) -> Iterator[tuple[Line, Waiting]]:
        """Heads by what their owner had, then by arrival. A line whose head stays is left alone."""
        heap = [turn for line in lines if (turn := self._next(line))]
        heapify(heap)
        while heap and self.places.free:
            had, _, line, head = heap[0]
            if had < self.had.get(head.owner, 0.0):  # the owner got something meanwhile
                heapreplace(heap, (self.had[head.owner], head.turn, line, head))
                continue
            if self._at_limit(head):
                heappop(heap)
                continue
            yield line, head
            after = self._next(line)
            if after and after[-1] is not head:
                heapreplace(heap, after)
            else:
                heappop(heap)

    def _next(self, line: Line) -> tuple[float, int, Line, Waiting] | None:
        jobs, taken = self.state.lines[line], self.taken[line]
        if taken >= len(jobs):
            return None
        head = jobs[taken]
        return self.had.get(head.owner, 0.0), head.turn, line, head

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

    def _start(self, head: Waiting, place: Place, passed: list[Line]) -> None:
        why = self._reason(head, place)
        start = Start(head.job, place.gpus, place.loads, place.leave, why, head.owner)
        self.starts.append(start)
        self.taken[head.line] += 1
        width = len(place.gpus)
        self.had[head.owner] = self.had.get(head.owner, 0.0) + width * (head.seconds or 1.0)
        self.running[head.owner] += 1
        self.places.take(head, place)
        for one in (*place.leave, Resident(head.model, place.gpus)):
            self._no_holder(one.model, {one.gpus})
        self.passed.pop(head.line, None)
        for line in passed:
            before = self.passed.get(line, Passed(0, self.state.now))
            self.passed[line] = Passed(before.times + 1, before.since)

    def _reason(self, head: Waiting, place: Place) -> str:
        where = " and ".join(place.gpus)
        if not place.loads:
            return f"{where} holds {head.model} already"
        gone = ", ".join(dict.fromkeys(one.model for one in place.leave))
        if not self.places.able(head.model).enough:
            takes = f"{self.state.needs[head.model].gb:.3g} GB that {head.model} takes"
            leaves = f", and {gone} leaves for it" if gone else ""
            return f"{where} has less than the {takes}, but there is no place with more{leaves}"
        if gone:
            return f"{where} is free; {gone} leaves for {head.model}"
        return f"{where} has room for {head.model}"

    def _hold(self, head: Waiting) -> None:
        """A job that needs several GPUs at once keeps those that will be free first."""
        need, able = self.state.needs[head.model], self.places.able(head.model)
        if able.widest < need.gpus:
            needs = f"{head.model} needs {need.gpus} GPUs of one machine"
            self.held[head.job] = needs if able.gpus else "every GPU is kept for other models"
            return
        kept = self.places.keep(head.model) if need.gpus > 1 else None
        if kept is None:
            those = "all that could paint it" if able.all else f"all with {need.gb:.3g} GB"
            self.held[head.job] = f"{those} are taken"
            return
        names, begins = kept
        for model, holders in self.holders.items():
            gone = {gpus for _, gpus in holders if not self.places.kept.keys().isdisjoint(gpus)}
            self._no_holder(model, gone)
        when = f" and free in {begins - self.state.now:.0f} s" if isfinite(begins) else ""
        self.held[head.job] = f"{' and '.join(names)} are kept for it{when}"
