"""Whose turn it is: what the schedule needs to know of the line, the models and the times.

The pool says what enters, ends and begins; this keeps account of it between two decisions, and
tells those who wait although a GPU is free what they wait for.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from studio.errors import CannotStart, Unavailable
from studio.jobs.estimate import Estimates, Parts
from studio.jobs.feed import Feed
from studio.jobs.forecast import MOST, Now, Times
from studio.jobs.seats import Seats
from studio.jobs.state import Decision, Need, Start, Waiting
from studio.jobs.together import kind_of
from studio.jobs.turns import Turns
from studio.jobs.view import Live
from studio.models.card import ModelCard
from studio.models.memory import needed_gb
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from studio.wishes.catalog import Catalog

log = logging.getLogger("darkroom.pool")
LOAD_SECONDS = 1.0  # before anything was measured: so long, and a second for each gigabyte


class Chooser:
    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        settings: Settings,
        seats: Seats,
        estimates: Estimates,
    ) -> None:
        self._store, self._catalog, self._settings = store, catalog, settings
        self._seats, self._estimates = seats, estimates
        there = {gpu.name for gpu in seats.gpus(0.0)}
        self._reserved: dict[str, frozenset[str]] = {}
        for model, kept in settings.reserved.items():
            if not kept <= there:
                raise CannotStart(
                    f"reserve: {model} shall have {', '.join(sorted(kept))}, but here are only "
                    f"{', '.join(sorted(there))}."
                )
            self._reserved[catalog.find(model).name] = kept
        self._needs = defaultdict[str, Need](Need)  # a card may go away while its jobs wait
        self.measure()
        self._turns = Turns(self._needs, settings.max_running)
        self._held: Mapping[str, str] = {}
        self._lost_track = True  # of what waits: to be read again
        self._read_to = 0  # `seq` of the last that was read; all before it were read as well
        self._unclaimed = False  # somebody left the line in vain
        self._coming = Counter[str]()  # starts of the last decision that are not begun, by owner

    def measure(self) -> None:
        """What each model needs, on the machines that there are."""
        for card in (*self._catalog.cards.values(), self._catalog.enlarging):
            self._needs[card.name] = self._need(card)

    def _measure(self, model: str) -> None:
        if card := self._catalog.card(model):
            self._needs[model] = self._need(card)

    def wanted(self, most: int) -> list[int]:
        """GPUs for all that is painted or waits, job by job, for so many."""
        painted = [len(seat.gpus) for seat in self._seats if seat.jobs]
        waits = [
            self._needs[model].gpus
            for model, jobs in self._turns.models().items()
            for _ in range(min(jobs, most))
        ]
        return sorted(painted + waits, reverse=True)[: max(most, len(painted))]

    def enter(self, jobs: Sequence[Job]) -> None:
        """What the line tells, perhaps after they were read here and one of them begun."""
        seated = {name for seat in self._seats for name in seat.held}
        self._enter([job for job in jobs if job.seq > self._read_to and job.id not in seated])

    def _enter(self, jobs: Sequence[Job]) -> None:
        now, wall = time.monotonic(), time.time()
        for job in jobs:
            if job.model not in self._needs:  # it was brought while the studio was open
                self._measure(job.model)
            since = now - max(0.0, wall - job.created_at)
            line = (job.model, job.owner, job.priority, job.turn)
            parts, count = self._parts(job), int(job.request["count"])
            seconds, steps = (parts.total, parts.steps) if parts else (None, 0.0)
            waiting = Waiting(job.id, *line, since, seconds, kind_of(job), count, steps)
            self._turns.enter(waiting, now)

    def leave(self, job: str) -> None:
        self._turns.leave(job)

    def rearrange(self, owner: str, rank: int) -> None:
        """They have other turns. One of whom nobody has told yet is read with all the others."""
        if not self._turns.rearrange(rank, self._store.turns(owner, rank)):
            self._lost_track = True

    def look_again(self, job: str) -> None:
        """If it waits, it stands in the line as it is now: it was put back there, or it was not
        begun, as the line was paused at that moment."""
        found = self._store.job(job)
        if found.state == "queued":
            self._enter([found])

    def learn(self, job: Job, timings: Mapping[str, float]) -> None:
        """What waits for a model is told apart by length from its first picture on."""
        unknown = self._seconds(job) is None
        took = time.time() - job.started_at if job.started_at else None
        self._estimates.learn(job.model, job.request, timings, took)
        self._estimates.passes.learn(job, timings)
        if unknown and self._seconds(job) is not None:
            self._lost_track = True
        self._measure(job.model)

    def choose(self, now: float) -> Decision | None:
        """Who begins now, and where; None while nobody could. To be followed by `done`."""
        if self._lost_track:
            self._turns.clear()
            self._put_back_strays()
            waiting = self._store.waiting()
            self._read_to = max([self._read_to, *(job.seq for job in waiting)])
            self._enter(waiting)
            self._lost_track = False
        gpus = self._seats.gpus(now)
        if not self._turns or all(gpu.free_at for gpu in gpus):
            return None
        self._lost_track = True  # unless all that was decided is also done
        decision = self._turns.decide(now, gpus, self._seats.residents(), self._running())
        self._coming = Counter(start.owner for start in decision.starts)
        return decision

    def _put_back_strays(self) -> None:
        """Jobs that were claimed, and then something broke before a slot had them."""
        seated = {name for seat in self._seats for name in seat.held}
        for job in self._store.jobs(states=("running",), limit=None):
            if job.id not in seated:
                self._store.requeue(job.id, job.token, crashed=False, note="no slot had it")

    def beside(self, job: Job, slot: str) -> tuple[list[Job], int, str]:
        """Who waited and is painted in one pass with this one, which begins now; how many pictures
        enter a pass, and why."""
        at_once, why = self._estimates.passes.paid.at_once(kind_of(job), slot)
        room = at_once - int(job.request["count"])
        running = self._running() + self._coming
        found = self._turns.beside(kind_of(job), job.priority, room, running)
        claimed: list[Job] = []
        try:
            for waiting in found:
                if one := self._store.claim(waiting.job, slot):
                    claimed.append(one)
                else:
                    self.look_again(waiting.job)
        except Unavailable as error:  # a full disk: those wait on, and the others begin
            log.error("%s", error)
            self._unclaimed = True
        return claimed, at_once, why

    def look(self, *, paused: bool) -> Now:
        """While it is paused nobody knows when one that waits begins."""
        now, wall = time.monotonic(), time.time()
        painting = {
            job.id: (job.owner, Times(now - (wall - (job.started_at or wall)), ends_at))
            for seat in self._seats
            for jobs, ends_at in ((seat.jobs, seat.ends_at), (seat.writing, now))
            for job in jobs.values()
        }
        gpus, residents = self._seats.gpus(now), self._seats.residents()
        state = self._turns.copied(now, gpus, residents, 0 if paused else MOST)
        return Now(state, painting, self._estimates.passes.paid, self._turns.gpu_seconds())

    def begin(self, jobs: Sequence[Job], start: Start, slot: str, at_once: int) -> float | None:
        """Charges the owners for what is given to them; says how long it should take."""
        self._coming[jobs[0].owner] -= 1
        for job in jobs:
            self._turns.charge(job.owner, len(start.gpus) * (self._seconds(job) or 1.0))
        parts = [self._parts(job) for job in jobs]
        load = start.loads * self._needs[jobs[0].model].load_seconds
        pictures = min(at_once, sum(int(job.request["count"]) for job in jobs))
        cost = self._estimates.passes.paid.cost(kind_of(jobs[0]), slot, pictures)
        seconds = load
        for part in parts:
            if part is None:
                return None
            seconds += part.total - (1 - cost) * part.steps
        return seconds

    def done(self, decision: Decision, feed: Feed) -> None:
        """A job that waits although a GPU is free says what for."""
        self._lost_track, self._unclaimed = self._unclaimed, False
        some_are_free = any(gpu.free_at is None for gpu in self._seats.gpus(time.monotonic()))
        held = decision.held if some_are_free else {}
        for job in self._held.keys() - held.keys():
            if job in self._turns:
                feed.tell(job, None)
        for job, why in held.items():
            if why != self._held.get(job):
                feed.tell(job, Live(doing=why))
        self._held = held

    def _running(self) -> Counter[str]:
        return Counter(job.owner for seat in self._seats for job in seat.held.values())

    def _parts(self, job: Job) -> Parts | None:
        return self._estimates.parts(job.model, job.request)

    def _seconds(self, job: Job) -> float | None:
        return self._estimates.seconds(job.model, job.request)

    def _need(self, card: ModelCard) -> Need:
        """So many GPUs that most can be painted at once, and of equals as few as hold it: a large
        one does alone what takes two small ones."""
        only = self._reserved.get(card.name)
        most = min(card.gpus, self._seats.widest or card.gpus)
        needed = needed_gb(card, self._settings.precision)
        fit = {few: self._seats.at_once(few, needed / few, only) for few in range(1, most + 1)}
        width = max(fit, key=lambda few: (fit[few], -few)) if any(fit.values()) else most
        load = self._estimates.load_seconds(card.name) or LOAD_SECONDS + card.memory_gb
        return Need(width, needed / width, load, only)
