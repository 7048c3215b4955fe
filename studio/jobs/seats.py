"""Who sits where: every GPU has a worker of its own, and a wide model one that has several.

Seats that lie on the same GPU take turns there, and the models in their memory share it. A wide
seat is made for the first job that needs it and goes when its last model has left.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from studio.jobs.schedule import Gpu, Resident
from studio.jobs.slot import Gone, Slot
from studio.messages import Cancelled, Failed, Painted
from studio.store.rows import Job

SOON = 0.5  # seconds: what is overdue may end at any moment
RESTS = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before the n-th start in a row
MANY, LATELY_SECONDS = 5, 600.0  # deaths: from then on each makes the slot rest twice as long
FIRST_REST, LONGEST_REST = 15.0, 300.0
Last = Painted | Failed | Cancelled | Gone
SeatState = Literal["starting", "idle", "painting", "saving", "restarting", "leaving"]
Widen = Callable[[Sequence[Slot]], Slot]


@dataclass(slots=True)
class Seat:
    """A slot and what the pool knows of its worker.

    `jobs` are painted side by side. `due` is when the clock has to look again; `ends` how some of
    them ended, until that is written down; `dead` how its worker ended, until a new one begins;
    `worn` why one had better; `at_once` why so many pictures entered the last pass. `gpus` are the
    single seats it lies on.
    """

    slot: Slot
    reason: str
    gpus: tuple[str, ...]
    state: SeatState = "restarting"
    life: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    painted: int = 0
    starts: int = 0
    due: float = 0.0
    expects: float | None = None  # seconds for its jobs, as far as they are known
    ends_at: float = math.inf
    ends: dict[str, Last] = field(default_factory=dict)
    dead: str | None = None
    worn: str = ""
    at_once: str = ""
    deaths: list[float] = field(default_factory=list)

    @property
    def wide(self) -> bool:
        return len(self.gpus) > 1

    def rest(self, now: float) -> float:
        """Its worker died; so long it shall wait for the next one."""
        self.deaths = [at for at in self.deaths if now - at < LATELY_SECONDS] + [now]
        in_a_row = RESTS[min(self.starts, len(RESTS) - 1)]
        too_many = len(self.deaths) - MANY
        return in_a_row if too_many < 0 else min(LONGEST_REST, FIRST_REST * 2**too_many)

    def holds(self, model: str) -> None:
        if model in self.loaded:
            self.loaded.remove(model)
        self.loaded.append(model)


@dataclass(frozen=True, slots=True)
class SlotView:
    name: str
    device: str
    state: SeatState
    job: str | None
    model: str | None
    painted: int
    pid: int | None
    reason: str
    at_once: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """The slots of one GPU each, with why they are as they are; `widen` joins some of them."""

    singles: Sequence[tuple[Slot, str]]
    widen: Widen


class Seats:
    def __init__(self, fleet: Fleet) -> None:
        self._seats = {
            slot.name: Seat(slot, reason, (slot.name,)) for slot, reason in fleet.singles
        }
        self._widen = fleet.widen
        self.gpu_count = len(self._seats)
        self.widest = max(Counter(slot.machine for slot, _ in fleet.singles).values())

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def find(self, name: str) -> Seat | None:
        return self._seats.get(name)

    def on(self, gpus: tuple[str, ...]) -> Seat:
        """The seat on exactly these GPUs; a wide one is made if there is none."""
        for seat in self._seats.values():
            if seat.gpus == gpus and seat.state != "leaving":
                return seat
        slot = self._widen([self._seats[name].slot for name in gpus])
        leaving = self._seats.get(slot.name)
        seat = Seat(slot, f"{len(gpus)} GPUs for one picture", gpus)
        if leaving:  # its last words shall not be taken for those of the new one
            seat.life = leaving.life
        self._seats[slot.name] = seat
        return seat

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
            if not seat.wide:
                slot = seat.slot
                free_at = until.get(slot.name, None if seat.state == "idle" else math.inf)
                there.append(Gpu(slot.name, slot.machine, slot.gb, free_at))
        return there

    def residents(self) -> list[Resident]:
        return [
            Resident(model, seat.gpus)
            for seat in self._seats.values()
            if seat.state != "leaving"
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
                seat.painted,
                seat.slot.pid(),
                seat.reason,
                seat.at_once,
            )
            for seat in self
        ]
