"""Many jobs, one after another: what they open they close (F47)."""

import gc
import os
import resource
import threading

import pytest

from studio.jobs import fake
from tests.conftest import OpenStudio
from tests.jobs.test_pool import wish

WARM, MANY = 100, 800


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _memory() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
def test_many_jobs_leave_nothing_behind(open_studio: OpenStudio) -> None:
    slots = fake.FakeSlot("a"), fake.FakeSlot("b")
    studio = open_studio(*slots)

    def paint(count: int) -> None:
        for job in studio.line.submit([wish(width=64, height=64) for _ in range(count)]):
            assert studio.line.wait(job.id, 60).job.state == "done"
        for slot in slots:
            slot.asked.clear()  # the fakes remember for other tests

    paint(WARM)
    before = (threading.active_count(), _open_files(), _memory())
    for _ in range(MANY // WARM):
        paint(WARM)
    after = (threading.active_count(), _open_files(), _memory())
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2] * 1.1 + 8 * 2**20
