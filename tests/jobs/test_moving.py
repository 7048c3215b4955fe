"""The line is paused and goes on; who waits is moved, and stays where he was put."""

import threading

import pytest

from studio.jobs import fake
from studio.jobs.forecast import Look
from studio.jobs.inbox import Paused
from studio.jobs.studio import Studio
from studio.store.rows import Before, Job
from studio.store.store import Store
from tests.conftest import OpenStudio, behind
from tests.jobs.test_pool import until, wish


def heard(studio: Studio) -> None:
    """Until the pool has done all that it was told before."""
    look = Look()
    studio.pool.inbox.put(look)
    look.answer.result(10)


def test_a_line_that_was_paused_is_paused_after_a_restart(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.line.pause(True)
    (job,) = studio.line.submit([wish()])
    studio.close()
    slot = fake.FakeSlot()
    again = open_studio(slot)
    heard(again)
    assert not slot.asked
    again.line.pause(False)
    assert again.line.wait(job.id, 60).job.state == "done"


def test_nothing_is_begun_after_a_pause_though_the_pool_was_just_choosing(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooses, paused = threading.Event(), threading.Event()
    waiting = Store.waiting

    def slowly(store: Store, limit: int | None = None) -> list[Job]:
        chooses.set()
        paused.wait(10)
        return waiting(store, limit)

    monkeypatch.setattr(Store, "waiting", slowly)
    slot = fake.FakeSlot()
    studio = open_studio(slot)
    assert chooses.wait(10)
    studio.line.pause(True)
    jobs = studio.line.submit([wish(), wish()])
    paused.set()
    heard(studio)
    assert not slot.asked
    assert {studio.store.job(job.id).state for job in jobs} == {"queued"}
    studio.line.pause(False)
    assert {studio.line.wait(job.id, 60).job.state for job in jobs} == {"done"}


def test_what_was_moved_is_painted_in_the_new_order_after_a_restart_too(
    open_studio: OpenStudio,
) -> None:
    studio = open_studio()
    studio.line.pause(True)
    jobs = [job.id for job in studio.line.submit([wish() for _ in range(4)])]
    studio.line.move(jobs[3], "first")
    studio.close()
    studio = open_studio()
    studio.line.move(jobs[0], "last")
    studio.line.pause(False)
    began = [studio.line.wait(job, 60).job.started_at or 0 for job in jobs]
    assert sorted(range(4), key=began.__getitem__) == [3, 1, 2, 0]


def test_who_waits_is_moved_while_another_is_painted(open_studio: OpenStudio) -> None:
    door = threading.Event()
    slot = fake.FakeSlot("a", behind(door))
    studio = open_studio(slot)
    studio.line.submit([wish()])
    until(lambda: slot.asked)
    jobs = [job.id for job in studio.line.submit([wish(seed=n) for n in range(3)])]
    studio.line.move(jobs[2], "first")
    studio.line.move(jobs[0], Before(jobs[1]))  # where it is
    door.set()
    began = [studio.line.wait(job, 60).job.started_at or 0 for job in jobs]
    assert sorted(range(3), key=began.__getitem__) == [2, 0, 1]


def test_of_a_pause_and_a_resume_at_once_the_last_one_counts(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.line.pause(True)
    studio.line.pause(False)
    studio.line.pause(True)
    studio.line.inbox.put(Paused())  # of the resume, told last
    (later,) = studio.line.submit([wish()])
    heard(studio)
    assert studio.store.job(later.id).state == "queued"


def test_a_move_and_another_class_read_nobody_else_again(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = threading.Event()
    slot = fake.FakeSlot("a", behind(door))
    studio = open_studio(slot)
    studio.line.submit([wish()])
    until(lambda: slot.asked)
    jobs = [job.id for job in studio.line.submit([wish() for _ in range(4)])]
    heard(studio)
    reads: list[int | None] = []
    monkeypatch.setattr(Store, "waiting", lambda _, limit=None: reads.append(limit) or [])
    studio.line.move(jobs[3], "first")
    studio.line.reprioritise(jobs[2], "high")
    studio.line.move(jobs[0], "last")
    door.set()
    began = [studio.line.wait(job, 60).job.started_at or 0 for job in jobs]
    assert sorted(range(4), key=began.__getitem__) == [2, 3, 1, 0]
    assert not reads
