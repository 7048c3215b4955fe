"""Random histories of the line against a model of it: the promises I1 to I11 of the durable queue.

Jobs come, change their places, are claimed, kept, failed, cancelled, put back, by the right token
and by old ones, with full disks and restarts between; after every step the store says what the
model says.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from studio.errors import Conflict, TooMany, Unavailable
from studio.request import Priority
from studio.settings import Settings
from studio.store.marks import Marks
from studio.store.rows import Before, Job, Room, State
from studio.store.store import Store
from tests.store.kit import FailsAt, WatchedFiles, files_in, painted, submit, wish

MOST = 6  # jobs that may wait
Lies = Literal["shown", "in the trash", "gone"]
OWNERS = st.sampled_from(["ann", "bob"])
PRIORITIES = st.sampled_from(["urgent", "high", "normal", "low"])


class Stubborn(WatchedFiles):
    """Also what is removed is watched."""

    def remove(self, path: Path) -> None:
        self.watch("remove", path)
        super().remove(path)


@dataclass
class Expected:
    priority: int
    turn: int
    owner: str
    state: State = "queued"
    token: int = 0
    attempts: int = 0
    crashes: int = 0
    stopping: bool = False
    tokens: list[int] = field(default_factory=list)
    lies: Lies = "shown"  # its picture, once there is one

    @property
    def rank(self) -> tuple[int, int]:
        return -self.priority, self.turn


class Line(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="darkroom-line-")
        self.settings = Settings(data=Path(self.folder.name))
        shutil.copyfile(_new_database(), self.settings.data / "darkroom.db")
        self.fails = FailsAt()
        self.expected: dict[str, Expected] = {}
        self.keys: dict[str, str] = {}
        self.store = self._open()

    def _open(self) -> Store:
        return Store.open(self.settings, files=Stubborn(lambda *effect: self.fails(*effect)))

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        for job in self.store.jobs(limit=1000):
            states = [event.to_state for event in self.store.events(job.id)]
            befores = [event.from_state for event in self.store.events(job.id)]
            assert befores == [None, *states[:-1]], "I10: events replay"
            assert states[-1] == job.state
        self.store.close()
        self.folder.cleanup()

    # What may happen

    @rule(target=jobs, priorities=st.lists(PRIORITIES, min_size=1, max_size=3), owner=OWNERS)
    def submit_batch(self, priorities: list[str], owner: str) -> object:
        waiting = self._waiting()
        wishes = [wish(priority=priority, owner=owner) for priority in priorities]
        try:
            entered = submit(self.store, *wishes, room=Room(MOST))
        except TooMany:
            assert len(waiting) + len(wishes) > MOST
            return multiple()  # I9: the model keeps none of them, so the store must not either
        assert len(waiting) + len(wishes) <= MOST
        return multiple(*(self._entered(job) for job in entered))

    @precondition(lambda self: len(self._waiting()) < MOST)
    @rule(target=jobs, key=st.sampled_from("ab"))
    def submit_with_key(self, key: str) -> str:
        (job,) = submit(self.store, key=key, body_hash=key, room=Room(MOST))
        if key not in self.keys:
            self.keys[key] = self._entered(job)
        assert self.keys[key] == job.id, "I11: one key, one job"
        return job.id

    @rule()
    def claim_the_next(self) -> None:
        """I6: whoever is first by priority and arrival is next."""
        waiting = self._waiting()
        first = self.store.waiting(limit=1)
        assert [job.id for job in first] == waiting[:1]
        if first:
            self._claim(first[0].id)

    @rule(job=jobs)
    def claim_any(self, job: str) -> None:
        self._claim(job)

    @rule(job=jobs, old=st.booleans())
    def keep(self, job: str, old: bool) -> None:
        self._end(job, old, "done", lambda token: self._keep(job, token) is not None)

    @rule(job=jobs, effect=st.integers(1, 11), for_good=st.booleans())
    def keep_on_a_full_disk(self, job: str, effect: int, for_good: bool) -> None:
        before = self.expected[job]
        self.fails = FailsAt(effect, for_good=for_good)
        try:
            kept = self._keep(job, before.token)
        except Unavailable:
            assert before.state == "running"
        else:
            assert kept is None or before.state in ("running", "done")
            if kept is not None:
                before.state = "done"
        finally:
            self.fails = FailsAt()

    @rule(job=jobs, old=st.booleans())
    def fail(self, job: str, old: bool) -> None:
        self._end(job, old, "failed", lambda token: self.store.fail(job, token, "x", "y"))

    @rule(job=jobs, old=st.booleans())
    def stopped(self, job: str, old: bool) -> None:
        self._end(job, old, "cancelled", lambda token: self.store.cancelled(job, token))

    @rule(job=jobs, old=st.booleans(), crashed=st.booleans())
    def requeue(self, job: str, old: bool, crashed: bool) -> None:
        expected = self.expected[job]
        token = expected.token - old
        won = self.store.requeue(job, token, crashed=crashed, note="for a test")
        assert won == (expected.state == "running" and not old)
        if won:
            expected.crashes += crashed
            self._back(expected)

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        expected = self.expected[job]
        if expected.state == "queued":
            expected.state = "cancelled"
        elif expected.state == "running":
            expected.stopping = True
        assert self.store.cancel(job).state == expected.state

    @rule(job=jobs, to=st.sampled_from(["first", "last", "before"]), other=jobs)
    def move(self, job: str, to: str, other: str) -> None:
        """Those of an owner and class exchange their turns, and whose turn is when stays."""
        expected, waiting = self.expected[job], self._waiting()
        owners = [self.expected[name].owner for name in waiting]
        its = [name for name in waiting if self._alike(name, job)]
        allowed = job in its and (to != "before" or other in its)
        try:
            moved = self.store.move(job, Before(other) if to == "before" else to)  # type: ignore[arg-type]
        except Conflict:
            assert not allowed
            return
        assert allowed
        turns = [self.expected[name].turn for name in its]
        rest = [name for name in its if name != job]
        ends = {"first": 0, "last": len(rest)}
        at = ends[to] if to in ends else (its if other == job else rest).index(other)
        for name, turn in zip([*rest[:at], job, *rest[at:]], turns, strict=True):
            self.expected[name].turn = turn
        assert moved.turn == expected.turn
        assert [self.expected[name].owner for name in self._waiting()] == owners

    @rule(job=jobs, priority=PRIORITIES)
    def change_class(self, job: str, priority: Priority) -> None:
        expected = self.expected[job]
        try:
            expected.priority = self.store.reprioritise(job, priority).priority
        except Conflict:
            assert expected.state != "queued"

    @rule(job=jobs, back=st.booleans())
    def throw_away(self, job: str, back: bool) -> None:
        expected = self.expected[job]
        if expected.state != "done" or expected.lies == "gone":
            return
        (picture,) = self.store.pictures(job=job)
        changed = self.store.history.mark([picture.id], Marks(trash=not back))
        now: Lies = "shown" if back else "in the trash"
        assert changed == (expected.lies != now)
        expected.lies = now

    @rule(effect=st.integers(0, 4))
    def empty_the_trash(self, effect: int) -> None:
        """Also on a disk that fails: the rows are gone at once, and the files sooner or later."""
        self.fails = FailsAt(effect)
        with suppress(Unavailable):
            self.store.history.empty_trash()
        self.fails = FailsAt()
        for expected in self.expected.values():
            expected.lies = "gone" if expected.lies == "in the trash" else expected.lies

    @rule()
    def restart(self) -> None:
        """I5, the other way: after a restart no file is there without its row."""
        self.store.close()
        self.store = self._open()
        self.store.recover()
        assert files_in(self.settings.data) == sorted(self.store.names())
        for expected in self.expected.values():
            if expected.state == "running":
                self._back(expected)

    # What must hold

    @invariant()
    def every_job_is_what_the_model_says(self) -> None:
        """I1, I2, I8: acknowledged jobs are there; what is final stays; counts are right."""
        seen = {
            job.id: (job.state, job.token, job.attempts, job.crashes, job.cancel_requested)
            for job in self.store.jobs(limit=1000)
        }
        assert seen == {
            name: (job.state, job.token, job.attempts, job.crashes, job.stopping)
            for name, job in self.expected.items()
        }
        assert [job.id for job in self.store.waiting()] == self._waiting()

    @invariant()
    def pictures_belong_to_the_token_that_won_and_their_files_are_whole(self) -> None:
        """I3, I4, I5, I7; and what is searched is what there is."""
        done = {name: job.lies for name, job in self.expected.items() if job.state == "done"}
        shown = self.store.pictures(limit=1000)
        thrown = [one.picture for one in self.store.history.search("is:trash", limit=200).pictures]
        for lies, found in (("shown", shown), ("in the trash", thrown)):
            its = sorted(name for name, where in done.items() if where == lies)
            assert sorted(picture.job for picture in found) == its
        assert self.store.history.search("car").total == len(shown)
        for picture in (*shown, *thrown):
            assert picture.recipe == {"by": self.expected[picture.job].token}
            assert hashlib.sha256(self.store.file(picture).read_bytes()).hexdigest() == (
                picture.sha256
            )
        for job in self.expected.values():
            assert job.tokens == sorted(set(job.tokens))

    # Below

    def _entered(self, job: Job) -> str:
        self.expected[job.id] = Expected(job.priority, job.seq, job.owner)
        return job.id

    def _waiting(self) -> list[str]:
        waiting = [name for name, job in self.expected.items() if job.state == "queued"]
        return sorted(waiting, key=lambda name: self.expected[name].rank)

    def _alike(self, one: str, other: str) -> bool:
        a, b = self.expected[one], self.expected[other]
        return (a.priority, a.owner) == (b.priority, b.owner)

    def _claim(self, job: str) -> None:
        expected = self.expected[job]
        claimed = self.store.claim(job, "slot0")
        assert (claimed is not None) == (expected.state == "queued")
        if claimed:
            expected.state, expected.token = "running", claimed.token
            expected.attempts += 1
            expected.tokens.append(claimed.token)

    def _back(self, expected: Expected) -> None:
        expected.state = "cancelled" if expected.stopping else "queued"
        expected.token += not expected.stopping

    def _keep(self, job: str, token: int) -> object:
        return self.store.keep(job, painted(self.store.job(job), token=token))

    def _end(self, job: str, old: bool, state: State, act: Callable[[int], bool]) -> None:
        expected = self.expected[job]
        token = expected.token - old
        again = state == "done" == expected.state and not old  # said twice, kept once
        won = act(token)
        assert won == (not old and expected.state == "running") or (won and again)
        if won:
            expected.state = state


@cache
def _new_database() -> Path:
    """Its tables are made once; each history begins with a copy."""
    folder = Path(tempfile.mkdtemp(prefix="darkroom-new-"))
    atexit.register(shutil.rmtree, folder)
    Store.open(Settings(data=folder)).close()
    return folder / "darkroom.db"


DEEP = hypothesis_settings.get_current_profile_name() == "deep"
Line.TestCase.settings = hypothesis_settings(
    max_examples=hypothesis_settings().max_examples if DEEP else 40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLine = pytest.mark.timeout(4 * 3600 if DEEP else 120)(Line.TestCase)
