"""GPUs of a cluster: held while they are used, by one worker each; machines that come and go."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from studio.jobs import fake
from studio.jobs.slot import Gone, Inbox
from studio.messages import FromWorker, Paint, Painted, Progress
from studio.settings import Settings
from tests.conftest import endless
from tests.jobs.test_pool import until
from tests.jobs.test_seats import NARROW, WIDE, House, open_house, presets, two_models

__all__ = ["presets"]  # the fixture


@dataclass
class Watched:
    """Who has a worker. On a GPU of a cluster there is one, or Ray would let the second wait."""

    alive: set[str] = field(default_factory=set)
    doubled: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched()
    start, kill = fake.FakeSlot.start, fake.FakeSlot.kill

    def begin(slot: fake.FakeSlot, inbox: object, life: int) -> None:
        seen.doubled += [gpu for gpu in slot.name.split("+") if gpu in seen.alive]
        seen.alive |= set(slot.name.split("+"))
        seen.begun.append(slot.name)
        start(slot, inbox, life)  # type: ignore[arg-type]

    def end(slot: fake.FakeSlot) -> None:
        seen.alive -= set(slot.name.split("+"))
        kill(slot)

    monkeypatch.setattr(fake.FakeSlot, "start", begin)
    monkeypatch.setattr(fake.FakeSlot, "kill", end)
    return seen


@pytest.fixture
def house(settings: Settings, presets: Path) -> Iterator[House]:
    leases = settings.model_copy(update={"lease_seconds": 0.3})
    house = open_house(leases, presets, 0, partial(fake.paint, step_seconds=0.05))
    yield house
    house.studio.close()


def test_without_a_machine_jobs_wait_and_the_first_that_comes_paints_them(house: House) -> None:
    jobs = house.submit(NARROW, NARROW)
    time.sleep(0.2)
    assert {house.studio.store.job(job).state for job in jobs} == {"queued"}
    house.has("a:gpu0")
    assert house.end(jobs) == ["a:gpu0"] * 2


def test_a_gpu_is_held_from_its_first_job_until_it_rests(house: House, watched: Watched) -> None:
    house.has("a:gpu0", "a:gpu1")
    time.sleep(0.1)
    assert watched.alive == set()
    house.end(house.submit(NARROW))
    (used,) = watched.begun
    until(lambda: not watched.alive)
    states = {view.name: view.state for view in house.studio.pool.views()}
    assert set(states.values()) == {"resting"}
    assert house.end(house.submit(NARROW)) == [used]


def test_wide_and_narrow_never_hold_the_same_gpu(house: House, watched: Watched) -> None:
    house.has("a:gpu0", "a:gpu1", "b:gpu0")
    jobs = house.submit(*[NARROW, WIDE, NARROW, NARROW] * 4)
    slots = house.end(jobs)
    assert {slots[place] for place in (1, 5, 9, 13)} == {"a:gpu0+a:gpu1"}
    assert watched.doubled == []
    assert "b:gpu0" in slots


def test_the_job_of_a_lost_machine_is_painted_once_by_another(house: House) -> None:
    house.slots["a:gpu0"] = fake.FakeSlot("a:gpu0", endless, machine="a", leased=True)
    house.has("a:gpu0")
    (job,) = house.submit(NARROW)
    until(lambda: house.studio.line.view(job).live.step)
    house.has("b:gpu0")
    assert house.end([job]) == ["b:gpu0"]
    assert house.studio.store.job(job).crashes == 1
    assert [view.name for view in house.studio.pool.views()] == ["b:gpu0"]


def test_a_lost_machine_that_is_slow_to_say_so_holds_up_nobody(house: House) -> None:
    painted = threading.Event()

    class Slow(fake.FakeSlot):
        def kill(self) -> None:
            threading.Thread(target=self._end, daemon=True).start()

        def _end(self) -> None:
            painted.wait(60)
            super().kill()

    house.slots["a:gpu0"] = Slow("a:gpu0", house.script, machine="a", leased=True)
    house.has("a:gpu0")
    house.end(house.submit(NARROW))
    house.has("b:gpu0")
    assert house.end(house.submit(NARROW)) == ["b:gpu0"]
    painted.set()


def test_a_job_is_not_blamed_for_a_gpu_that_never_came(settings: Settings, presets: Path) -> None:
    class Pending(fake.FakeSlot):
        def start(self, inbox: Inbox, life: int) -> None:
            self._inbox, self._life = inbox, life  # somebody else of the cluster has the GPU

        def send(self, message: object) -> None:
            pass

    house = open_house(settings.model_copy(update={"load_seconds": 0.6}), presets, 0)
    house.slots["a:gpu0"] = Pending("a:gpu0", machine="a", leased=True)
    house.has("a:gpu0")
    (job,) = house.submit(NARROW)
    until(lambda: house.studio.store.job(job).attempts > 2)
    house.has("b:gpu0")
    assert house.end([job]) == ["b:gpu0"]
    assert house.studio.store.job(job).crashes <= 1  # of the machine that went
    house.studio.close()


def test_a_wide_model_is_as_wide_as_the_machines_that_are_there(house: House) -> None:
    house.has("a:gpu0", "b:gpu0")
    assert house.end(house.submit(WIDE)) in (["a:gpu0"], ["b:gpu0"])
    house.has("c:gpu0", "c:gpu1")
    assert house.end(house.submit(WIDE)) == ["c:gpu0+c:gpu1"]


@given(
    faults=st.lists(
        st.sampled_from(["none", "dropped", "doubled", "turned", "late", "lost"]),
        min_size=6,
        max_size=6,
    )
)
@examples(max_examples=10, deadline=None)
def test_a_careless_carrier_neither_loses_nor_doubles_a_picture(
    tmp_path_factory: pytest.TempPathFactory, faults: Sequence[str]
) -> None:
    """F45"""
    plan, guard = iter(faults), threading.Lock()
    late: list[FromWorker | Gone] = []

    def carried(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        with guard:
            first = house.studio.store.job(message.job).attempts == 1
            fault = next(plan, "none") if first else "none"
        words = list(fake.paint(message, cancelled))
        match fault:
            case "dropped":
                words = [word for word in words if not isinstance(word, Painted)]
            case "doubled":
                words = [word for word in words for _ in range(2)]
            case "turned":
                words.reverse()
            case "late":  # after the worker was given up, and another has the job
                late.append(words.pop())
            case "lost":
                words = [word for word in words if isinstance(word, Progress)] + [Gone("lost")]
        yield from words
        if fault == "none":
            yield from late

    folder = tmp_path_factory.mktemp("house")
    settings = Settings(data=folder / "data", load_seconds=0.3, step_seconds=0.3, drain_seconds=0)
    house = open_house(settings, two_models(folder / "presets"), 0, carried)
    try:
        house.has("a:gpu0", "b:gpu0")
        jobs = house.submit(*[NARROW] * 6)
        with pytest.MonkeyPatch.context() as patch:  # a busy machine may be slower than that
            patch.setattr("studio.jobs.ends.MAX_CRASHES", 20)
            house.end(jobs)
        for job in jobs:
            assert len(house.studio.line.view(job).pictures) == 1
    finally:
        house.studio.close()
