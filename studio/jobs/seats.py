"""Who sits where: every GPU has a worker of its own, and a wide model one that has several.

Seats that lie on the same GPU take turns there, and the models in their memory share it. A wide
seat is made for the first job that needs it and goes when its last model has left. The GPUs of a
cluster are leased: a worker begins there with its first job, has them alone, and leaves at rest.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from studio.jobs.cluster import Cluster
from studio.jobs.slot import Gone, Slot
from studio.jobs.state import Gpu, Resident
from studio.messages import Cancelled, Failed, Painted
from studio.request import LoraUse
from studio.store.rows import Job

SOON = 0.5  # seconds: what is overdue may end at any moment
RESTS = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before the n-th start in a row
MANY, LATELY_SECONDS = 5, 600.0  # deaths: from then on each makes the slot rest twice as long
FIRST_REST, LONGEST_REST = 15.0, 300.0
Last = Painted | Failed | Cancelled | Gone
SeatState = Literal["resting", "starting", "idle", "painting", "saving", "restarting", "leaving"]
Widen = Callable[[Sequence[Slot]], Slot]


@dataclass(slots=True)
class Seat:
    """A slot and what the pool knows of its worker. One that rests begins with its first job.

    `jobs` are painted side by side; the last file of one that is `writing` is still made while they
    are. `due` is when the clock has to look again; `ends` how some ended, until that is written
    down, which is tried again at `again`; `dead` how its worker ended, until a new one begins;
    `worn` why one had better; `at_once` why so many pictures entered the last pass. `gpus` are the
    single seats it lies on.
    """

    slot: Slot
    reason: str
    gpus: tuple[str, ...]
    state: SeatState = "restarting"
    life: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    writing: dict[str, Job] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    wears: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the LoRAs on each of these
    painted: int = 0
    starts: int = 0
    due: float = 0.0
    again: float = 0.0
    expects: dict[str, float] = field(default_factory=dict)  # seconds for a job, where known
    ends_at: float = math.inf
    ends: dict[str, Last] = field(default_factory=dict)
    dead: str | None = None
    worn: str = ""
    lost: bool = False  # its machine is no longer there
    stopping: bool = False  # somebody wants one of its jobs to stop
    spared: bool = False  # how its worker ended is not the fault of its jobs
    at_once: str = ""
    deaths: list[float] = field(default_factory=list)

    @property
    def wide(self) -> bool:
        return len(self.gpus) > 1

    @property
    def held(self) -> dict[str, Job]:
        """All that its worker has and was not written down yet."""
        return self.writing | self.jobs

    @property
    def owes_a_sign(self) -> bool:
        """Whether its worker has to say something, or is taken for dead."""
        if self.state == "idle":
            return bool(self.writing)
        return self.state in ("painting", "starting", "leaving")

    @property
    def hands_on(self) -> bool:
        """Whether its worker may have a second job: it never has to leave for another one."""
        return not (self.wide or self.slot.leased)

    def write(self, job: Job) -> None:
        """Nothing of this one is left but its last file; the next may come, unless what ended
        before it could not be written down yet."""
        self.holds(job.model, job)
        if len(self.jobs) == 1 and not self.ends:
            self.writing[job.id] = self.jobs.pop(job.id)
            self.state = "idle"

    def expect(self, jobs: Sequence[Job], seconds: float | None, now: float) -> None:
        known = {name: it for name, it in self.expects.items() if name in self.writing}
        self.expects = known | {job.id: seconds for job in jobs if seconds}
        self.ends_at = now + (seconds or math.inf)

    def forget(self, job: Job) -> None:
        """How it ended is written down."""
        for kept in (self.jobs, self.writing, self.ends, self.expects):
            kept.pop(job.id, None)

    def rest(self, now: float) -> float:
        """Its worker died; so long it shall wait for the next one."""
        self.deaths = [at for at in self.deaths if now - at < LATELY_SECONDS] + [now]
        in_a_row = RESTS[min(self.starts, len(RESTS) - 1)]
        too_many = len(self.deaths) - MANY
        return in_a_row if too_many < 0 else min(LONGEST_REST, FIRST_REST * 2**too_many)

    def holds(self, model: str, job: Job | None = None) -> None:
        """It is the last one used: for this job, with its LoRAs, or not yet for any."""
        if model in self.loaded:
            self.loaded.remove(model)
        else:
            self.wears.pop(model, None)
        self.loaded.append(model)
        if job:
            uses = map(LoraUse.model_validate, job.request["loras"])
            self.wears[model] = tuple(use.name for use in uses if use.counts)


@dataclass(frozen=True, slots=True)
class SlotView:
    name: str
    device: str
    state: SeatState
    job: str | None
    model: str | None
    loaded: tuple[str, ...]
    painted: int
    pid: int | None
    reason: str
    at_once: str
    loras: tuple[str, ...] = ()  # that the model has on


@dataclass(frozen=True, slots=True)
class Fleet:
    """The slots of one GPU each, with why they are as they are; `widen` joins some of them.

    Those of the cluster come and go.
    """

    singles: Sequence[tuple[Slot, str]]
    widen: Widen
    cluster: Cluster | None = None


class Seats:
    def __init__(self, fleet: Fleet) -> None:
        self._seats: dict[str, Seat] = {}
        self._widen = fleet.widen
        self._add(fleet.singles)

    def _add(self, singles: Sequence[tuple[Slot, str]]) -> None:
        for slot, reason in singles:
            state: SeatState = "resting" if slot.leased else "restarting"
            self._seats[slot.name] = Seat(slot, reason, (slot.name,), state)

    def become(self, leased: Sequence[tuple[Slot, str]]) -> list[Seat]:
        """The cluster has these now. Gives back the seats of others that still have a worker."""
        there = {slot.name for slot, _ in leased}
        lost = [
            seat
            for seat in self._seats.values()
            if seat.slot.leased and not there.issuperset(seat.gpus)
        ]
        for seat in lost:
            seat.lost = True
            if seat.state in ("resting", "restarting"):
                self.remove(seat)
        self._add([single for single in leased if single[0].name not in self._seats])
        return [seat for seat in lost if seat.slot.name in self._seats]

    @property
    def gpu_count(self) -> int:
        return sum(not seat.wide for seat in self._seats.values())

    @property
    def widest(self) -> int:
        """GPUs of one machine; none while the cluster has none."""
        machines = Counter(seat.slot.machine for seat in self._seats.values() if not seat.wide)
        return max(machines.values(), default=0)

    def at_once(self, gpus: int, gb: float, only: Collection[str] | None) -> int:
        """How many pictures find room beside each other that take so many GPUs of one machine with
        so much memory on each: of these, or of all."""
        machines = Counter(
            seat.slot.machine
            for seat in self._seats.values()
            if not seat.wide and seat.slot.gb >= gb and (only is None or seat.slot.name in only)
        )
        return sum(there // gpus for there in machines.values())

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def find(self, name: str) -> Seat | None:
        return self._seats.get(name)

    def at(self, gpus: tuple[str, ...]) -> Seat | None:
        """The seat on exactly these GPUs."""
        for seat in self._seats.values():
            if seat.gpus == gpus and seat.state != "leaving":
                return seat
        return None

    def on(self, gpus: tuple[str, ...]) -> Seat:
        """The same; a wide one is made if there is none."""
        if seat := self.at(gpus):
            return seat
        slot = self._widen([self._seats[name].slot for name in gpus])
        leaving = self._seats.get(slot.name)
        seat = Seat(slot, f"{len(gpus)} GPUs for one picture", gpus, "resting")
        if leaving:  # its last words shall not be taken for those of the new one
            seat.life = leaving.life
        self._seats[slot.name] = seat
        return seat

    def in_the_way(self, seat: Seat) -> list[Seat]:
        """Whose workers hold a GPU that this one has to have alone."""
        if not seat.slot.leased:
            return []
        return [
            other
            for other in self
            if other is not seat
            and other.state == "idle"
            and not set(other.gpus).isdisjoint(seat.gpus)
        ]

    def remove(self, seat: Seat) -> None:
        del self._seats[seat.slot.name]

    def gpus(self, now: float) -> list[Gpu]:
        """A GPU is free if its own worker is ready and no wide one paints there."""
        until = {
            name: max(seat.ends_at, now + SOON)
            for seat in self._seats.values()
            if seat.jobs
            for name in seat.gpus
        }
        there: list[Gpu] = []
        for seat in self._seats.values():
            if not (seat.wide or seat.lost):
                slot = seat.slot
                ready = seat.state in ("idle", "resting")
                free_at = until.get(slot.name, None if ready else math.inf)
                there.append(Gpu(slot.name, slot.machine, slot.gb, free_at))
        return there

    def residents(self) -> list[Resident]:
        return [
            Resident(model, seat.gpus)
            for seat in self._seats.values()
            if seat.state != "leaving" and not seat.lost
            for model in seat.loaded
        ]

    def views(self) -> list[SlotView]:
        return [
            SlotView(
                seat.slot.name,
                seat.slot.device,
                seat.state,
                next(iter(seat.jobs), None),
                seat.loaded[-1] if seat.loaded else None,
                tuple(seat.loaded),
                seat.painted,
                seat.slot.pid(),
                seat.reason,
                seat.at_once,
                seat.wears.get(seat.loaded[-1], ()) if seat.loaded else (),
            )
            for seat in self
        ]
