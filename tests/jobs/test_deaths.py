"""Workers that die, fall silent, wear out or speak after their time: no job is lost or doubled."""

import threading
import time
from collections.abc import Iterator

import pytest

from studio.jobs import fake
from studio.jobs.seats import RESTS
from studio.jobs.slot import Gone, Inbox
from studio.messages import FromWorker, Loading, Paint, Painted, Progress, Worn
from tests.conftest import OpenStudio
from tests.jobs.test_pool import paint, until, wish


def dying(times: int) -> fake.Script:
    """A worker that dies in the middle of its first jobs."""
    lives = iter(range(times))

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if next(lives, None) is not None:
            yield Progress(message.job, message.token, 0, 1, 2)
            yield Gone("killed by SIGKILL")
        else:
            yield from fake.paint(message, cancelled)

    return script


def test_the_job_of_a_dead_worker_is_put_back_and_painted(open_studio: OpenStudio) -> None:
    studio = open_studio(fake.FakeSlot(script=dying(1)))
    view = paint(studio)
    assert view.job.state == "done"
    assert view.job.crashes == 1


@pytest.mark.parametrize("how", ["killed by SIGSEGV", "left with exit code 0"])
def test_however_a_worker_ends_its_job_is_painted_and_says_how(
    open_studio: OpenStudio, how: str
) -> None:
    """F02"""
    lives = iter([how])

    def ends(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if last := next(lives, None):
            yield Gone(last)
        else:
            yield from fake.paint(message, cancelled)

    studio = open_studio(fake.FakeSlot(script=ends))
    view = paint(studio)
    assert (view.job.state, view.job.crashes) == ("done", 1)
    assert f"worker {how}" in [event.note for event in studio.store.events(view.job.id)]


def test_a_job_that_kills_every_worker_is_stopped_and_the_others_are_painted(
    open_studio: OpenStudio,
) -> None:
    """F03"""

    def poisoned(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if message.request["prompt"] == "poison":
            yield Gone("was killed by SIGSEGV")
            return
        yield from fake.paint(message, cancelled)

    studio = open_studio(fake.FakeSlot(script=poisoned))
    wishes = [wish(prompt="poison" if number == 3 else "tea") for number in range(21)]
    views = [studio.line.wait(job.id, 60) for job in studio.line.submit(wishes)]
    poison = views.pop(3)
    assert (poison.job.state, poison.job.error_code) == ("failed", "worker_died")
    assert "died twice while painting this (was killed by SIGSEGV)" in poison.words
    assert (poison.job.attempts, poison.job.crashes) == (2, 2)
    assert {view.job.state for view in views} == {"done"}
    assert {view.job.crashes for view in views} == {0}


def test_a_worn_worker_is_followed_by_a_new_one_and_no_job_is_blamed(
    open_studio: OpenStudio,
) -> None:
    lives = iter([True])

    def wears_out(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        for said in fake.paint(message, cancelled):
            if isinstance(said, Painted) and next(lives, False):
                yield Worn("ran out of memory 2 times")
            yield said

    begun: list[int] = []

    class Watched(fake.FakeSlot):
        def start(self, inbox: Inbox, life: int) -> None:
            begun.append(life)
            super().start(inbox, life)

    studio = open_studio(Watched(script=wears_out))
    views = [studio.line.wait(job.id, 60) for job in studio.line.submit([wish(), wish()])]
    assert [(view.job.state, view.job.crashes) for view in views] == [("done", 0)] * 2
    assert begun == [1, 2]


def test_the_words_of_a_worker_that_lost_its_lease_are_dropped(open_studio: OpenStudio) -> None:
    """The dead worker's result arrives after the job went to another: one picture is kept."""
    stale: list[FromWorker | Gone] = []

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        words = list(fake.paint(message, cancelled))
        if not stale:
            stale.append(words[-1])
            yield Gone("killed by SIGKILL")
        yield from (stale[0], *words)

    studio = open_studio(fake.FakeSlot(script=script))
    view = paint(studio)
    assert isinstance(stale[0], Painted)
    assert stale[0].token < view.job.token
    assert len(view.pictures) == 1


def test_a_slot_that_does_not_come_up_rests_and_the_others_paint(open_studio: OpenStudio) -> None:
    """F06"""
    begun: list[float] = []

    class Broken(fake.FakeSlot):
        def start(self, inbox: Inbox, life: int) -> None:
            begun.append(time.monotonic())
            raise OSError(12, "Cannot allocate memory")

    studio = open_studio(Broken("broken"), fake.FakeSlot("whole"))
    jobs = studio.line.submit([wish() for _ in range(20)])
    assert {studio.line.wait(job.id, 60).job.slot for job in jobs} == {"whole"}
    until(lambda: len(begun) >= 2)
    rests = [later - one for one, later in zip(begun, begun[1:], strict=False)]
    assert all(rest >= least for rest, least in zip(rests, RESTS[1:], strict=False)), rests
    broken, whole = studio.pool.views()
    assert (broken.state, whole.state) == ("restarting", "idle")
    assert "could not begin: [Errno 12] Cannot allocate memory; a new one" in broken.reason
    assert [studio.store.job(job.id).crashes for job in jobs] == [0] * 20


def test_a_silent_worker_is_killed_and_its_job_painted_elsewhere(open_studio: OpenStudio) -> None:
    silent = threading.Event()

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if not silent.is_set():
            silent.set()
            yield Loading(message.job, message.token, "loading for ever")
            return
        yield from fake.paint(message, cancelled)

    studio = open_studio(fake.FakeSlot(script=script), load_seconds=1.0)
    view = paint(studio)
    assert view.job.state == "done"
    assert view.job.crashes == 1
