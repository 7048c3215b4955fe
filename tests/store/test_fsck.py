"""Whatever happened to the data folder: what is wrong is said, and what can be is mended."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

import app
from studio.errors import CannotStart, InUse
from studio.request import read_request
from studio.settings import ROOT, Settings
from studio.store.checking import KINDS
from studio.store.database import Database, database_url
from studio.store.fsck import fsck
from studio.store.rows import Picture
from studio.store.schema import prepare
from studio.store.shelf import LOST
from studio.store.store import Store
from studio.store.tables import entry, entry_term, job
from tests.formats.test_picture import drawn, saved
from tests.store.conftest import OpenStore
from tests.store.kit import CATALOG, claimed, first_migration, submit, wish
from tests.store.test_recover import paint


def found(settings: Settings, **given: bool) -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in fsck(settings, **given).findings]


def filled(store: Store) -> list[Picture]:
    """A history with all that there is: done, failed, cancelled, running and waiting jobs."""
    start, _ = store.take(saved(drawn()), "image")
    rows = paint(store, wish(count=2), wish("a boat"))
    failing, stopped = claimed(store), claimed(store)
    store.fail(failing.id, failing.token, "boom", "It broke.")
    store.cancel(stopped.id)
    store.cancelled(stopped.id, stopped.token)
    claimed(store)
    asked = {"prompt": "", "seed": 7, "start_image": start.id}
    submit(store, CATALOG.settle(read_request(asked), (), {start.id: start}))
    return rows


def test_a_healthy_folder_is_well_with_a_studio_and_without(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    filled(store)
    try:
        report = fsck(both, deep=True)
        assert report.running.endswith("Stop that server first.") and not report.findings
        with pytest.raises(InUse, match="fsck --repair: .* is in use by process"):
            fsck(both, repair=True)
    finally:
        store.close()
    report = fsck(both, deep=True)
    assert not report.running and not report.findings
    assert report.counts == {"pictures": 3, "jobs": 6, "inputs": 1, "lost_and_found": 0}


def test_what_was_done_to_the_files_is_said_by_kind_and_name(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    rows = filled(store)
    store.close()
    data, (gone, cut, other) = both.data, rows
    (data / gone.path).unlink()
    (data / cut.path).write_bytes((data / cut.path).read_bytes()[:-1])
    content = bytearray((data / other.path).read_bytes())
    content[-30] ^= 1
    (data / other.path).write_bytes(content)
    (data / other.thumb).unlink()
    (handed_in,) = (data / "inputs").iterdir()
    handed_in.rename(data / "inputs" / ("0" * 64))
    shutil.copy(data / cut.thumb, data / "thumbs" / "nothing.webp")
    (data / "pictures" / "stranger.png").write_bytes(b"x")
    half = (data / gone.path).with_name(".part-1")
    half.write_bytes(b"half")
    expected = [
        ("no_file", gone.path),
        ("wrong_size", cut.path),
        ("no_thumb", other.thumb),
        ("no_input", f"inputs/{handed_in.name}"),
        ("half_file", half.relative_to(data).as_posix()),
        ("stray_picture", "pictures/stranger.png"),
        ("stray_thumb", "thumbs/nothing.webp"),
        ("stray_input", f"inputs/{'0' * 64}"),
        ("needed_input", fsck(both).findings[-1].name),
    ]
    assert sorted(found(both)) == sorted(expected)
    assert sorted(set(found(both, deep=True)) - set(expected)) == [("changed", other.path)]


def test_what_loses_nothing_is_mended_and_the_rest_is_left(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    rows = filled(store)
    store.close()
    data = both.data
    brought = data / "pictures" / "brought.png"
    shutil.copy(data / rows[0].path, brought)
    os.utime(brought, (1_700_000_000, 1_700_000_000))
    (data / rows[1].thumb).unlink()
    (data / rows[2].path).unlink()
    (data / "thumbs" / "nothing.webp").write_bytes(b"x")
    os.utime(data / "thumbs" / "nothing.webp", (1_700_000_000, 1_700_000_000))
    (data / "pictures" / ".part-1").write_bytes(b"half")
    (handed_in,) = (data / "inputs").iterdir()
    other = data / "inputs" / "2cea274d0bedc39ec4ab6ba9e59ec889e3ed6fb56a1cf088a64d9b383378dc97"
    other.write_bytes(b"picture")
    report = fsck(both, repair=True)
    assert [(one.kind, one.name) for one in report.findings] == [("no_file", rows[2].path)]
    kinds = sorted(one.kind for one in report.mended)
    assert "no_thumb" in kinds and "stray_picture" in kinds and "half_file" in kinds
    assert (data / rows[1].thumb).read_bytes()[:4] == b"RIFF"
    assert not (data / "thumbs" / "nothing.webp").exists()
    assert handed_in.is_file()
    assert report.counts["pictures"] == 4
    assert fsck(both, repair=True).mended == []


def test_what_was_moved_by_hand_goes_back_to_its_place_with_all_its_marks(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    rows = filled(store)
    store.close()
    data = both.data
    for row, place in zip(rows, ("pictures/older/a.png", "pictures/b.png", LOST), strict=True):
        to = data / (f"{LOST}/c.png" if place == LOST else place)
        to.parent.mkdir(parents=True, exist_ok=True)
        (data / row.path).rename(to)
    report = fsck(both, deep=True, repair=True)
    assert not report.findings and not report.lost and report.counts["pictures"] == len(rows)
    assert {one.name for one in report.mended if one.kind == "no_file"} == {r.path for r in rows}
    assert not list((data / LOST).glob("*.png"))


@pytest.mark.parametrize(
    ("state", "change", "said"),
    [
        ("done", {"finished_at": None}, "it is done: it has ended and does not say when"),
        ("queued", {"finished_at": 1.0}, "it is queued: it has not ended and says when it did"),
        ("queued", {"slot": "gpu0"}, "it is queued: it waits and a slot has it"),
        ("running", {"slot": None}, "it is running: it is being painted and no slot has it"),
        ("failed", {"error": None}, "it is failed: it failed and does not say why"),
        ("done", {"state": "cancelled"}, "it is cancelled: it is not done and has pictures"),
    ],
)
def test_a_job_that_cannot_be_so_is_named(
    both: Settings, state: Any, change: dict[str, object], said: str, open_store: OpenStore
) -> None:
    store = open_store(both)
    filled(store)
    wrong = store.jobs(states=[state])[-1]
    with store.database.write() as tx:
        tx.execute(update(job).where(job.c.id == wrong.id).values(change))
    store.close()
    findings = fsck(both).findings
    assert {(one.kind, one.name) for one in findings} == {("job", wrong.id)}
    assert said in [one.said for one in findings]


def test_what_no_search_finds_is_named_and_taken_up_again(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    rows = filled(store)
    words = "INSERT INTO find(find) VALUES ('delete-all')" if store.database.sqlite else None
    with store.database.write() as tx:
        (seq,) = tx.scalars(select(entry.c.seq).where(entry.c.picture == rows[0].id))
        tx.execute(delete(entry_term).where(entry_term.c.seq == seq))
        tx.execute(delete(entry).where(entry.c.seq == seq))
        tx.execute(text(words or "DELETE FROM find"))
    store.close()
    assert sorted(found(both)) == sorted(("unsearched", row.id) for row in rows)
    assert len(fsck(both, repair=True).mended) == 3
    store = open_store(both)
    assert store.history.search("boat").total == 1
    assert store.history.search("").total == 3
    store.close()


def test_a_folder_that_moved_is_well(
    settings: Settings, tmp_path: Path, open_store: OpenStore
) -> None:
    store = open_store(settings)
    filled(store)
    store.close()
    elsewhere = tmp_path / "an other" / "place"
    elsewhere.parent.mkdir()
    settings.data.rename(elsewhere)
    assert not found(settings.model_copy(update={"data": elsewhere}), deep=True)
    with pytest.raises(CannotStart, match="no data folder"):
        fsck(settings)


def spoil(settings: Settings, statement: str) -> None:
    with closing(sqlite3.connect(settings.data / "darkroom.db")) as database:
        database.execute(statement)
        database.commit()


def _damage(settings: Settings) -> None:
    (settings.data / "darkroom.db").write_bytes(b"This is a diary, not a database.\n" * 200)


def _age(settings: Settings) -> None:
    file = settings.data / "darkroom.db"
    file.unlink()
    database = Database(database_url(settings))
    prepare(database, first_migration(settings.data.parent))
    database.close()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda it: spoil(it, "UPDATE alembic_version SET version_num = '9999'"), "newer Darkroom"),
        (_age, "its form is 0001, this version needs"),
        (_damage, "is damaged (file is not a database)"),
        (lambda it: (it.data / "darkroom.db").unlink(), "there is none; 'python app.py recover'"),
    ],
)
def test_a_database_that_cannot_be_used_is_the_only_thing_said(
    settings: Settings, how: Callable[[Settings], object], said: str, open_store: OpenStore
) -> None:
    store = open_store(settings)
    filled(store)
    store.close()
    how(settings)
    (finding,) = fsck(settings).findings
    assert (finding.kind, finding.name) == ("database", "darkroom.db")
    assert said in finding.said


def test_an_older_database_is_brought_up_to_date_and_its_pictures_are_taken_up(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    paint(store, wish(count=2))
    store.close()
    _age(settings)
    report = fsck(settings, repair=True)
    assert not report.findings and report.counts["pictures"] == 2
    assert list(settings.data.glob("darkroom.db.before-*"))


def test_the_front_door_tells_people_and_programs(
    settings: Settings, open_store: OpenStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(settings)
    row = filled(store)[0]
    data = ["--data", str(settings.data)]
    assert app.main(["fsck", *data]) == 0
    said = capsys.readouterr().out
    assert "is in use by process" in said and said.endswith("All is well.\n")
    (settings.data / row.path).unlink()
    assert app.main(["fsck", "--json", *data]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["clean"], told["found"]) == (False, {"no_file": 1})
    assert told["findings"][0]["name"] == row.path
    assert app.main(["fsck", *data]) == 1
    assert capsys.readouterr().out.endswith("Not well: 1 no_file.\n")


def test_the_docs_name_each_kind() -> None:
    docs = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    for kind, meaning in KINDS.items():
        assert f"| `{kind}` | {meaning} |" in docs
