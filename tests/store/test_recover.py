"""The database is gone, the pictures are not: the history is found again in them (F14)."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import app
from studio.engine.encode import encode, thumbnail
from studio.formats.metadata import recipe_text
from studio.messages import Painted, Picture
from studio.request import read_request
from studio.settings import Settings
from studio.store.backup import backup
from studio.store.recover import recover
from studio.store.rows import Job
from studio.store.rows import Picture as Row
from studio.store.store import Store
from studio.wishes.catalog import Settled
from tests.formats.test_picture import drawn, saved
from tests.store.conftest import OpenStore
from tests.store.kit import CATALOG, submit, wish

STARTED = 1_700_000_000


def painted(job: Job) -> Painted:
    """As the engine does it: each file has the recipe inside."""
    recipe = {"version": 1, "request": job.request, "wish": {}, "fingerprint": {}, "warnings": []}
    recipe["wish"] = {"prompt": "as it was written"}
    pictures = []
    for index in range(job.request["count"]):
        image = Image.new("RGB", (64, 48), (9, 40 * index, 99))
        seed = job.request["seed"] + index
        text = recipe_text({**recipe, "seed": seed, "index": index})
        data, _ = encode(image, job.request["output_format"], "words", text)
        kind = job.request["output_format"]
        pictures.append(Picture(index, seed, 64, 48, kind, data, thumbnail(image)))
    return Painted(job.id, job.token, tuple(pictures), recipe, {"total": 1.0})


def known(row: Row) -> Row:
    """All of a row that a picture can tell."""
    return replace(row, id="", job="", created_at=0.0)


def paint(store: Store, *wishes: Settled) -> list[Row]:
    rows: list[Row] = []
    for job in submit(store, *wishes):
        claimed = store.claim(job.id, "slot")
        assert claimed
        rows += store.keep(job.id, painted(claimed)) or ()
    return rows


def test_what_was_painted_after_a_backup_that_was_put_back_is_found_again(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    paint(store, wish())
    database = settings.data / "darkroom.db"
    backup = sqlite3.connect(database.with_suffix(".bak"))
    with closing(sqlite3.connect(database)) as there, closing(backup) as copy:
        there.backup(copy)
    rows = paint(store, wish("a blue boat"), wish("a tree", count=2))
    store.close()
    database.with_suffix(".bak").rename(database)
    store = open_store(settings)
    assert len(store.pictures()) == 1
    store.close()
    assert not (settings.data / "lost+found").exists()
    assert recover(settings).pictures == 3
    store = open_store(settings)
    assert {row.path for row in rows} < {row.path for row in store.pictures()}
    store.close()


def test_a_picture_of_a_job_that_will_be_painted_again_is_set_aside(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    (job,) = submit(store)
    claimed = store.claim(job.id, "slot")
    assert claimed
    (picture,) = painted(claimed).pictures
    (settings.data / "pictures").mkdir(exist_ok=True)
    (settings.data / "pictures" / "x.png").write_bytes(picture.data)
    store.close()
    open_store(settings).close()
    assert [file.name for file in (settings.data / "lost+found" / "pictures").iterdir()] == [
        "x.png"
    ]


def cut(data: bytes) -> bytes:
    return data[:-40]


def torn(data: bytes) -> bytes:
    """Its pixels are said to be fewer, so that what follows them is no chunk of a PNG."""
    length = data.index(b"IDAT") - 4
    return data[:length] + (5).to_bytes(4) + data[length + 4 :]


@pytest.mark.parametrize("harm", [cut, torn])
def test_one_picture_that_was_damaged_does_not_stop_the_others(
    settings: Settings, open_store: OpenStore, harm: Callable[[bytes], bytes]
) -> None:
    store = open_store(settings)
    rows = paint(store, *(wish(f"boat {number}") for number in range(4)))
    file, thumb = store.file(rows[1]), store.thumb(rows[1])
    store.close()
    file.write_bytes(harm(file.read_bytes()))
    thumb.unlink()
    (settings.data / "darkroom.db").unlink()
    recovery = recover(settings)
    assert recovery.pictures == 3
    assert [name for name, _ in recovery.left] == [rows[1].path]
    assert not thumb.exists()


@pytest.mark.parametrize("damaged", [True, False])
def test_every_picture_is_found_again_with_its_recipe_in_its_order(
    settings: Settings, open_store: OpenStore, damaged: bool
) -> None:
    store = open_store(settings)
    again = {"prompt": "a red car", "seed": 7}  # twice the same wish is two jobs
    wishes = [wish(count=2, owner="ann"), wish(output_format="webp"), wish(**again), wish(**again)]
    wishes.append(wish("ein grünes Boot", output_format="jpeg"))
    for number, job in enumerate(submit(store, *wishes)):
        claimed = store.claim(job.id, "slot")
        assert claimed
        for row in store.keep(job.id, painted(claimed)) or ():
            os.utime(store.file(row), (STARTED + number, STARTED + number))
    submit(store)  # still waits
    before = [known(row) for row in store.pictures()]
    thumbs = [store.thumb(row) for row in store.pictures()]
    store.close()
    thumbs[0].unlink()
    (settings.data / "pictures" / "foreign.png").write_bytes(b"not by us")
    database = settings.data / "darkroom.db"
    if damaged:
        database.write_bytes(b"This is a diary, not a database.\n" * 200)
    else:
        database.unlink()
    recovery = recover(settings)
    assert (recovery.jobs, recovery.pictures) == (5, 6)
    assert recovery.left == [("pictures/foreign.png", "This is no whole PNG, JPEG or WebP.")]
    assert [path.read_bytes()[:14] for path in recovery.aside] == [b"This is a diar"] * damaged
    store = open_store(settings)
    rows = store.pictures()
    assert [known(row) for row in rows] == before
    assert all(store.thumb(row).is_file() for row in rows)
    jobs = store.jobs()
    assert [job.state for job in jobs] == ["done"] * 5
    assert [round(job.created_at) - STARTED for job in jobs] == [4, 3, 2, 1, 0]
    assert jobs[0].wish["prompt"] == "as it was written"
    assert (jobs[-1].owner, len(store.pictures(job=jobs[-1].id))) == ("ann", 2)
    store.close()
    assert recover(settings).pictures == 0


def test_what_a_picture_was_painted_from_is_known_again(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(settings)
    start, _ = store.take(saved(drawn()), "image")
    asked = {"prompt": "", "seed": 7, "start_image": start.id}
    settled = CATALOG.settle(read_request(asked), (), {start.id: start})
    claimed = store.claim(submit(store, settled)[0].id, "slot")
    assert claimed
    store.keep(claimed.id, painted(claimed))
    store.close()
    (settings.data / "darkroom.db").unlink()
    assert recover(settings).pictures == 1
    open_store(settings).close()
    backup(settings, tmp_path / "copy")
    assert (tmp_path / "copy" / "inputs" / start.id).is_file()


def test_a_healthy_database_only_gains_what_it_did_not_know(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(settings)
    (waiting,) = submit(store)
    (job,) = submit(store)
    claimed = store.claim(job.id, "slot")
    assert claimed
    (row,) = store.keep(job.id, painted(claimed)) or ()
    brought = settings.data / "pictures" / "brought" / "from-elsewhere.png"
    brought.parent.mkdir()
    brought.write_bytes(store.file(row).read_bytes())
    os.utime(brought, (STARTED, STARTED))
    store.close()
    recovery = recover(settings)
    assert (recovery.aside, recovery.jobs, recovery.left) == ([], 1, [])
    store = open_store(settings)
    assert store.job(waiting.id).state == "queued"
    assert {found.path for found in store.pictures()} == {
        row.path,
        "pictures/brought/from-elsewhere.png",
    }


def test_a_file_whose_name_no_terminal_can_show_is_named_as_well_as_can_be(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.data / "pictures").mkdir(parents=True)
    (settings.data / "pictures" / os.fsdecode(b"a\xff.png")).write_bytes(b"not by us")
    assert app.main(["recover", "--data", str(settings.data)]) == 0
    told = capsys.readouterr().out
    assert "left as it is: pictures/a?.png: This is no whole" in told
    assert told.endswith("In the history again: 0 pictures of 0 jobs.\n")
