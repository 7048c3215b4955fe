"""Beside painting: what has had its time goes once a day, and folders come in by themselves."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

import app
from studio.errors import InUse, NotFound, Unavailable
from studio.jobs.doctor import _database, _tidied
from studio.settings import Settings
from studio.store import chores, handover
from studio.store.chores import Chores
from studio.store.files import Files
from studio.store.fsck import fsck
from studio.store.handover import Told
from studio.store.importing import AT_ONCE, Given, take_in
from studio.store.marks import read_marks
from studio.store.retention import Tidied, last_tidied, tidying
from studio.store.store import Store
from tests.formats.pictures import plain
from tests.formats.test_picture import saved
from tests.store.conftest import OpenStore
from tests.store.door import Door, ctrl_c, until
from tests.store.kit import claimed, submit, wish
from tests.store.test_retention import DAY, Clock, filled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pictures, one of them cut, and a text."""
    found = tmp_path / "holiday"
    found.mkdir()
    for n in range(40):
        (found / f"{n:02}.png").write_bytes(saved(Image.new("L", (32, 32), n)))
    (found / "07.png").write_bytes(plain("PNG")[:-4])
    (found / "notes.txt").write_text("x")
    return found


@pytest.fixture
def doing(settings: Settings, open_store: OpenStore) -> Iterator[Store]:
    """A studio as far as its store and its chores go."""
    store = open_store(settings)
    running = Chores(store, settings)
    running.begin()
    yield store
    running.close()


def test_a_command_hands_its_folder_to_the_studio_that_runs_and_tells_what_came_of_it(
    doing: Store, settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(settings.data)]
    assert app.main(["import", str(folder), *data]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "The studio runs, and takes them in."
    assert said[-3:] == [
        "not taken in: holiday/07.png: it is a PNG that was cut; send it again.",
        "passed over: 1 file of .txt",
        "39 pictures taken in; 0 were in the history already.",
    ]
    assert {row.path.rpartition("/")[0] for row in doing.pictures(limit=100)} == {
        "pictures/imported/holiday"
    }
    (folder / "07.png").unlink()
    assert app.main(["import", str(folder), *data]) == 0
    assert "0 pictures taken in; 39 were in the history already." in capsys.readouterr().out
    assert list((settings.data / handover.FOLDER).iterdir()) == []


def test_it_is_stopped_and_goes_on_where_it_ended(
    doing: Store, settings: Settings, folder: Path
) -> None:
    key = handover.ask(settings.data, folder, "local")
    until(lambda: doing.pictures())
    handover.stop(settings.data, key)
    told = list(handover.follow(settings.data, key, InUse("")))[-1]
    there = told.tally.new
    assert told.state == "stopped" and 0 < there < 39
    assert there == len(doing.pictures(limit=100))
    key = handover.ask(settings.data, folder, "local")
    told = list(handover.follow(settings.data, key, InUse("")))[-1]
    assert (told.state, told.tally.new, told.tally.known) == ("done", 39 - there, there)
    with pytest.raises(NotFound, match="not on its way"):
        handover.stop(settings.data, key)


@pytest.mark.usefixtures("terminal")
def test_whoever_stops_the_command_is_told_all_that_came_in(
    doing: Store, settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The studio goes on for a moment; the command waits for what it has to say."""
    door = Door(folder / "20.png")

    def heard() -> list[Path]:
        return list((settings.data / handover.FOLDER).glob(f"*{handover.STOP}"))

    with ctrl_c(door, heard):
        assert app.main(["import", str(folder), "--data", str(settings.data)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{AT_ONCE - 1} pictures taken in; 0 were in the history already.",
        "Stopped. The same command goes on where this ended.",
    ]
    assert len(doing.pictures(limit=100)) == AT_ONCE - 1  # one of them was cut
    assert list((settings.data / handover.FOLDER).iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_waits_is_stopped_at_once(
    settings: Settings, open_store: OpenStore, folder: Path
) -> None:
    store = open_store(settings)
    key = _ask(settings, folder)
    handover.tell(settings.data, key, Told("waiting"))
    (told,) = handover.follow(settings.data, key, InUse(""), lambda: True)
    assert told.state == "waiting"
    running = Chores(store, settings)
    running.begin()
    told = list(handover.follow(settings.data, key, InUse("")))[-1]
    running.close()
    assert (told.state, told.total, told.tally.looked) == ("stopped", 0, 0)
    assert not store.pictures()


def test_a_studio_that_closes_begins_no_other_folder_and_who_asked_heard_at_once(
    settings: Settings, open_store: OpenStore, folder: Path, tmp_path: Path
) -> None:
    store = open_store(settings)
    other = tmp_path / "other"
    other.mkdir()
    door = Door(folder / "00.png")
    first, second = _ask(settings, folder), _ask(settings, other)
    running = Chores(store, settings)
    running._told_at = time.monotonic()  # it has just told somebody else
    running.begin()
    until(door.reached)
    told = [handover.read(settings.data, key) for key in (first, second)]
    assert [one and one.state for one in told] == ["running", "waiting"]
    closing = threading.Thread(target=running.close)
    closing.start()
    until(running._stop.is_set)
    door.open()
    closing.join()
    assert handover.read(settings.data, second) == Told("waiting")
    assert not store.pictures()


def test_a_folder_whose_name_is_no_text_is_told_with_what_of_it_can_be_said(
    doing: Store, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xff")
    folder.mkdir()
    (folder / "a.png").write_bytes(plain("PNG"))
    told = list(handover.follow(settings.data, _ask(settings, folder), InUse("")))[-1]
    assert (told.state, told.name, told.tally.new) == ("done", "caf?", 1)
    gone = _ask(settings, tmp_path / os.fsdecode(b"gone\xff"))
    told = list(handover.follow(settings.data, gone, InUse("")))[-1]
    assert (told.state, told.name) == ("failed", "gone?")
    assert told.said.endswith("gone?.") and len(doing.pictures()) == 1


def test_a_studio_that_is_started_again_goes_on_with_it(
    settings: Settings, open_store: OpenStore, folder: Path
) -> None:
    store = open_store(settings)
    first = Chores(store, settings)
    first.begin()
    key = handover.ask(settings.data, folder, "local")
    until(lambda: store.pictures())
    first.close()
    assert len(store.pictures(limit=100)) < 39
    store.close()
    store = open_store(settings)
    second = Chores(store, settings)
    second.begin()
    told = list(handover.follow(settings.data, key, InUse("")))[-1]
    second.close()
    assert (told.state, told.tally.looked) == ("done", 40)
    assert len(store.pictures(limit=100)) == 39
    store.close()
    assert not fsck(settings, deep=True).findings


def test_what_cannot_be_done_is_told_in_a_sentence(
    doing: Store, settings: Settings, folder: Path, tmp_path: Path
) -> None:
    data = settings.data
    elsewhere = handover.ask(data, folder, "local")
    file = data / handover.FOLDER / f"{elsewhere}{handover.ASKED}"
    handover._write(file, json.loads(file.read_text()) | {"host": "another"})
    gone = handover.ask(data, tmp_path / "nowhere", "local")
    (data / handover.FOLDER / f"x{handover.ASKED}").write_text("{")
    said = {}
    for key in (elsewhere, gone, "x"):
        told = list(handover.follow(data, key, InUse("")))[-1]
        said[key] = told.said
        assert told.state == "failed"
    assert "is another folder. Begin the import there." in said[elsewhere]
    assert "there is no folder" in said[gone]
    assert said["x"] == "import: what was asked cannot be read."
    assert not doing.pictures()


def test_one_that_breaks_in_a_way_nobody_thought_of_holds_up_no_other(
    settings: Settings, open_store: OpenStore, folder: Path, tmp_path: Path
) -> None:
    class Broken(Files):
        def write(self, path: Path, data: bytes) -> None:
            raise RuntimeError("nobody thought of this")

    store = open_store(settings, files=Broken())
    first, second = _ask(settings, folder), _ask(settings, tmp_path / "nowhere")
    running = Chores(store, settings, looks=0.01)
    running.begin()
    try:
        for key, said in ((first, "something broke here"), (second, "there is no folder")):
            told = list(handover.follow(settings.data, key, InUse(""), patience=(5, 5)))[-1]
            assert told.state == "failed" and said in told.said
    finally:
        running.close()


def test_where_no_studio_answers_the_question_is_taken_back(
    settings: Settings, open_store: OpenStore, folder: Path
) -> None:
    store = open_store(settings)  # whoever else has the folder, such as a check
    with pytest.raises(InUse, match="here"):
        list(
            handover.follow(
                settings.data, _ask(settings, folder), InUse("here"), patience=(0.5, 90)
            )
        )
    assert handover.asked(settings.data) == []
    key = _ask(settings, folder)
    handover.tell(settings.data, key, Told())
    with pytest.raises(Unavailable, match="goes on with this at its next start"):
        list(handover.follow(settings.data, key, InUse(""), patience=(90, 0.5)))
    assert [one.id for one in handover.asked(settings.data)] == [key]
    assert not store.pictures()


def _ask(settings: Settings, folder: Path) -> str:
    return handover.ask(settings.data, folder, "local")


def test_two_who_bring_the_same_picture_bring_it_once(store: Store) -> None:
    given = [Given(f"{n}.png", saved(Image.new("L", (32, 32), n)), 1.0) for n in range(20)]
    both = [threading.Thread(target=lambda: list(take_in(store, given))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(store.pictures(limit=100)) == 20


def test_a_studio_that_runs_for_weeks_tidies_once_a_day_and_says_when(
    settings: Settings, open_store: OpenStore
) -> None:
    clock = Clock()
    wanted = settings.model_copy(update={"trash_days": 2, "keep_days": 3.5})
    store = open_store(wanted, clock=clock)
    filled(store, clock)
    key = submit(store, wish(), key="once", body_hash="x")[0].id
    running = Chores(store, wanted, clock, looks=0.01)
    running.tidy()
    assert last_tidied(settings.data) == Tidied(clock.now, trashed=2)
    running.begin()
    try:
        clock.now += DAY - 60
        time.sleep(0.1)
        first = last_tidied(settings.data)
        assert first and first.at < clock.now - DAY / 2
        clock.now += 120
        until(lambda: (last := last_tidied(settings.data)) and last.at == clock.now)
        assert last_tidied(settings.data) == Tidied(clock.now, trashed=1, keys=1)
        clock.now += DAY + 60
        until(lambda: (last := last_tidied(settings.data)) and last.at == clock.now)
        last = last_tidied(settings.data)
        assert last and (last.trashed, last.ended) == (1, 2)
        assert last.counted == "1 picture to the trash, 2 pictures from the trash for good"
    finally:
        running.close()
    assert store.job(key).state == "queued"


def test_tidying_is_whole_wherever_it_is_stopped(both: Settings, open_store: OpenStore) -> None:
    """Each time it gets one step further and no more; between any two all is well."""
    clock = Clock()
    wanted = both.model_copy(update={"trash_days": 1, "keep_days": 2, "keep_jobs_days": 1.0})
    store = open_store(wanted, clock=clock)
    filled(store, clock)
    store.keep_input(b"nobody's")
    failed = claimed(store)
    store.fail(failed.id, failed.token, "boom", "It broke.")
    store.history.mark([store.pictures()[0].id], read_marks({"trash": True}))
    clock.now += 40 * DAY
    for steps in range(1, 8):
        going = tidying(store, wanted, Tidied(clock.now), clock)
        for _ in range(steps):
            with suppress(StopIteration):
                next(going)
        store.close()
        assert not fsck(both, deep=True).findings
        store = open_store(wanted, clock=clock)
    assert store.jobs() and not [one for one in store.jobs() if one.state == "failed"]


def test_what_goes_wrong_is_told_and_tried_again(settings: Settings, open_store: OpenStore) -> None:
    clock = Clock()
    store = open_store(settings, clock=clock)
    running = Chores(store, settings, clock)
    store.close()
    running.tidy()
    last = last_tidied(settings.data)
    assert last and last.said == "The studio is shutting down."
    assert running._due == clock.now + chores.AGAIN_SECONDS


def test_doctor_says_when_it_was_tidied(settings: Settings, open_store: OpenStore) -> None:
    assert _tidied(settings) == []
    open_store(settings)
    Tidied(1.7e9, ended=3).keep(settings.data)
    (told,) = _tidied(settings)
    assert (
        told.said == "last 2023-11-14 22:13 UTC: 3 pictures from the trash for good"
        and not told.note
    )


def test_doctor_says_that_a_studio_runs_and_that_too_much_stays(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings, clock=Clock())
    (row,) = filled(store, Clock())[:1]
    for one in store.pictures(limit=100):
        store.history.mark([one.id], read_marks({"star": True}))
    full = settings.model_copy(update={"keep_gb": 4500 / 1e9})
    first, second, third = _database(full)  # while it runs
    assert (first.what, first.said, first.mark) == ("database", "sound; 5 done", "ok   ")
    assert second.what == "studio" and second.mark == "ok   "
    assert second.said.startswith(f"running: the data folder {settings.data} is in use by process ")
    assert "Stop" not in second.said
    assert third.note and "DARKROOM_KEEP_GB is 4.5e-06: what is starred" in third.said
    store.close()
    assert [one.what for one in _database(full)] == ["database", "too much"]
    store = open_store(settings)
    store.history.mark([row.id], read_marks({"star": False}))
    store.close()
    assert [one.what for one in _database(settings)] == ["database"]
    wanted = settings.model_copy(update={"keep_gb": 4 * 4500 / 1e9})
    assert [one.what for one in _database(wanted)] == ["database"]  # it goes with the next tidying
