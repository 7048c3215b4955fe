"""Side by side: who shares a pass, how many at once pays, and what each job of a pass is spared."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from studio.errors import Unavailable
from studio.jobs import fake
from studio.jobs.estimate import Estimates
from studio.jobs.slot import Gone
from studio.jobs.state import Need, Waiting
from studio.jobs.studio import Studio
from studio.jobs.together import ENOUGH, Paid, Passes, kind_of
from studio.jobs.turns import Turns
from studio.messages import (
    Failed,
    FromWorker,
    Paint,
    Painted,
    Progress,
    Together,
    ToWorker,
)
from studio.request import ImageRequest, read_request
from studio.store.rows import Job
from studio.store.store import Store
from tests.conftest import OpenStudio, endless
from tests.jobs.test_pool import until


def wish(**fields: object) -> ImageRequest:
    return read_request({"prompt": "a red car", "steps": 2, **fields})


def a_job(slot: str = "a", crashes: int = 0, **fields: object) -> Job:
    asked = {"width": 512, "height": 512, "guidance": 5.0, "steps": 4, "count": 1, "prompt": "x"}
    request = {**wish().model_dump(mode="json"), **asked, **fields}
    nothing = dict.fromkeys(Job.__dataclass_fields__)
    return Job(
        **(nothing | {"model": "sdxl", "request": request, "slot": slot, "crashes": crashes})
    )


KIND = kind_of(a_job())


def taught(*passes: tuple[int, float]) -> Passes:
    """So many at once, and what a step cost each picture."""
    known = Passes()
    for at_once, each in passes:
        for _ in range(ENOUGH):
            known.learn(
                a_job(), {"steps": 4 * each, **({"together": at_once} if at_once > 1 else {})}
            )
    return known


# How many at once


@pytest.mark.parametrize(
    ("passes", "at_once", "why"),
    [
        ((), 1, "not known yet"),
        (((1, 1.0),), 2, "2 at once are being tried"),
        (((1, 1.0), (2, 0.6)), 4, "4 at once are being tried"),
        (((1, 1.0), (2, 0.98)), 1, "2 at once were 1.02 times as fast as 1"),
        (((1, 1.0), (2, 1.3)), 1, "2 at once were 0.77 times as fast as 1"),
        (((1, 1.0), (2, 0.6), (4, 0.59)), 2, "4 at once were 1.02 times as fast as 2"),
        (((1, 1.0), (2, 0.6), (4, 0.4), (8, 0.3)), 8, "8 at once is the most"),
    ],
)
def test_a_number_is_kept_only_if_it_pays(
    passes: tuple[tuple[int, float], ...], at_once: int, why: str
) -> None:
    found, reason = taught(*passes).paid.at_once(KIND, "a")
    assert found == at_once
    assert why in reason


def test_what_one_of_many_costs_is_known_where_it_was_measured() -> None:
    known = taught((1, 1.0), (2, 0.6))
    assert known.paid.cost(KIND, "a", 1) == 1
    assert known.paid.cost(KIND, "a", 3) == pytest.approx(0.6)
    assert known.paid.cost(KIND, "a", 4) == 1
    assert known.paid.cost(KIND, "b", 2) == 1
    known.learn(a_job(), {"steps": 4.0, "too_many": 2})
    assert known.paid.cost(KIND, "a", 2) == 1


def test_a_number_that_did_not_fit_is_not_tried_again() -> None:
    known = taught((1, 1.0), (2, 0.5))
    known.learn(a_job(), {"steps": 4.0, "too_many": 4})
    assert known.paid.at_once(KIND, "a") == (2, "4 at once were too many for the memory")


def test_a_first_pass_with_its_warming_up_does_not_decide() -> None:
    known = taught((1, 1.0))
    for each in (9.0, 0.6, 0.6):
        known.learn(a_job(), {"steps": 4 * each, "together": 2})
    assert known.paid.at_once(KIND, "a")[0] == 4


@pytest.mark.parametrize(
    "other", [a_job(width=1024), a_job(guidance=1.0), replace(a_job(), model="flux")]
)
def test_what_pays_is_asked_for_each_slot_model_size_and_guidance(other: Job) -> None:
    known = taught((1, 1.0))
    assert known.paid.at_once(KIND, "a")[0] == 2
    assert known.paid.at_once(kind_of(other), "a")[0] == 1
    assert known.paid.at_once(KIND, "b")[0] == 1


def test_a_restarted_studio_knows_it_from_its_jobs() -> None:
    estimates = Estimates()
    done = [replace(a_job(), timings={"steps": 4.0}) for _ in range(ENOUGH)]
    done += [replace(a_job(), timings={"steps": 4.4, "together": 2}) for _ in range(ENOUGH)]
    estimates.learn_all(done)
    assert estimates.passes.paid.at_once(KIND, "a")[0] == 1


# Who with whom


def test_words_and_seeds_may_differ_and_nothing_else() -> None:
    for own in ({"prompt": "y"}, {"negative_prompt": "z"}, {"seed": 3}, {"owner": "eve"}):
        assert kind_of(a_job(**own)) == KIND
    for other in (
        {"steps": 5},
        {"width": 256},
        {"sampler": "ddim"},
        {"guidance": 3.0},
        {"upscale": 2},
        {"precision": "bf16"},
        {"loras": [{"name": "mine", "weight": 1.0}]},
        {"something_new": 1},
    ):
        assert kind_of(a_job(**other)) != KIND


def test_start_images_may_differ_where_there_are_some() -> None:
    begun = {"start_image": "a" * 64, "strength": 0.5}
    one, other = (kind_of(a_job(**begun | more)) for more in ({}, {"start_image": "b" * 64}))
    assert one == other != kind_of(a_job())
    assert one != kind_of(a_job(**begun, mask="c" * 64))
    assert one != kind_of(a_job(**begun | {"strength": 0.6}))
    reference = {"references": [{"id": "a" * 64}]}
    assert kind_of(a_job(**reference)) != kind_of(a_job(references=[{"id": "b" * 64}]))


def test_a_job_whose_worker_died_is_alone() -> None:
    one, other = (replace(a_job(crashes=1), id=name) for name in ("j1", "j2"))
    assert len({KIND, kind_of(one), kind_of(other)}) == 3


def turns(*waiting: Waiting, most_running: int | None = None) -> Turns:
    held = Turns({"sdxl": Need()}, most_running)
    for one in waiting:
        held.enter(one, 0.0)
    return held


def waiting(seq: int, owner: str = "ann", kind: str = "k", rank: int = 1, n: int = 1) -> Waiting:
    return Waiting(f"j{seq}", "sdxl", owner, rank, seq, 0.0, 1.0, kind, n)


def beside(held: Turns, room: int, **running: int) -> list[str]:
    return [one.job for one in held.beside("k", 1, room, running)]


def test_companions_are_of_one_kind_and_class_and_leave_the_line() -> None:
    held = turns(waiting(1), waiting(2, kind="other"), waiting(3, rank=2), waiting(4), waiting(5))
    assert beside(held, 2) == ["j1", "j4"]
    assert "j4" not in held
    assert beside(held, 9) == ["j5"]
    assert beside(held, 9) == []
    assert len(held) == 2


def test_owners_take_turns_in_a_pass_too() -> None:
    held = turns(*(waiting(seq) for seq in range(5)), waiting(5, owner="eve"))
    held.charge("ann", 1.0)
    assert beside(held, 3) == ["j5", "j0", "j1"]


def test_a_pass_has_room_for_so_many_pictures_and_an_owner_for_so_many_jobs() -> None:
    assert beside(turns(waiting(1, n=3), waiting(2, n=2), waiting(3)), 3) == ["j1"]
    assert beside(turns(waiting(1, n=3), waiting(2, n=2), waiting(3)), 2) == ["j2"]
    assert beside(turns(waiting(1), waiting(2), most_running=2), 5, ann=1) == ["j1"]


def test_who_leaves_is_beside_nobody() -> None:
    held = turns(waiting(1), waiting(2))
    held.leave("j1")
    assert beside(held, 5) == ["j2"]
    held.clear()
    assert beside(held, 5) == []


# In the pool


class Recording(fake.FakeSlot):
    """Knows which jobs came in one pass."""

    passes: list[list[str]]

    def send(self, message: ToWorker) -> None:
        if isinstance(message, Together):
            self.passes.append([job.job for job in message.jobs])
        super().send(message)


class Crowd:
    """Three jobs teach the slot what one takes; the next ones wait behind a locked door."""

    def __init__(
        self, open_studio: OpenStudio, end: fake.Script = fake.paint, **settings: object
    ) -> None:
        self.door, self.end = threading.Event(), end
        self.slot = Recording("a", self._script)
        self.slot.passes = []
        self.studio: Studio = open_studio(self.slot, **settings)
        for _ in range(ENOUGH):
            self.studio.line.wait(self.studio.line.submit([wish()])[0].id, 60)
        self.slot.asked.clear()

    def submit(self, **fields: object) -> list[Job]:
        """A first one, and two more while it is painted."""
        lock = self.studio.line.submit([wish(steps=9, prompt="lock")])[0]
        until(lambda: self.slot.asked)
        jobs = self.studio.line.submit([wish(seed=seed, **fields) for seed in (1, 2)])
        self.door.set()
        self.studio.line.wait(lock.id, 60)
        return jobs

    def _script(self, message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        if message.request["prompt"] == "lock":
            self.door.wait(60)
            yield from fake.paint(message, stop)
            return
        mates = next((some for some in self.slot.passes if message.job in some), [])
        first = [asked.job for asked in self.slot.asked].count(message.job) == 1
        for word in self.end(message, stop) if mates and first else fake.paint(message, stop):
            if isinstance(word, Painted):
                word.timings.update({"steps": 0.2} | ({"together": len(mates)} if mates else {}))
            yield word


def test_two_that_wait_are_painted_in_one_pass(open_studio: OpenStudio) -> None:
    crowd = Crowd(open_studio)
    jobs = crowd.submit()
    ends = [crowd.studio.line.wait(job.id, 60) for job in jobs]
    assert [end.job.state for end in ends] == ["done", "done"]
    assert [end.pictures[0].seed for end in ends] == [1, 2]
    assert crowd.slot.passes == [[job.id for job in jobs]]
    assert [asked.at_once for asked in crowd.slot.asked[-2:]] == [2, 2]
    assert ends[0].job.timings["together"] == 2
    assert crowd.studio.pool.views()[0].at_once == "2 at once are being tried"


def test_a_pass_gives_no_owner_more_than_may_run_at_once(open_studio: OpenStudio) -> None:
    crowd = Crowd(open_studio, max_running=1)
    ends = [crowd.studio.line.wait(job.id, 60) for job in crowd.submit()]
    assert [end.job.state for end in ends] == ["done", "done"]
    assert crowd.slot.passes == []


def test_companions_count_with_who_begins_at_the_same_time(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paid, "at_once", lambda *asked: (2, "for tests"))
    door = threading.Event()

    def locked(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        door.wait(10)
        yield from fake.paint(message, stop)

    slots = [fake.FakeSlot(name, locked) for name in ("a", "b")]
    studio = open_studio(*slots, max_running=2)
    until(lambda: {view.state for view in studio.pool.views()} == {"idle"})
    jobs = studio.line.submit([wish() for _ in range(6)])
    until(lambda: all(slot.asked for slot in slots))
    assert studio.store.counts()["running"] == 2
    door.set()
    assert {studio.line.wait(job.id, 60).job.state for job in jobs} == {"done"}


def test_a_companion_that_cannot_be_claimed_waits_on(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, failed = Crowd(open_studio), []
    claim = Store.claim

    def fails_once(store: Store, job: str, slot: str) -> Job | None:
        if crowd.door.is_set() and not failed and store.job(job).request["seed"] == 2:
            failed.append(job)
            raise Unavailable("The disk is full.")
        return claim(store, job, slot)

    monkeypatch.setattr(Store, "claim", fails_once)
    jobs = crowd.submit()
    assert [crowd.studio.line.wait(job.id, 60).job.state for job in jobs] == ["done", "done"]
    assert failed == [jobs[1].id]
    assert crowd.slot.passes == []


def test_one_of_a_pass_is_stopped_and_the_other_is_kept(open_studio: OpenStudio) -> None:
    def first_endless(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        return (endless if message.request["seed"] == 1 else fake.paint)(message, stop)

    crowd = Crowd(open_studio, first_endless)
    one, other = crowd.submit()
    until(lambda: len(crowd.slot.asked) == 3)
    assert crowd.studio.pool.views()[0].state == "painting"
    crowd.studio.line.cancel(one.id)
    assert crowd.studio.line.wait(one.id, 60).job.state == "cancelled"
    assert crowd.studio.line.wait(other.id, 60).job.state == "done"


def test_one_of_a_pass_fails_and_the_other_is_kept(open_studio: OpenStudio) -> None:
    def half(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        if message.request["seed"] == 1:
            yield Failed(message.job, message.token, "broken", "It broke.")
        else:
            time.sleep(0.1)
            yield from fake.paint(message, stop)

    crowd = Crowd(open_studio, half)
    one, other = (crowd.studio.line.wait(job.id, 60).job for job in crowd.submit())
    assert (one.state, other.state) == ("failed", "done")
    crowd.door.clear()
    again = crowd.studio.line.wait(crowd.studio.line.submit([wish()])[0].id, 60)
    assert again.job.state == "done"  # the slot is free again


def test_a_dead_worker_gives_all_back_and_none_shares_a_pass_again(open_studio: OpenStudio) -> None:
    def dies(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        yield Progress(message.job, message.token, 0, 1, 2)
        if message.request["seed"] == 1:
            yield Gone("was killed")

    crowd = Crowd(open_studio, dies)
    jobs = crowd.submit()
    ends = [crowd.studio.line.wait(job.id, 60).job for job in jobs]
    assert [(end.state, end.crashes) for end in ends] == [("done", 1), ("done", 1)]
    assert len(crowd.slot.passes) == 1
