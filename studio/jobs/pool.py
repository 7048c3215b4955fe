"""The pool: it gives each free slot the job whose turn it is, and acts on what the workers say.

One thread and one inbox: messages, deaths, wishes to cancel and the clock all pass through `_turn`,
so nothing here needs a lock. It knows neither pixels nor pages; what is durable goes to the store.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty

from studio.errors import Unavailable
from studio.jobs import ends
from studio.jobs.chooser import Chooser
from studio.jobs.cluster import MOST_WANTED
from studio.jobs.errand import errand
from studio.jobs.estimate import Estimates
from studio.jobs.feed import Feed
from studio.jobs.forecast import Look
from studio.jobs.inbox import (
    Close,
    Entered,
    Kept,
    Machines,
    Moved,
    Paused,
    Ranked,
    StopJob,
    StopJobs,
)
from studio.jobs.keeping import Keeper
from studio.jobs.seats import Fleet, Last, Seat, Seats, SlotView
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.jobs.state import Resident
from studio.jobs.view import Live, progressed
from studio.messages import (
    Cancel,
    Cancelled,
    Failed,
    FromWorker,
    Hello,
    Leave,
    Loaded,
    Loading,
    OfJob,
    Paint,
    Painted,
    Progress,
    Together,
    Unload,
    Worn,
    Writing,
)
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from studio.wishes.catalog import Catalog

CANCEL_SECONDS = 10  # a worker that has not stopped by then is killed
SAVE_AGAIN_SECONDS = 2

log = logging.getLogger("darkroom.pool")


@dataclass(slots=True)
class Pool:
    store: Store
    catalog: Catalog
    feed: Feed
    settings: Settings
    fleet: Fleet
    estimates: Estimates = field(default_factory=Estimates)
    inbox: Inbox = field(default_factory=Inbox)
    _seats: Seats = field(init=False)
    _keeper: Keeper = field(init=False)
    _chooser: Chooser = field(init=False)
    _closing: float | None = field(default=None, init=False)
    _paused: bool = field(init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._paused = self.store.paused
        self._seats = Seats(self.fleet)
        self._keeper = Keeper(self.catalog, self.settings, self._seats, self._dismiss)
        self._chooser = Chooser(
            self.store, self.catalog, self.settings, self._seats, self.estimates
        )

    @property
    def size(self) -> int | None:
        """How many pictures may be painted at once; of a cluster nobody knows."""
        return None if self.fleet.cluster else self._seats.gpu_count

    def views(self) -> list[SlotView]:
        return self._seats.views()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pool", daemon=True)
        self._thread.start()

    def close(self, drain_seconds: float) -> None:
        """Takes nothing new, lets running jobs finish for a while, puts the rest back in line."""
        self.inbox.put(Close(time.monotonic() + drain_seconds))
        if self._thread:
            self._thread.join()
        if self.fleet.cluster:
            self.fleet.cluster.close()

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
            case Said(slot, life, message):
                seat = self._seats.find(slot)
                if seat and seat.life == life:
                    self._hear(seat, message)
            case Entered(jobs):
                self._chooser.enter(jobs)
            case StopJob(job):
                self._stop(job)
            case StopJobs(jobs):
                for name in jobs:
                    self._chooser.leave(name)
            case Paused():
                self._paused = self.store.paused
            case Ranked(job):
                self._chooser.leave(job)
                self._chooser.look_again(job)
            case Moved(owner, rank):
                self._chooser.rearrange(owner, rank)
            case Machines(slots):
                self._become(slots)
            case Kept(model, here, answer):
                answer.set_result(self._keeper.keep(model, here))
            case Look(answer):
                answer.set_result(self._chooser.look(paused=self._paused))
            case Close(deadline):
                self._closing = deadline
        self._look_at_the_clock()
        if self._closing is None:
            self._assign()
            if self.fleet.cluster:
                self.fleet.cluster.want(self._chooser.wanted(0 if self._paused else MOST_WANTED))

    # What the workers say

    def _hear(self, seat: Seat, message: FromWorker | Gone) -> None:
        match message:
            case Hello():
                seat.starts = 0
                if not seat.jobs:
                    seat.state = "idle"
                seat.reason = f"{message.device}: {message.reason}"
                log.info("%s is ready: %s", seat.slot.name, seat.reason)
                if not (seat.wide or seat.slot.leased):
                    self._keeper.preload(seat)
            case Gone(how):
                seat.dead, seat.loaded = how, []
                if not seat.held:
                    self._begin_again(seat)
                for name in seat.held:
                    seat.ends.setdefault(name, message)
                self._end_all(seat)
            case Worn(why):
                seat.worn = why
            case Loaded(model, why):
                if why and model in seat.loaded:
                    seat.loaded.remove(model)
                    seat.reason = f"{model} was not loaded: {why}"
            case Loading() | Progress() | Writing() | Painted() | Failed() | Cancelled():
                its = seat.held.get(message.job)
                if its and its.token == message.token:
                    self._hear_of_job(seat, its, message)

    def _hear_of_job(self, seat: Seat, job: Job, message: OfJob) -> None:
        now = time.monotonic()
        match message:
            case Loading(what=what):
                seat.due = now + self.settings.load_seconds
                self.feed.tell(job.id, Live(doing=what))
            case Progress():
                seat.due = now + self.settings.step_seconds
                seat.holds(job.model, job)
                self.feed.tell(job.id, progressed(message, self.feed.live(job.id), job))
            case Writing():
                seat.due = now + self.settings.step_seconds
                seat.write(job)
            case Painted() | Failed() | Cancelled():
                self._end(seat, job, message)

    def _end(self, seat: Seat, job: Job, last: Last) -> None:
        """Writes down how the job ended. While that fails (a full disk) the slot waits with it."""
        seat.ends[job.id], seat.again = last, time.monotonic() + SAVE_AGAIN_SECONDS
        if len(seat.ends) == len(seat.held):  # else its worker is still busy with others
            seat.state, seat.due = "saving", seat.again
        match last:
            case Painted():
                if expected := seat.expects.get(job.id):
                    last.timings["expected"] = expected
                try:
                    ends.keep(self.store, job, last)
                except Unavailable as error:
                    said = f"painted, not kept yet: {error}"
                    self.feed.tell(job.id, replace(self.feed.live(job.id), doing=said))
                    raise
                seat.painted += len(last.pictures)
                if job.id in seat.jobs:  # else it holds what the next one wants by now
                    seat.holds(job.model, job)
                self._chooser.learn(job, last.timings)
            case Failed():
                log.warning("job %s failed (%s): %s", job.id, last.code, last.detail)
                self.store.fail(job.id, job.token, last.code, last.sentence)
                if last.code == "oom" and job.id in seat.jobs:  # then the worker has let go of all
                    seat.loaded.clear()
            case Cancelled():
                self.store.cancelled(job.id, job.token)
            case Gone(how, blames):
                if ends.put_back(self.store, job, how, crashed=blames and not seat.spared):
                    self._chooser.look_again(job.id)
        seat.forget(job)
        self.feed.tell(job.id, None)
        if seat.held:
            return
        seat.state, seat.due = "idle", time.monotonic() + self.settings.lease_seconds
        if seat.dead:
            self._begin_again(seat)
        elif seat.worn or (seat.wide and not seat.loaded):
            self._dismiss(seat)

    def _end_all(self, seat: Seat) -> None:
        for name, last in list(seat.ends.items()):
            self._end(seat, seat.held[name], last)

    def _begin_again(self, seat: Seat) -> None:
        if seat.wide or seat.lost:  # the next wide job makes another
            self._seats.remove(seat)
            return
        if seat.slot.leased and seat.state == "leaving":
            seat.state, seat.reason = "resting", "given back to the cluster"
            return
        now = time.monotonic()
        wait = 0.0 if seat.worn else seat.rest(now)
        seat.state, seat.due = "restarting", now + wait
        soon = f" in {wait:g} s" if wait else ""
        seat.reason = f"the worker {seat.worn or seat.dead}; a new one starts{soon}"
        log.warning("%s: %s", seat.slot.name, seat.reason)

    # What is asked of the pool

    def _stop(self, job_id: str) -> None:
        self._chooser.leave(job_id)
        for seat in self._seats:
            job = seat.jobs.get(job_id)
            if job and seat.state == "painting":
                seat.slot.send(Cancel(job_id, job.token))
                seat.due = min(seat.due, time.monotonic() + CANCEL_SECONDS)
                seat.stopping = True

    def _assign(self) -> None:
        now = time.monotonic()
        decision = None if self._paused else self._chooser.choose(now)
        if decision is None:
            return
        for start in decision.starts:
            seat = self._seats.on(start.gpus)
            job = self.store.claim(start.job, seat.slot.name)
            if job:
                log.info("job %s goes to %s: %s", job.id, seat.slot.name, start.reason)
                self._make_room(start.leave)
                for other in self._seats.in_the_way(seat):
                    self._dismiss(other)
                beside, at_once, seat.at_once = self._chooser.beside(job, seat.slot.name)
                jobs = [job, *beside]
                expects = self._chooser.begin(jobs, start, seat.slot.name, at_once)
                seat.expect(jobs, expects, now)
                self._paint(seat, jobs, at_once)
            else:
                self._chooser.look_again(start.job)
        self._chooser.done(decision, self.feed)

    def _become(self, slots: Sequence[tuple[Slot, str]]) -> None:
        """Machines of the cluster came or went. Who painted on one of these is put back in line."""
        for seat in self._seats.become(slots):
            seat.slot.kill()
        self._chooser.measure()

    def _make_room(self, leave: Sequence[Resident]) -> None:
        for resident in leave:
            seat = self._seats.at(resident.gpus)
            if seat is None or resident.model not in seat.loaded:
                continue  # it left for another start of this decision
            seat.loaded.remove(resident.model)
            if seat.wide and not seat.loaded:
                self._dismiss(seat)
            else:
                seat.slot.send(Unload(resident.model))

    def _dismiss(self, seat: Seat) -> None:
        seat.state, seat.due = "leaving", time.monotonic() + CANCEL_SECONDS
        seat.slot.send(Leave())

    def _paint(self, seat: Seat, jobs: Sequence[Job], at_once: int) -> None:
        asked = [paint for job in jobs if (paint := self._asked(job, at_once, seat.hands_on))]
        if not asked:
            return
        if seat.state == "resting":
            self._begin(seat)
        names = {paint.job for paint in asked}
        seat.jobs, seat.state = {job.id: job for job in jobs if job.id in names}, "painting"
        seat.stopping = False
        seat.due = time.monotonic() + self.settings.load_seconds
        beside = f", beside {len(asked) - 1} more" if len(asked) > 1 else ""
        for name in names:
            self.feed.tell(name, Live(doing=f"on {seat.slot.name}{beside}"))
        seat.slot.send(Together(tuple(asked)) if len(asked) > 1 else asked[0])

    def _asked(self, job: Job, at_once: int, ahead: bool) -> Paint | None:
        asked = errand(job, self.catalog, self.settings, self.store, at_once, ahead=ahead)
        if isinstance(asked, Paint):
            return asked
        self.store.fail(job.id, job.token, asked.code, asked.sentence)
        self.feed.tell(job.id, None)
        return None

    # The clock

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for seat in self._seats:
            if seat.ends and seat.again <= now:
                self._end_all(seat)
            if seat.due > now:
                continue
            if seat.state == "restarting" and seat.slot.leased:
                seat.state = "resting"
            elif seat.state == "restarting" and self._closing is None:
                self._begin(seat)
            elif seat.state == "idle" and seat.slot.leased:
                self._dismiss(seat)
            elif seat.owes_a_sign:
                log.error("%s gave no sign of life in time and is killed", seat.slot.name)
                if seat.stopping:
                    seat.worn = "did not stop in time"
                # Nor is it a job's fault that a machine of the cluster never had a GPU for it.
                seat.spared = seat.stopping or (seat.slot.leased and seat.starts > 0)
                seat.due = now + CANCEL_SECONDS
                seat.slot.kill()

    def _begin(self, seat: Seat) -> None:
        seat.life, seat.starts, seat.state = seat.life + 1, seat.starts + 1, "starting"
        seat.dead, seat.worn, seat.stopping, seat.spared = None, "", False, False
        seat.due = time.monotonic() + self.settings.load_seconds
        try:
            seat.slot.start(self.inbox, seat.life)
        except (OSError, RuntimeError) as error:  # no memory, or no room for another process
            self.inbox.put(Said(seat.slot.name, seat.life, Gone(f"could not begin: {error}")))

    def _patience(self) -> float:
        """How long the inbox may stay silent before the clock must be looked at."""
        clocks = [seat.due for seat in self._seats if seat.state not in ("idle", "resting")]
        if self._closing is not None:
            clocks.append(self._closing)
        return max(0.01, min((*clocks, time.monotonic() + 1.0)) - time.monotonic())

    # The end

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return time.monotonic() >= self._closing or not any(s.held for s in self._seats)

    def _part(self) -> None:
        for seat in self._seats:
            for job in seat.held.values():
                with suppress(Unavailable):  # then the next start puts it back
                    self.store.requeue(job.id, job.token, crashed=False, note="shutdown")
            seat.slot.send(Leave())
            seat.slot.kill()
