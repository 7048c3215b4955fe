"""The next job begins while the last file of the one before is made; what is promised stays so."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from studio.jobs import fake
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.pool import Pool
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone
from studio.messages import Cancel, Failed, FromWorker, Paint, Painted, ToWorker, Writing
from studio.settings import Settings
from studio.store.store import Store
from studio.wishes.presets import load_catalog
from tests.conftest import OpenStudio
from tests.jobs.test_pool import FullDisk, until, wish


class Card(fake.FakeSlot):
    """Its pictures are painted at once. The file of the first is made when `door` opens."""

    def __init__(self, **more: bool) -> None:
        self.door, self.told, self.stopped = threading.Event(), list[str](), list[str]()
        super().__init__(script=self._paint, **more)

    def send(self, message: ToWorker) -> None:
        if isinstance(message, Cancel):
            self.stopped.append(message.job)
        super().send(message)

    def _paint(self, message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        *steps, painted = fake.paint(message, stop)
        yield from steps
        if message.ahead and len(self.asked) == 1:
            yield Writing(message.job, message.token)
            self.door.wait(10)
        self.told.append(message.job)
        yield painted


def test_the_next_begins_while_the_first_is_written(open_studio: OpenStudio) -> None:
    card = Card()
    studio = open_studio(card)
    jobs = studio.line.submit([wish(seed=1, count=2), wish(seed=2)])
    assert studio.line.wait(jobs[1].id, 10).job.state == "done"
    assert studio.store.job(jobs[0].id).state == "running"
    assert card.told == [jobs[1].id]
    card.door.set()
    view = studio.line.wait(jobs[0].id, 10)
    assert [picture.seed for picture in view.pictures] == [1, 2]
    assert view.job.slot == "fake0"
    until(lambda: studio.pool.views()[0].state == "idle")
    assert studio.pool.views()[0].painted == 3


def test_an_owner_who_may_have_one_job_at_a_time_has_one(open_studio: OpenStudio) -> None:
    card = Card()
    studio = open_studio(card, max_running=1)
    own = studio.line.submit([wish(owner="ann"), wish(owner="ann")])
    other = studio.line.submit([wish(owner="bob")])[0]
    assert studio.line.wait(other.id, 10).job.state == "done"
    assert studio.store.job(own[1].id).state == "queued"
    card.door.set()
    assert [studio.line.wait(job.id, 10).job.state for job in own] == ["done", "done"]


def test_both_are_put_back_when_their_worker_dies_and_neither_is_handed_on_again(
    open_studio: OpenStudio,
) -> None:
    killed = threading.Event()

    class Dying(Card):
        def _paint(self, message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
            if len(self.asked) == 2 and not killed.is_set():
                killed.set()
                yield Gone("killed by SIGKILL")
            else:
                yield from super()._paint(message, stop)

    card = Dying()
    studio = open_studio(card)
    jobs = studio.line.submit([wish(seed=n) for n in range(3)])
    ends = [studio.line.wait(job.id, 10) for job in jobs]
    assert [(end.job.state, end.job.crashes) for end in ends] == [("done", 1)] * 2 + [("done", 0)]
    card.door.set()  # the dead one's file comes after all, and has an old token
    until(lambda: card.told.count(jobs[0].id) == 2)
    assert [len(studio.line.view(job.id).pictures) for job in jobs] == [1, 1, 1]
    assert [asked.ahead for asked in card.asked] == [True, True, False, False, True]


def test_what_is_only_written_any_more_ends_once_whoever_wants_to_stop_it(
    open_studio: OpenStudio,
) -> None:
    card = Card()
    studio = open_studio(card)
    jobs = studio.line.submit([wish(), wish()])
    studio.line.wait(jobs[1].id, 10)
    assert studio.line.cancel(jobs[0].id).cancel_requested
    until(lambda: studio.pool.inbox.empty())
    card.door.set()
    view = studio.line.wait(jobs[0].id, 10)
    assert (view.job.state, len(view.pictures)) == ("done", 1)
    assert card.stopped == []


def test_a_file_that_cannot_be_made_fails_its_job_and_no_other(open_studio: OpenStudio) -> None:
    class Broken(Card):
        def _paint(self, message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
            for word in super()._paint(message, stop):
                first = isinstance(word, Painted) and message.job == self.asked[0].job
                sentence = (message.job, message.token, "oom", "There was no room.")
                yield Failed(*sentence) if first else word

    card = Broken()
    studio = open_studio(card)
    jobs = studio.line.submit([wish(), wish()])
    studio.line.wait(jobs[1].id, 10)
    card.door.set()
    assert studio.line.wait(jobs[0].id, 10).job.error == "There was no room."
    assert studio.pool.views()[0].loaded == ("test-pattern",)  # what the next one wanted is there


def test_a_file_that_is_never_made_ends_its_worker(open_studio: OpenStudio) -> None:
    card = Card()
    studio = open_studio(card, step_seconds=0.3)
    job = studio.line.submit([wish()])[0]
    view = studio.line.wait(job.id, 10)
    assert (view.job.state, view.job.crashes) == ("done", 1)
    notes = [event.note for event in studio.store.events(job.id)]
    assert "worker was killed" in notes


def test_no_third_one_begins_while_the_disk_is_full(settings: Settings) -> None:
    disk, card, feed = FullDisk(), Card(), Feed()
    store = Store.open(settings, files=disk)
    catalog = load_catalog(settings.presets, settings.default_model)
    pool = Pool(store, catalog, feed, settings, Fleet([(card, "for tests")], fake.widen))
    line = Line(store, catalog, settings, feed, pool.inbox, Forecaster(pool.inbox))
    pool.start()
    jobs = line.submit([wish(), wish(), wish()])
    card.door.set()
    until(lambda: pool.views()[0].state == "saving")
    time.sleep(0.1)
    assert len(card.asked) <= 2
    assert {store.job(job.id).state for job in jobs[: len(card.asked)]} == {"running"}
    disk.full = False
    assert [line.wait(job.id, 10).job.state for job in jobs] == ["done"] * 3
    assert len({asked.job for asked in card.asked}) == len(card.asked) == 3
    pool.close(0)
    store.close()


def test_who_closes_waits_for_the_last_file(open_studio: OpenStudio) -> None:
    card = Card()
    studio = open_studio(card)
    job = studio.line.submit([wish()])[0]
    until(lambda: card.asked and studio.pool.views()[0].state == "idle")
    threading.Timer(0.2, card.door.set).start()
    studio.pool.close(5)
    assert studio.store.job(job.id).state == "done"


def test_who_cannot_wait_for_it_puts_it_back(open_studio: OpenStudio) -> None:
    card = Card()
    studio = open_studio(card)
    job = studio.line.submit([wish()])[0]
    until(lambda: card.asked and studio.pool.views()[0].state == "idle")
    studio.pool.close(0)
    back = studio.store.job(job.id)
    assert (back.state, back.crashes) == ("queued", 0)
    card.door.set()


def test_a_leased_worker_has_one_job_since_it_may_have_to_leave(open_studio: OpenStudio) -> None:
    card = Card(leased=True)
    studio = open_studio(card)
    for job in studio.line.submit([wish(), wish()]):
        studio.line.wait(job.id, 10)
    assert [asked.ahead for asked in card.asked] == [False, False]
    assert all(one.job != other.job for one, other in pairwise(card.asked))


def test_a_word_about_it_with_an_old_token_changes_nothing(open_studio: OpenStudio) -> None:
    class Late(Card):
        def _paint(self, message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
            yield Writing(message.job, message.token - 1)
            yield from super()._paint(replace(message, ahead=False), stop)

    studio = open_studio(Late())
    jobs = studio.line.submit([wish(), wish()])
    assert [studio.line.wait(job.id, 10).job.state for job in jobs] == ["done", "done"]
