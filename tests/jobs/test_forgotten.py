"""Whatever breaks between the line and a slot: no job is forgotten, no slot stands still."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import Unavailable
from studio.jobs import fake
from studio.jobs.inbox import Machines
from studio.jobs.slot import Gone, Inbox
from studio.messages import FromWorker, Paint
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from tests.conftest import OpenStudio
from tests.jobs.test_pool import until, wish
from tests.jobs.test_seats import NARROW, WIDE, open_house, presets

__all__ = ["presets"]  # the fixture


def test_who_is_put_back_into_a_full_line_is_painted_too(open_studio: OpenStudio) -> None:
    lives, go = iter([1]), threading.Event()

    def dies_once(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        if next(lives, None):
            go.wait(10)
            yield Gone("was killed")
        else:
            yield from fake.paint(message, stop)

    studio = open_studio(fake.FakeSlot(script=dies_once), max_waiting=3)
    jobs = studio.line.submit([wish()])
    until(lambda: studio.store.job(jobs[0].id).state == "running")
    jobs += studio.line.submit([wish() for _ in range(3)])
    go.set()
    assert {studio.line.wait(job.id, 60).job.state for job in jobs} == {"done"}


def test_a_line_longer_than_may_wait_now_is_painted_to_its_end(open_studio: OpenStudio) -> None:
    locked = fake.FakeSlot(script=lambda message, stop: iter(()))
    before = open_studio(locked)
    jobs = before.line.submit([wish() for _ in range(6)])
    before.close()
    studio = open_studio(max_waiting=3)
    assert {studio.line.wait(job.id, 60).job.state for job in jobs} == {"done"}


@pytest.mark.parametrize("model", [NARROW, WIDE])
def test_a_worker_that_cannot_begin_is_tried_again(
    settings: Settings, presets: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    start, refusals = fake.FakeSlot.start, iter([model])

    def begins(slot: fake.FakeSlot, inbox: Inbox, life: int) -> None:
        wide = "+" in slot.name
        if wide == (model == WIDE) and next(refusals, None):
            raise OSError(11, "Resource temporarily unavailable")
        start(slot, inbox, life)

    monkeypatch.setattr(fake.FakeSlot, "start", begins)
    house = open_house(settings, presets, {NARROW: 1, WIDE: 2}[model])
    house.end(house.submit(model, model))
    house.studio.close()


def test_of_two_starts_the_second_finds_its_room_made_by_the_first(
    settings: Settings, presets: Path
) -> None:
    """On leased GPUs a worker is alone: a model that had to leave has left with it already."""
    narrow = (presets / "models" / "narrow.toml").read_text()
    big = narrow.replace("memory_gb = 9\n", "memory_gb = 20\n")
    (presets / "models" / "big.toml").write_text(big)
    house = open_house(settings, presets, 0)
    slots = [fake.FakeSlot(f"a:gpu{n}", gb=32.0, machine="a", leased=True) for n in (0, 1)]
    house.studio.pool.inbox.put(Machines([(slot, "for tests") for slot in slots]))
    house.end(house.submit(WIDE))
    house.end(house.submit(NARROW, "big"))
    house.studio.close()


def test_a_claim_whose_answer_was_lost_is_found_again(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, lost = Store.claim, []

    def unheard(store: Store, job: str, slot: str) -> Job | None:
        claimed = claim(store, job, slot)
        if not lost:
            lost.append(job)
            raise Unavailable("The database does not answer.")
        return claimed

    studio = open_studio()
    monkeypatch.setattr(Store, "claim", unheard)
    (job,) = studio.line.submit([wish()])
    view = studio.line.wait(job.id, 60)
    assert (lost, view.job.state, view.job.crashes) == ([job.id], "done", 0)


def test_a_picture_that_has_to_be_killed_to_stop_is_nobodys_crash(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the slot rest for it, however often."""
    monkeypatch.setattr("studio.jobs.pool.CANCEL_SECONDS", 0.05)
    lives, begun = iter([1]), threading.Semaphore(0)

    def deaf(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        if next(lives, None):
            yield Gone("was killed")
        begun.release()
        time.sleep(5)

    studio = open_studio(fake.FakeSlot(script=deaf))
    for _ in range(7):
        (job,) = studio.line.submit([wish()])
        assert begun.acquire(timeout=60)
        studio.line.cancel(job.id)
        assert studio.line.wait(job.id, 60).job.state == "cancelled"
