"""When each waiting job will begin and end, by playing the schedule forward on measured times.

Nothing is guessed: what waits behind a job of unknown length has no forecast. The playing is done
by who asks, never by the pool, and takes at most a tenth of the time.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from math import inf, isfinite

from studio.jobs.schedule import schedule
from studio.jobs.slot import Inbox
from studio.jobs.state import Line, Resident, State, Waiting
from studio.jobs.together import Paid
from studio.jobs.turns import companions

log = logging.getLogger("darkroom.pool")
MOST = 100  # jobs that are played
FRESH_SECONDS = 1.0
REST = 10  # times as long as the playing took
ANSWER_SECONDS = 0.5  # a busy pool is not waited for any longer


@dataclass(frozen=True, slots=True)
class Times:
    """On the clock of `State.now`."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Now:
    """What waits, what is painted (whose, and on which clock it will be over), and what pays."""

    state: State
    painting: Mapping[str, tuple[str, Times]]
    paid: Paid = Paid()
    waits: float | None = 0.0  # GPU seconds of all that waits; None where some are not known


@dataclass(frozen=True, slots=True)
class Look:
    """Asks the pool how things stand."""

    answer: Future[Now] = field(default_factory=Future)


def play(seen: Now, most: int = MOST) -> dict[str, Times]:
    """The times of what is painted, and of so many that wait."""
    state = seen.state
    found = {job: times for job, (_, times) in seen.painting.items()}
    lines: dict[Line, list[Waiting]] = {
        line: list(jobs[:most]) for line, jobs in state.lines.items()
    }
    until = {gpu.name: gpu.free_at for gpu in state.gpus}
    residents, had = list(state.residents), dict(state.had)
    ending = [(times.ends, owner) for owner, times in seen.painting.values()]
    passed, now, left = state.passed, state.now, most
    while left > 0 and any(lines.values()):
        running = Counter(owner for ends, owner in ending if ends > now)
        decision = schedule(
            replace(
                state,
                now=now,
                lines={line: jobs for line, jobs in lines.items() if jobs},
                gpus=[replace(gpu, free_at=until[gpu.name]) for gpu in state.gpus],
                residents=residents,
                had=had,
                running=running,
                passed=passed,
            )
        )
        passed = decision.passed
        running.update(start.owner for start in decision.starts)
        firsts = [_take(lines, start.job) for start in decision.starts]  # none is a companion
        for start, first in zip(decision.starts, firsts, strict=True):
            slot = "+".join(start.gpus)
            at_once, _ = seen.paid.at_once(first.kind, slot)
            alike = _alike(lines, first) if at_once > first.pictures else ()
            room = at_once - first.pictures
            beside = companions(alike, room, had, running, state.most_running)
            jobs = [first, *(_take(lines, one.job) for one in beside)]
            pictures = min(at_once, sum(job.pictures for job in jobs))
            saved = 1 - seen.paid.cost(first.kind, slot, pictures)
            ends = now + start.loads * state.needs[first.model].load_seconds
            for job in jobs:
                ends += inf if job.seconds is None else job.seconds - saved * job.shared
            for job in jobs:
                found[job.job] = Times(now, ends)
                ending.append((ends, job.owner))
                given = len(start.gpus) * (job.seconds or 1.0)
                had[job.owner] = had.get(job.owner, 0.0) + given
            running.update(one.owner for one in beside)
            until |= dict.fromkeys(start.gpus, ends)
            residents = [one for one in residents if one not in start.leave]
            residents += [Resident(first.model, start.gpus)] * start.loads
            left -= len(jobs)
        later = [end for end in until.values() if end is not None and isfinite(end)]
        if not later:
            break
        now = max(now, min(later))
        until = {name: end if end and end > now else None for name, end in until.items()}
    return found


def _alike(lines: Mapping[Line, Sequence[Waiting]], first: Waiting) -> list[Waiting]:
    """What may share a pass with it, in the order of arrival."""
    rank, _, model = first.line
    there = (jobs for line, jobs in lines.items() if (line[0], line[2]) == (rank, model))
    return sorted(
        (one for jobs in there for one in jobs if one.kind == first.kind),
        key=lambda one: one.turn,
    )


def _take(lines: dict[Line, list[Waiting]], job: str) -> Waiting:
    """Mostly the head of its line; one that waits gladly lets others go before it."""
    for jobs in lines.values():
        for place, waiting in enumerate(jobs):
            if waiting.job == job:
                return jobs.pop(place)
    raise KeyError(job)


class Forecaster:
    """The times as they stood a moment ago, for any thread."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = threading.Lock()
        self._known: Mapping[str, Times] = {}
        self._due = 0.0

    def times(self, job: str) -> Times | None:
        """In seconds since 1970; None where they cannot be known."""
        with self._lock:
            if time.monotonic() >= self._due:
                self._look()
            return self._known.get(job)

    def now(self) -> Now | None:
        """How things stand; None while the pool is too busy to say."""
        look = Look()
        self._inbox.put(look)
        try:
            return look.answer.result(ANSWER_SECONDS)
        except TimeoutError:
            return None

    def _look(self) -> None:
        began = time.monotonic()
        seen = self.now()
        if seen is None:
            self._known, self._due = {}, time.monotonic() + FRESH_SECONDS
            return
        try:
            played = play(seen)
        except Exception:  # a job is shown without its times rather than not at all
            log.exception("the forecast stumbled")
            played = {}
        shift = time.time() - time.monotonic()
        self._known = {
            job: Times(times.begins + shift, times.ends + shift)
            for job, times in played.items()
            if isfinite(times.ends)
        }
        now = time.monotonic()
        self._due = now + max(FRESH_SECONDS, REST * (now - began))
