"""A copy is put back, whatever happened while it was taken, and nothing is lost by it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import app
from bench.kill import Server
from studio.errors import CannotStart, InUse
from studio.settings import ROOT, Settings
from studio.store.backup import backup
from studio.store.fsck import fsck
from studio.store.marks import read_marks
from studio.store.restore import restore
from studio.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.kit import files_in, submit, wish
from tests.store.test_fsck import spoil
from tests.store.test_recover import paint


def at(settings: Settings, data: Path) -> Settings:
    return settings.model_copy(update={"data": data})


def well(settings: Settings) -> None:
    assert fsck(settings, deep=True).findings == []


@pytest.fixture
def copy(settings: Settings, open_store: OpenStore, tmp_path: Path) -> Path:
    """Of three pictures, one of them marked, one that was handed in, and words of one's own."""
    store = open_store(settings)
    first, *_ = paint(store, wish(count=2), wish("a boat"))
    store.history.mark([first.id], read_marks({"star": True}))
    store.keep_input(b"handed in")
    words = settings.data / "wildcards" / "mood.txt"
    words.parent.mkdir()
    words.write_text("calm\n")
    submit(store)
    store.close()
    backup(settings, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_becomes_a_studio_in_an_empty_folder(
    settings: Settings, open_store: OpenStore, tmp_path: Path, copy: Path
) -> None:
    new = at(settings, tmp_path / "new")
    done = restore(new, copy)
    assert (done.copied, done.aside, done.missing) == (8, [], [])
    well(new)
    store = open_store(new)
    assert store.history.search("star:yes").total == 1
    assert [len(store.pictures()), store.counts()["queued"]] == [3, 1]
    assert (new.data / "wildcards" / "mood.txt").read_text() == "calm\n"
    paint(store, wish())
    well(new)


def test_over_a_folder_it_brings_back_what_was_lost_and_sets_aside_what_was_there(
    settings: Settings, open_store: OpenStore, copy: Path
) -> None:
    store = open_store(settings)
    lost, changed, _ = store.pictures()
    (later,) = paint(store, wish("painted since"))
    store.close()
    (settings.data / lost.path).unlink()
    (settings.data / changed.path).write_bytes(b"another picture")
    (settings.data / "wildcards" / "mood.txt").write_text("stormy\n")
    done = restore(settings, copy)
    assert (done.copied, done.kept) == (2, ["wildcards/mood.txt"])
    database, other = sorted(done.aside, key=lambda path: path.parent == settings.data)[::-1]
    assert other.read_bytes() == b"another picture"
    assert (settings.data / "wildcards" / "mood.txt").read_text() == "stormy\n"
    assert [one.name for one in fsck(settings).findings] == [later.path, later.thumb]
    assert fsck(settings, repair=True).findings == []  # what was painted since is known again
    assert len(open_store(settings).pictures()) == 4
    old = at(settings, settings.data.parent / "old")
    old.data.mkdir()
    database.rename(old.data / "darkroom.db")
    assert len(open_store(old).pictures()) == 4


@pytest.mark.parametrize("logs", [False, True])
def test_over_a_damaged_history_too(settings: Settings, copy: Path, logs: bool) -> None:
    file = settings.data / "darkroom.db"
    file.write_bytes(b"This is a diary, not a database.\n" * 200)
    if logs:
        file.with_name("darkroom.db-wal").write_bytes(b"of another one" * 99)
    done = restore(settings, copy)
    assert done.aside[0].read_bytes().startswith(b"This is a diary")
    well(settings)


def test_what_cannot_be_put_back_is_refused_before_anything_is_touched(
    settings: Settings, open_store: OpenStore, tmp_path: Path, copy: Path
) -> None:
    store = open_store(settings)
    with pytest.raises(InUse, match="restore: the data folder .* is in use by process"):
        restore(settings, copy)
    store.close()
    with pytest.raises(CannotStart, match="there is no history in"):
        restore(settings, tmp_path)
    with pytest.raises(CannotStart, match="the data folder itself"):
        restore(settings, settings.data)
    with pytest.raises(CannotStart, match="pg_restore"):
        restore(settings.model_copy(update={"database": "postgresql://x"}), copy)
    spoil(at(settings, copy), "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotStart, match="newer Darkroom"):
        restore(settings, copy)
    (copy / "darkroom.db").write_bytes(b"no database" * 999)
    with pytest.raises(CannotStart, match="is damaged"):
        restore(settings, copy)
    well(settings)


def test_the_next_copy_shares_what_did_not_change_and_forgets_what_was_deleted(
    settings: Settings, open_store: OpenStore, tmp_path: Path, copy: Path
) -> None:
    store = open_store(settings)
    gone = store.pictures()[0]
    store.history.mark([gone.id], read_marks({"trash": True}))
    store.history.empty_trash()
    (new,) = paint(store, wish("a tree"))
    done = backup(settings, tmp_path / "next", link=copy)
    assert (done.copied, done.linked) == (3, 5)  # the new one, its small one, and the words
    kept = store.pictures()[-1].path
    assert (tmp_path / "next" / kept).samefile(copy / kept)
    done = backup(settings, copy)
    assert (done.copied, done.removed) == (2, 2)
    assert not (copy / gone.path).exists()
    for folder in (copy, tmp_path / "next"):
        well(at(settings, folder))
    (copy / new.path).write_bytes(b"x")
    with pytest.raises(CannotStart, match="is no earlier copy"):
        backup(settings, tmp_path / "third", link=tmp_path)


def test_loras_are_copied_where_that_is_asked_for(
    settings: Settings, tmp_path: Path, copy: Path
) -> None:
    lora = settings.data / "models" / "loras" / "ink.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"weights")
    assert backup(settings, copy).copied == 0
    assert backup(settings, copy, loras=True).copied == 1
    new = at(settings, tmp_path / "new")
    restore(new, copy)
    assert (new.data / "models" / "loras" / lora.name).read_bytes() == b"weights"
    elsewhere = settings.model_copy(update={"models": tmp_path})
    with pytest.raises(CannotStart, match="copy that folder yourself"):
        backup(elsewhere, copy, loras=True)


def test_the_front_door_copies_checks_and_puts_back(
    settings: Settings, tmp_path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, new = ["--data", str(settings.data)], ["--data", str(tmp_path / "new")]
    assert app.main(["backup", str(copy), "--verify", *data]) == 0
    assert capsys.readouterr().out.endswith("All is well.\n")
    (picture,) = (copy / "pictures").rglob("*-1.png")
    picture.write_bytes(picture.read_bytes()[::-1])
    assert app.main(["backup", str(copy), "--verify", *data]) == 1
    assert f"found: changed: {picture.relative_to(copy).as_posix()}" in capsys.readouterr().out
    picture.unlink()
    assert app.main(["restore", str(copy), *new]) == 1
    said = capsys.readouterr().out
    assert f"the copy has it not: {picture.relative_to(copy).as_posix()}" in said
    assert said.endswith("Not well: 1 no_file.\n")


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_copies_taken_while_servers_are_killed_are_whole(
    settings: Settings, tmp_path: Path, rounds: int
) -> None:
    """Real servers and a real copier, each killed in the middle; they take seconds to start."""
    dice, to = random.Random(rounds), tmp_path / "copy"
    command = [sys.executable, "app.py", "backup", str(to), "--data", str(settings.data)]
    pictures = 0
    for number in range(rounds):
        server = Server(settings.data, "")
        there = files_in(settings.data)
        server.ask({"submit": 12})
        while files_in(settings.data) == there:  # something is painted in each round
            time.sleep(0.01)
        time.sleep(dice.random() * 0.3)
        copier = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        if dice.random() < 0.5:
            time.sleep(dice.random())
            copier.send_signal(signal.SIGKILL)
            copier.wait()
            copier = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        time.sleep(dice.random() * 0.3)
        server.kill()
        assert copier.wait() == 0
        well(at(settings, to))
        new = at(settings, tmp_path / f"new{number}")
        restore(new, to)
        well(new)
        store = Store.open(new)  # what it does by itself at its start
        store.recover()
        assert len(store.pictures(limit=10_000)) >= pictures
        pictures = len(store.pictures(limit=10_000))
        store.close()
        well(new)
    store = Store.open(settings)
    store.recover()
    store.close()
    well(settings)
    assert pictures
