"""The line is paused and goes on; who waits is moved, and stays where he was put."""

import time

from studio.jobs import fake
from studio.jobs.inbox import Rearranged
from studio.store.rows import Before
from tests.conftest import OpenStudio, slow_slot
from tests.jobs.test_pool import until, wish


def test_a_line_that_was_paused_is_paused_after_a_restart(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.line.pause(True)
    (job,) = studio.line.submit([wish()])
    studio.close()
    slot = fake.FakeSlot()
    again = open_studio(slot)
    time.sleep(0.3)
    assert not slot.asked
    again.line.pause(False)
    assert again.line.wait(job.id, 10).job.state == "done"


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
    began = [studio.line.wait(job, 10).job.started_at or 0 for job in jobs]
    assert sorted(range(4), key=began.__getitem__) == [3, 1, 2, 0]


def test_who_waits_is_moved_while_another_is_painted(open_studio: OpenStudio) -> None:
    slot = slow_slot()
    studio = open_studio(slot)
    studio.line.submit([wish(steps=20)])
    until(lambda: slot.asked)
    jobs = [job.id for job in studio.line.submit([wish(steps=2, seed=n) for n in range(3)])]
    studio.line.move(jobs[2], "first")
    studio.line.move(jobs[0], Before(jobs[1]))  # where it is
    began = [studio.line.wait(job, 10).job.started_at or 0 for job in jobs]
    assert sorted(range(3), key=began.__getitem__) == [2, 0, 1]


def test_a_pause_and_a_move_at_once_leave_the_line_paused(open_studio: OpenStudio) -> None:
    studio = open_studio()
    studio.line.pause(True)
    (job,) = studio.line.submit([wish()])
    studio.line.reprioritise(job.id, "high")
    studio.line.pause(False)
    studio.line.pause(True)
    studio.line.inbox.put(Rearranged(studio.store.job(job.id)))  # read before, told after
    time.sleep(0.2)
    (later,) = studio.line.submit([wish()])
    time.sleep(0.2)
    assert studio.store.job(later.id).state == "queued"
