"""The pool and the line with fake slots: progress, cancel, dead and silent workers, restart."""

import asyncio
import errno
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.errors import Refused, TooMany, Unavailable
from studio.jobs import fake, rerun
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.inbox import Entered
from studio.jobs.line import Line
from studio.jobs.pool import Pool
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.messages import Failed, FromWorker, Paint, Painted, Progress
from studio.request import ImageRequest, read_request
from studio.settings import Settings
from studio.store.files import Files
from studio.store.rows import Job, Room
from studio.store.store import Store
from studio.wishes.presets import load_catalog
from tests.conftest import OpenStudio, behind, endless
from tests.models.test_loras import write
from tests.networks import compact


def wish(**fields: object) -> ImageRequest:
    return read_request({"prompt": "a red car", "steps": 2, **fields})


def paint(studio: Studio, **fields: object) -> View:
    job = studio.line.submit([wish(**fields)])[0]
    return studio.line.wait(job.id, 60)


def until(true: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_a_wish_becomes_a_kept_picture(open_studio: OpenStudio) -> None:
    studio = open_studio()
    view = paint(studio, seed=0x030201, count=2)
    assert view.job.state == "done"
    assert [picture.seed for picture in view.pictures] == [0x030201, 0x030202]
    with Image.open(studio.store.file(view.pictures[0])) as image:
        assert image.getpixel((0, 0)) == (1, 2, 3)


def test_priority_goes_first_then_order_of_arrival(open_studio: OpenStudio) -> None:
    door = threading.Event()
    slot = fake.FakeSlot("a", behind(door))
    studio = open_studio(slot)
    first = studio.line.submit([wish()])[0]
    until(lambda: slot.asked)
    later = studio.line.submit([wish(), wish(priority="low"), wish(priority="urgent"), wish()])
    door.set()
    for job in later:
        studio.line.wait(job.id, 60)
    order = [first, later[2], later[0], later[3], later[1]]
    assert [asked.job for asked in slot.asked] == [job.id for job in order]


def test_owners_take_turns_inside_a_class(open_studio: OpenStudio) -> None:
    all_are_here = threading.Event()
    slot = fake.FakeSlot("a", behind(all_are_here))
    studio = open_studio(slot)
    first = studio.line.submit([wish(owner="ann")])[0]
    until(lambda: slot.asked)
    ann = studio.line.submit([wish(owner="ann"), wish(owner="ann")])
    bob = studio.line.submit([wish(owner="bob"), wish(owner="bob")])
    all_are_here.set()
    for job in (*ann, *bob):
        studio.line.wait(job.id, 60)
    order = [first, bob[0], ann[0], bob[1], ann[1]]
    assert [asked.job for asked in slot.asked] == [job.id for job in order]


def test_one_owner_does_not_take_every_slot(open_studio: OpenStudio) -> None:
    door = threading.Event()
    slots = [fake.FakeSlot(name, behind(door)) for name in ("a", "b")]
    studio = open_studio(*slots, max_running=1)
    ann = studio.line.submit([wish(owner="ann") for _ in range(2)])
    until(lambda: "ann paints 1 at once" in studio.line.view(ann[1].id).words)
    bob = studio.line.submit([wish(owner="bob")])[0]
    until(lambda: studio.line.view(bob.id).job.state == "running")
    assert studio.line.view(ann[1].id).job.state == "queued"
    door.set()
    assert studio.line.wait(ann[1].id, 60).job.state == "done"


def test_word_of_a_job_that_was_read_and_begun_before_puts_no_ghost_into_the_line(
    open_studio: OpenStudio,
) -> None:
    door = threading.Event()
    slots = [fake.FakeSlot(name, behind(door)) for name in ("a", "b")]
    studio = open_studio(*slots, max_running=1)
    until(lambda: {view.state for view in studio.pool.views()} == {"idle"})
    settled = [studio.line.settle(wish(owner="ann")) for _ in range(2)]
    jobs = studio.store.submit(settled, room=Room(10))
    studio.pool._chooser._lost_track = True
    studio.pool.inbox.put(Entered([]))
    until(lambda: studio.store.job(jobs[0].id).state == "running")
    studio.pool.inbox.put(Entered(jobs))
    until(lambda: "ann paints 1 at once" in studio.line.view(jobs[1].id).words)
    door.set()
    assert {studio.line.wait(job.id, 60).job.state for job in jobs} == {"done"}


def test_a_claim_that_the_database_refuses_loses_nothing(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    claim = Store.claim

    def busy_once(store: Store, job_id: str, slot: str) -> Job | None:
        if not refused:
            refused.append(job_id)
            raise Unavailable("The database is busy.")
        return claim(store, job_id, slot)

    monkeypatch.setattr(Store, "claim", busy_once)
    studio = open_studio(fake.FakeSlot("a"), fake.FakeSlot("b"))
    jobs = studio.line.submit([wish(), wish(), wish()])
    assert [studio.line.wait(job.id, 60).job.state for job in jobs] == ["done"] * 3
    assert refused


def test_the_place_in_line_is_told(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot("a", endless)
    studio = open_studio(slot)
    studio.line.submit([wish()])
    until(lambda: slot.asked)
    jobs = studio.line.submit([wish(), wish()])
    views = [studio.line.view(job.id) for job in jobs]
    assert [view.words for view in views] == ["next in line", "waiting, 1 before it"]


def test_following_a_job_shows_every_step_and_ends(open_studio: OpenStudio) -> None:
    shown = threading.Semaphore(0)

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        for word in fake.paint(message, cancelled):
            yield word
            if isinstance(word, Progress):
                shown.acquire(timeout=60)

    async def follow() -> list[View]:
        views, steps = list[View](), set[int]()
        async for view in studio.line.follow(job.id):
            views.append(view)
            if view.live.step and view.live.step not in steps:
                steps.add(view.live.step)
                shown.release()
        return views

    studio = open_studio(fake.FakeSlot("a", script))
    job = studio.line.submit([wish(steps=4)])[0]
    views = asyncio.run(follow())
    assert {1, 2, 3, 4} <= {view.live.step for view in views}
    assert views[-1].final
    assert views[-1].pictures


def test_a_waiting_job_is_cancelled_at_once(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot("a", endless)
    studio = open_studio(slot)
    studio.line.submit([wish()])
    until(lambda: slot.asked)
    job = studio.line.submit([wish()])[0]
    assert studio.line.cancel(job.id).state == "cancelled"
    assert len(slot.asked) == 1


def test_a_running_job_stops_at_the_next_step_and_leaves_no_picture(
    open_studio: OpenStudio,
) -> None:
    slot = fake.FakeSlot("a", endless)
    studio = open_studio(slot)
    job = studio.line.submit([wish()])[0]
    until(lambda: studio.line.view(job.id).live.step > 1)
    studio.line.cancel(job.id)
    view = studio.line.wait(job.id, 60)
    assert view.job.state == "cancelled"
    assert studio.store.pictures(job=job.id) == []
    slot.script = fake.paint
    assert paint(studio).job.state == "done"


def test_cancelling_twice_or_too_late_changes_nothing(open_studio: OpenStudio) -> None:
    studio = open_studio()
    view = paint(studio)
    assert studio.line.cancel(view.job.id).state == "done"
    assert len(studio.store.pictures(job=view.job.id)) == 1


def test_a_failure_is_told_as_a_sentence_and_the_slot_goes_on(open_studio: OpenStudio) -> None:
    failing = threading.Event()

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if failing.is_set():
            yield from fake.paint(message, cancelled)
            return
        failing.set()
        yield Failed(message.job, message.token, "oom", "The picture needs 9 GB; 4 are free.")

    studio = open_studio(fake.FakeSlot(script=script))
    view = paint(studio)
    assert (view.job.state, view.job.error_code) == ("failed", "oom")
    assert view.words == "The picture needs 9 GB; 4 are free."
    assert paint(studio).job.state == "done"


def test_a_restart_resumes_the_line_in_its_order(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot("a", endless)
    before = open_studio(slot, drain_seconds=0.0)
    jobs = before.line.submit([wish(), wish(), wish()])
    until(lambda: slot.asked)
    before.close()
    after_slot = fake.FakeSlot()
    after = open_studio(after_slot)
    for job in jobs:
        assert after.line.wait(job.id, 60).job.state == "done"
    assert [asked.job for asked in after_slot.asked] == [job.id for job in jobs]


def test_what_was_measured_is_known_after_a_restart(open_studio: OpenStudio) -> None:
    def measured(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        for word in fake.paint(message, cancelled):
            took = {"encode": 0.1, "steps": 2.0, "decode": 0.2, "save": 0.1}
            yield replace(word, timings=took) if isinstance(word, Painted) else word

    studio = open_studio(fake.FakeSlot("a", measured))
    job = paint(studio, steps=2).job
    studio.close()
    again = open_studio()
    assert again.pool.estimates.seconds(job.model, job.request) == pytest.approx(2.4)
    longer = job.request | {"steps": 4}
    assert again.pool.estimates.seconds(job.model, longer) == pytest.approx(4.4)


def test_two_slots_paint_side_by_side(open_studio: OpenStudio) -> None:
    slots = [fake.FakeSlot("a", endless), fake.FakeSlot("b", endless)]
    studio = open_studio(*slots)
    studio.line.submit([wish(), wish()])
    until(lambda: all(slot.asked for slot in slots))
    assert [view.state for view in studio.pool.views()] == ["painting", "painting"]


def test_a_full_line_refuses_a_batch_whole(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot("a", endless)
    studio = open_studio(slot, max_waiting=3)
    studio.line.submit([wish()])
    until(lambda: slot.asked)
    with pytest.raises(TooMany):
        studio.line.submit([wish() for _ in range(4)])
    assert not studio.store.counts().get("queued")


def test_a_model_that_is_not_here_is_refused_with_the_way_to_get_it(
    open_studio: OpenStudio,
) -> None:
    with pytest.raises(Refused) as refused:
        open_studio().line.submit([wish(model="realvis_quality")])
    assert "python app.py models pull realvis-quality" in str(refused.value)


def test_many_who_look_at_a_rerun_measure_it_once(open_studio: OpenStudio) -> None:
    studio = open_studio()
    before = paint(studio, width=512, height=512).pictures[0]
    job = studio.line.rerun(before.id)
    until(lambda: studio.store.job(job.id).state == "done")
    measured = rerun._distance.cache_info().misses
    with ThreadPoolExecutor(8) as crowd:
        seen = [view.rerun for view in crowd.map(studio.line.view, [job.id] * 8)]
    assert {one.words for one in seen if one} == {"identical, pixel by pixel"}
    assert rerun._distance.cache_info().misses == measured + 1


class FullDisk(Files):
    full = True

    def write(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(path, data)


def test_a_picture_waits_in_its_slot_until_the_disk_has_room(settings: Settings) -> None:
    disk, slot, feed = FullDisk(), fake.FakeSlot(), Feed()
    store = Store.open(settings, files=disk)
    catalog = load_catalog(settings.presets, settings.default_model)
    pool = Pool(store, catalog, feed, settings, Fleet([(slot, "for tests")], fake.widen))
    line = Line(store, catalog, settings, feed, pool.inbox, Forecaster(pool.inbox))
    pool.start()
    jobs = line.submit([wish(), wish()])
    until(lambda: pool.views()[0].state == "saving")
    assert store.job(jobs[0].id).state == "running"
    until(lambda: "disk of the data folder is full" in line.view(jobs[0].id).words)
    assert len(slot.asked) == 1, "a slot that cannot save takes nothing new"
    disk.full = False
    for job in jobs:
        assert line.wait(job.id, 60).job.state == "done"
    pool.close(0)
    store.close()


def test_a_picture_that_cannot_be_kept_at_all_fails_and_the_next_is_painted(
    open_studio: OpenStudio, caplog: pytest.LogCaptureFixture
) -> None:
    def unsayable(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        *steps, painted = fake.paint(message, stop)
        assert isinstance(painted, Painted)
        odd: dict[str, Any] = {"odd": {1}} if message.request["seed"] == 1 else {}
        yield from (*steps, replace(painted, recipe=painted.recipe | odd))

    studio = open_studio(fake.FakeSlot(script=unsayable))
    jobs = studio.line.submit([wish(seed=1), wish(seed=2)])
    first, second = (studio.line.wait(job.id, 10) for job in jobs)
    assert (first.job.state, first.job.error_code) == ("failed", "internal")
    assert "could not be kept" in first.words
    assert second.job.state == "done"
    assert "set is not JSON serializable" in caplog.text
    files = [path for path in (studio.settings.data / "pictures").rglob("*") if path.is_file()]
    assert len(files) == 1, "what was written of the first is gone"


def test_models_are_loaded_before_the_first_wish_if_they_are_here(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot()
    open_studio(slot, preload=("test-pattern", "realvis_fast"))
    until(lambda: slot.loaded)
    assert [load.card["name"] for load in slot.loaded] == ["test-pattern"]


def test_files_beside_the_model_go_along_and_are_looked_for_again(open_studio: OpenStudio) -> None:
    door = threading.Event()
    slot = fake.FakeSlot("a", behind(door))
    studio = open_studio(slot)
    network = compact(studio.settings.model_folder / "upscalers" / "starter-x2.safetensors")
    lora = write(studio.settings.model_folder / "loras" / "ink.safetensors")
    first, second = studio.line.submit([wish(upscale=2), wish(loras=[{"name": "ink"}])])
    until(lambda: slot.asked)
    lora.unlink()
    door.set()
    assert studio.line.wait(first.id, 60).pictures[0].width == 512
    assert (slot.asked[0].upscaler, slot.asked[0].loras) == (str(network), {})
    failed = studio.line.wait(second.id, 60)
    assert failed.job.error_code == "model_missing"
    assert failed.words == "loras: 'ink' is no longer on this machine."
    assert len(slot.asked) == 1
    with pytest.raises(Refused, match="there is no LoRA 'ink'"):
        studio.line.submit([wish(loras=[{"name": "ink"}])])


def test_what_follows_the_last_step_is_told_in_words(open_studio: OpenStudio) -> None:
    shown = threading.Event()

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        yield Progress(message.job, message.token, 1, 2, 2, b"small", "enlarging, part 1 of 9")
        shown.wait(60)
        yield from fake.paint(message, cancelled)

    studio = open_studio(fake.FakeSlot(script=script))
    job = studio.line.submit([wish(count=2)])[0]
    until(lambda: studio.line.view(job.id).live.steps)
    view = studio.line.view(job.id)
    shown.set()
    assert view.words == "picture 2 of 2, enlarging, part 1 of 9"
    assert (view.live.step, view.live.preview) == (2, b"small")


def test_a_tag_in_a_prompt_finds_its_lora(open_studio: OpenStudio) -> None:
    studio = open_studio()
    settled = studio.line.settle(wish(model="starter", prompt="a car <lora:blueprint:0.5>"))
    assert [(use.name, use.weight) for use in settled.request.loras] == [("blueprint", 0.5)]
