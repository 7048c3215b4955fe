"""The pool: it gives each free slot the job whose turn it is, and acts on what the workers say.

One thread and one inbox: messages, deaths, wishes to cancel and the clock all pass through `_turn`,
so nothing here needs a lock. It knows neither pixels nor pages; what is durable goes to the store.
"""

import logging
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Literal

from studio.catalog import Catalog
from studio.errors import Refused, Unavailable
from studio.jobs.feed import Feed
from studio.jobs.schedule import Gpu, Need, Resident, Waiting
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.jobs.turns import Turns
from studio.jobs.view import Live
from studio.loras import lora_files
from studio.messages import (
    Cancel,
    Cancelled,
    Failed,
    FromWorker,
    Hello,
    Leave,
    Load,
    Loading,
    Paint,
    Painted,
    Progress,
)
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from studio.weights import absent, find_upscaler, find_weights

MAX_CRASHES = 3  # a job is put back twice after the death of its worker, not a third time
CANCEL_SECONDS = 10  # a worker that has not stopped by then is killed
SAVE_AGAIN_SECONDS = 2
BACKOFF = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before the n-th start in a row

log = logging.getLogger("darkroom.pool")


@dataclass(frozen=True, slots=True)
class Entered:
    """These stand in the line now."""

    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True)
class StopJob:
    job: str


@dataclass(frozen=True, slots=True)
class Close:
    deadline: float


Last = Painted | Failed | Cancelled | Gone
SeatState = Literal["starting", "idle", "painting", "saving", "restarting"]


@dataclass(slots=True)
class Seat:
    """A slot and what the pool knows of its worker.

    `due` is when the clock has to look again; `last` how its job ended, until that is written down;
    `dead` how its worker ended, until a new one begins.
    """

    slot: Slot
    reason: str
    state: SeatState = "restarting"
    life: int = 0
    job: Job | None = None
    loaded: str | None = None
    painted: int = 0
    starts: int = 0
    due: float = 0.0
    last: Last | None = None
    dead: str | None = None


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


@dataclass(slots=True)
class Pool:
    store: Store
    catalog: Catalog
    feed: Feed
    settings: Settings
    slots: Sequence[tuple[Slot, str]]
    inbox: Inbox = field(default_factory=Inbox)
    _seats: dict[str, Seat] = field(init=False)
    _turns: Turns = field(init=False)
    _lost_track: bool = field(default=True, init=False)  # of what waits: to be read again
    _closing: float | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._seats = {slot.name: Seat(slot, reason) for slot, reason in self.slots}
        self._forget()

    @property
    def size(self) -> int:
        return len(self._seats)

    def views(self) -> list[SlotView]:
        return [
            SlotView(
                seat.slot.name,
                seat.slot.device,
                seat.state,
                seat.job.id if seat.job else None,
                seat.loaded,
                seat.painted,
                seat.slot.pid(),
                seat.reason,
            )
            for seat in self._seats.values()
        ]

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pool", daemon=True)
        self._thread.start()

    def close(self, drain_seconds: float) -> None:
        """Takes nothing new, lets running jobs finish for a while, puts the rest back in line."""
        self.inbox.put(Close(time.monotonic() + drain_seconds))
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._finished():
            try:
                item = self.inbox.get(timeout=self._patience())
            except Empty:
                item = None
            try:
                self._turn(item)
            except Unavailable as error:  # a full disk, a busy database: told, and tried again
                log.error("%s", error)
            except Exception:  # noqa: BLE001 - the pool must outlive any one picture
                log.exception("the pool stumbled over %r", type(item).__name__)
        self._part()

    def _turn(self, item: object) -> None:
        match item:
            case Said(slot, life, message) if self._seats[slot].life == life:
                self._hear(self._seats[slot], message)
            case Entered(jobs):
                self._enter(jobs)
            case StopJob(job):
                self._stop(job)
            case Close(deadline):
                self._closing = deadline
        self._look_at_the_clock()
        if self._closing is None:
            self._assign()

    # What the workers say

    def _hear(self, seat: Seat, message: FromWorker | Gone) -> None:
        match message:
            case Hello():
                seat.state, seat.starts = "idle", 0
                seat.reason = f"{message.device}: {message.reason}"
                log.info("%s is ready: %s", seat.slot.name, seat.reason)
                self._preload(seat)
            case Gone(how):
                seat.dead, seat.loaded = how, None
                if seat.job is None:
                    self._begin_again(seat)
                elif seat.last is None:
                    self._end(seat, seat.job, message)
            case Loading() | Progress() | Painted() | Failed() | Cancelled():
                if seat.job and (message.job, message.token) == (seat.job.id, seat.job.token):
                    self._hear_of_job(seat, seat.job, message)

    def _hear_of_job(
        self, seat: Seat, job: Job, message: Loading | Progress | Painted | Failed | Cancelled
    ) -> None:
        now = time.monotonic()
        match message:
            case Loading(what=what):
                seat.due = now + self.settings.load_seconds
                self.feed.tell(job.id, Live(doing=what))
            case Progress():
                seat.due, seat.loaded = now + self.settings.step_seconds, job.model
                self.feed.tell(job.id, _progress(message, self.feed.live(job.id), job))
            case Painted() | Failed() | Cancelled():
                self._end(seat, job, message)

    def _end(self, seat: Seat, job: Job, last: Last) -> None:
        """Writes down how the job ended. While that fails (a full disk) the slot waits with it."""
        seat.state, seat.last, seat.due = "saving", last, time.monotonic() + SAVE_AGAIN_SECONDS
        match last:
            case Painted():
                if self.store.keep(job.id, last) is None:
                    log.warning("job %s was no longer this slot's; its result is dropped", job.id)
                seat.painted, seat.loaded = seat.painted + len(last.pictures), job.model
            case Failed():
                log.warning("job %s failed (%s): %s", job.id, last.code, last.detail)
                self.store.fail(job.id, job.token, last.code, last.sentence)
            case Cancelled():
                self.store.cancelled(job.id, job.token)
            case Gone(how):
                self._put_back(job, how)
        seat.state, seat.job, seat.last = "idle", None, None
        self.feed.tell(job.id, None)
        if seat.dead:
            self._begin_again(seat)

    def _put_back(self, job: Job, how: str) -> None:
        if job.crashes + 1 < MAX_CRASHES:
            self.store.requeue(job.id, job.token, crashed=True, note=f"worker {how}")
            self._lost_track = True
            return
        sentence = (
            f"The worker died {MAX_CRASHES} times while painting this ({how}). "
            "It will not be tried again; a smaller size may work."
        )
        self.store.fail(job.id, job.token, "worker_died", sentence)

    def _begin_again(self, seat: Seat) -> None:
        wait = BACKOFF[min(seat.starts, len(BACKOFF) - 1)]
        seat.state, seat.due = "restarting", time.monotonic() + wait
        seat.reason = f"the worker {seat.dead}; a new one starts" + (wait > 0) * f" in {wait:g} s"
        log.warning("%s: %s", seat.slot.name, seat.reason)

    # What is asked of the pool

    def _stop(self, job_id: str) -> None:
        self._turns.leave(job_id)
        for seat in self._seats.values():
            if seat.job and seat.job.id == job_id and seat.state == "painting":
                seat.slot.send(Cancel(job_id, seat.job.token))
                seat.due = min(seat.due, time.monotonic() + CANCEL_SECONDS)

    def _enter(self, jobs: Sequence[Job]) -> None:
        now, wall = time.monotonic(), time.time()
        for job in jobs:
            since = now - max(0.0, wall - job.created_at)
            self._turns.enter(
                Waiting(job.id, job.model, job.owner, job.priority, job.seq, since), now
            )

    def _forget(self) -> None:
        # About a gigabyte a second from disk; each slot holds one model.
        cards = self.catalog.cards.values()
        needs = {card.name: Need(load_seconds=1 + card.memory_gb) for card in cards}
        self._turns = Turns(defaultdict(Need, needs))  # a card may go away while its jobs wait

    def _assign(self) -> None:
        if self._lost_track:
            self._forget()
            self._enter(self.store.waiting(limit=self.settings.max_waiting))
            self._lost_track = False
        if not self._turns or not any(seat.state == "idle" for seat in self._seats.values()):
            return
        gpus = [
            Gpu(name, "here", 1.0, None if seat.state == "idle" else math.inf)
            for name, seat in self._seats.items()
        ]
        loaded = [
            Resident(seat.loaded, (name,)) for name, seat in self._seats.items() if seat.loaded
        ]
        running = Counter(seat.job.owner for seat in self._seats.values() if seat.job)
        self._lost_track = True  # unless all that was decided is also done
        for start in self._turns.decide(time.monotonic(), gpus, loaded, running).starts:
            (slot,) = start.gpus
            job = self.store.claim(start.job, slot)
            if job:
                log.info("job %s goes to %s: %s", job.id, slot, start.reason)
                self._paint(self._seats[slot], job)
        self._lost_track = False

    def _paint(self, seat: Seat, job: Job) -> None:
        try:
            card = self.catalog.find(job.model)
            folder = find_weights(card, self.settings.model_folder)
            enlarged = job.request["upscale"] not in (None, 1)
            upscaler = find_upscaler(self.settings.model_folder) if enlarged else ""
            names = [use["name"] for use in job.request["loras"]]
            loras = lora_files(names, self.settings.model_folder) if names else {}
        except Refused as error:  # the card or the files went away while it waited
            self.store.fail(job.id, job.token, "model_missing", str(error))
            self.feed.tell(job.id, None)
            return
        seat.job, seat.state = job, "painting"
        seat.due = time.monotonic() + self.settings.load_seconds
        self.feed.tell(job.id, Live(doing=f"on {seat.slot.name}"))
        seat.slot.send(
            Paint(
                job=job.id,
                token=job.token,
                request=job.request,
                card=card.model_dump(mode="json"),
                folder=folder,
                upscaler=upscaler,
                loras=loras,
                wish=job.wish,
                warnings=job.warnings,
            )
        )

    def _preload(self, seat: Seat) -> None:
        """A model that is not here yet is no reason to stop: the wish for it will be told why."""
        for name in self.settings.preload:
            card = self.catalog.find(name)
            missing = absent(card, self.settings.model_folder)
            if missing:
                log.warning("not preloaded: %s", missing)
            else:
                folder = find_weights(card, self.settings.model_folder)
                seat.slot.send(Load(card.model_dump(mode="json"), folder))

    # The clock

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for seat in self._seats.values():
            if seat.due > now:
                continue
            if seat.state == "restarting" and self._closing is None:
                self._begin(seat)
            elif seat.state == "saving" and seat.job and seat.last:
                self._end(seat, seat.job, seat.last)
            elif seat.state in ("painting", "starting"):
                log.error("%s gave no sign of life in time and is killed", seat.slot.name)
                seat.due = now + CANCEL_SECONDS
                seat.slot.kill()

    def _begin(self, seat: Seat) -> None:
        seat.life, seat.starts, seat.state = seat.life + 1, seat.starts + 1, "starting"
        seat.dead = None
        seat.due = time.monotonic() + self.settings.load_seconds
        seat.slot.start(self.inbox, seat.life)

    def _patience(self) -> float:
        """How long the inbox may stay silent before the clock must be looked at."""
        clocks = [seat.due for seat in self._seats.values() if seat.state != "idle"]
        if self._closing is not None:
            clocks.append(self._closing)
        return max(0.01, min((*clocks, time.monotonic() + 1.0)) - time.monotonic())

    # The end

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return time.monotonic() >= self._closing or not any(s.job for s in self._seats.values())

    def _part(self) -> None:
        for seat in self._seats.values():
            if seat.job:
                with suppress(Unavailable):  # then the next start puts it back
                    self.store.requeue(seat.job.id, seat.job.token, crashed=False, note="shutdown")
            seat.slot.send(Leave())
            seat.slot.kill()


def _progress(message: Progress, before: Live, job: Job) -> Live:
    count = int(job.request["count"])
    which = f"picture {message.index + 1} of {count}, " if count > 1 else ""
    return Live(
        doing=which + (message.stage or f"step {message.step} of {message.steps}"),
        index=message.index,
        step=message.step,
        steps=message.steps,
        preview=message.preview or before.preview,
    )
