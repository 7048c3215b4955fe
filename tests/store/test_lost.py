"""What lies about after a copy was put back in mid-run comes back, or it is said why not."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from studio.formats.metadata import RECIPE, recipe_text
from studio.formats.read import own_recipe
from studio.settings import Settings
from studio.store.backup import backup
from studio.store.fsck import Report, fsck
from studio.store.importing import Given, take_in
from studio.store.restore import restore
from studio.store.rows import Job
from studio.store.store import Store
from studio.terminal.files import _tell
from tests.formats.pictures import png
from tests.formats.test_picture import saved
from tests.store.conftest import OpenStore
from tests.store.kit import submit, wish
from tests.store.test_importing import A1111
from tests.store.test_recover import paint, painted


def put_back(settings: Settings, copy: Path) -> Report:
    """As somebody does who restores and then repairs."""
    restore(settings, copy)
    return fsck(settings, deep=True, repair=True)


def claim(store: Store, job: Job) -> Job:
    claimed = store.claim(job.id, "slot")
    assert claimed
    return claimed


def test_what_was_painted_since_the_copy_ends_the_jobs_that_wait_for_it(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(settings)
    running, waits, other = submit(store, wish("a", count=2), wish("b"), wish("c"))
    begun = claim(store, running)
    backup(settings, tmp_path / "copy")
    rows = list(store.keep(running.id, painted(begun)) or ())
    store.reprioritise(waits.id, "urgent")
    rows += store.keep(waits.id, painted(claim(store, store.job(waits.id)))) or ()
    rows += paint(store, wish("d"))
    files = {row.path: store.file(row).read_bytes() for row in rows}
    store.close()
    report = put_back(settings, tmp_path / "copy")
    assert (report.findings, report.lost, report.counts["lost_and_found"]) == ([], [], 0)
    store = open_store(settings)
    assert [job.id for job in store.waiting()] == [other.id] and not store.recover()
    assert {row.path: store.file(row).read_bytes() for row in store.pictures()} == files
    assert [row.job for row in store.pictures(job=running.id)] == [running.id] * 2
    assert [event.to_state for event in store.events(waits.id)] == ["queued", "done"]
    assert store.events(running.id)[-1].note == "found again in its pictures"


def test_what_was_brought_since_the_copy_comes_back_where_it_lay(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(settings)
    paint(store, wish())
    backup(settings, tmp_path / "copy")
    given = [
        Given("a/boat.png", png({"parameters": A1111}), 1e9),
        Given("a/photo.png", saved(Image.new("L", (40, 40), 7)), 1e9),
    ]
    outcomes = list(take_in(store, given))
    paths = {store.picture(one.picture).path for one in outcomes}
    store.close()
    report = put_back(settings, tmp_path / "copy")
    assert (report.findings, report.lost, report.counts["pictures"]) == ([], [], 3)
    store = open_store(settings)
    found = store.history.search("kind:imported").pictures
    assert {one.picture.path for one in found} == paths
    assert {one.picture.prompt for one in found} == {"", "a red boat"}
    assert all(one.known for one in take_in(store, given))


def lose(settings: Settings, store: Store, path: str) -> str:
    """As a start does with a picture whose row is missing."""
    name = f"lost+found/{path}"
    (settings.data / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(settings.data / path, settings.data / name)
    return name


def test_what_cannot_be_put_back_is_named_with_the_reason(
    settings: Settings,
    open_store: OpenStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = open_store(settings)
    (known,) = paint(store, wish("known"))
    (job,) = submit(store, wish("half", count=2))
    lost = settings.data / "lost+found"
    (lost / "pictures").mkdir(parents=True)
    (lost / "thumbs").mkdir()
    (lost / "thumbs" / "x.webp").write_bytes(b"small")
    (lost / "pictures" / "half.png").write_bytes(painted(job).pictures[0].data)
    (lost / "pictures" / "torn.png").write_bytes(b"renamed, then the power went")
    reason = {
        lose(settings, store, known.path): f"the history has it, as {known.path}",
        "lost+found/pictures/half.png": f"its job {job.id} waits, and paints it again",
        "lost+found/pictures/torn.png": "This is no whole PNG",
    }
    store.close()
    report = fsck(settings, repair=True)
    assert not report.findings and report.counts["pictures"] == 1
    told = dict(report.lost)
    for name, why in reason.items():
        assert told[name].startswith(why)
    assert not (lost / "thumbs" / "x.webp").exists()
    assert _tell(report) == 0
    assert "left in lost+found: lost+found/pictures/torn.png: This is no" in capsys.readouterr().out


CHANGED = ({"index": "first"}, {"index": None}, {"index": [0]}, {"index": -1}, {"seed": 2**70})


def test_one_whose_recipe_was_changed_is_named_and_holds_up_no_other(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    (row,) = paint(store, wish("whole"))
    recipe = own_recipe(store.file(row).read_bytes())
    store.close()
    lost = settings.data / "lost+found" / "pictures"
    lost.mkdir(parents=True)
    (settings.data / row.path).rename(lost / "whole.png")
    (settings.data / "darkroom.db").unlink()
    for n, changed in enumerate(CHANGED):
        for folder in (lost, settings.data / "pictures"):
            file = folder / f"changed-{n}.png"
            file.write_bytes(png({RECIPE: recipe_text(recipe | changed)}))
    open_store(settings).close()
    report = fsck(settings, repair=True)
    assert report.counts["pictures"] == 1
    assert {one.kind for one in report.findings} == {"stray_picture"}
    told = dict(report.lost) | {one.name: one.said for one in report.findings}
    assert len(told) == 2 * len(CHANGED)
    for n, (what,) in enumerate(CHANGED):
        for name in ("lost+found/pictures", "pictures"):
            assert told[f"{name}/changed-{n}.png"].endswith(
                f"The recipe in this picture is not whole: its {what} was changed."
            )


def test_one_that_was_painted_again_since_stays_and_says_so(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    (row,) = paint(store, wish("twice"))
    name = lose(settings, store, row.path)
    file = settings.data / name
    file.write_bytes(file.read_bytes() + b"\n")  # not the same file, and the same picture
    store.close()
    (told,) = fsck(settings, repair=True).lost
    assert told == (name, f"it was painted again since, as {row.path}; this file may go")


def test_an_import_that_was_killed_goes_on_without_a_second_copy(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    """Its files were there, and their rows were not."""
    store = open_store(settings)
    backup_of = tmp_path / "before.db"
    store.close()
    shutil.copy(settings.data / "darkroom.db", backup_of)
    store = open_store(settings)
    given = [Given(f"{n}.png", saved(Image.new("L", (40, 40), n)), 1e9) for n in range(3)]
    list(take_in(store, given))
    store.close()
    shutil.copy(backup_of, settings.data / "darkroom.db")
    store = open_store(settings)
    assert not store.pictures() and not (settings.data / "lost+found").exists()
    list(take_in(store, given))
    store.close()
    report = fsck(settings, deep=True)
    assert (report.findings, report.counts["pictures"]) == ([], 3)
    assert len(os.listdir(settings.data / "pictures" / "imported")) == 3
