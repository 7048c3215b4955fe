"""Keeping pictures: whole or not at all, files before rows, and what a full disk may not do."""

import hashlib
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from studio.errors import NotFound, Unavailable
from studio.settings import Settings
from studio.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.kit import FailsAt, WatchedFiles, claimed, files_in, painted, submit, wish


def test_a_kept_picture_is_found_with_all_that_is_known_of_it(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both, clock=lambda: 1767362587.0)
    job = claimed(store, count=2, negative_prompt="people", guidance=1.0)
    twice = painted(job, warnings=(*job.warnings, "The worker found it hard."))
    kept = store.keep(job.id, twice)
    assert kept
    tail = job.id[-8:]
    assert [one.path for one in kept] == [
        f"pictures/2026-01-02/140307-test-pattern-{7 + index}-{tail}-{index}.png"
        for index in (0, 1)
    ]
    assert [(one.index, one.seed, one.model, one.prompt, one.owner) for one in kept] == [
        (0, 7, "test-pattern", "a red car", "local"),
        (1, 8, "test-pattern", "a red car", "local"),
    ]
    assert kept[0].recipe == {"by": 1}
    assert hashlib.sha256(store.file(kept[1]).read_bytes()).hexdigest() == kept[1].sha256
    assert store.thumb(kept[1]).read_bytes() == b"thumb 1"
    assert tuple(store.pictures(job=job.id)) == kept
    assert store.picture(kept[0].id) == kept[0]
    done = store.job(job.id)
    assert (done.state, done.timings, done.finished_at) == ("done", {"total": 2.5}, 1767362587.0)
    assert job.warnings
    assert done.warnings == (*job.warnings, "The worker found it hard.")
    assert store.keep(job.id, twice) == kept, "said twice, kept once"


def test_a_number_that_json_does_not_have_is_kept_by_its_name(store: Store) -> None:
    """DPMSolver++ has one among its settings; PostgreSQL and browsers take no such text."""
    job = claimed(store)
    recipe = {"scheduler_config": {"lambda_min_clipped": -math.inf}}
    (kept,) = store.keep(job.id, replace(painted(job), recipe=recipe)) or ()
    assert store.picture(kept.id).recipe == {
        "scheduler_config": {"lambda_min_clipped": "-Infinity"}
    }


def test_the_result_of_an_old_lease_is_dropped(store: Store, both: Settings) -> None:
    job = claimed(store)
    store.requeue(job.id, job.token, crashed=False, note="gave no sign of life")
    assert store.keep(job.id, painted(job)) is None
    again = store.claim(job.id, "slot1")
    assert again
    assert store.keep(job.id, painted(job)) is None
    assert files_in(both.data) == []
    assert store.keep(job.id, painted(again))


def test_a_lease_lost_while_the_files_are_written_leaves_no_file(
    both: Settings, open_store: OpenStore
) -> None:
    def lose(effect: str, _: Path) -> None:
        if effect == "replace":
            store.cancelled(job.id, job.token)

    store = open_store(both, files=WatchedFiles(lose))
    job = claimed(store)
    assert store.keep(job.id, painted(job)) is None
    assert files_in(both.data) == []
    assert store.pictures() == []


def test_a_file_is_synced_before_it_is_named_and_named_before_it_is_recorded(
    both: Settings, open_store: OpenStore
) -> None:
    seen: list[str] = []

    def watch(effect: str, path: Path) -> None:
        kind = "part" if path.name.startswith(".part-") else path.suffix or "folder"
        seen.append(f"{effect} {kind}")

    store = open_store(both, files=WatchedFiles(watch))
    store.keep_input(b"makes no difference")
    job = claimed(store)
    seen.clear()
    event.listen(store.database.writer, "commit", lambda _: seen.append("commit"))
    store.keep(job.id, painted(job))
    new_folders = ["sync folder"] * 2  # pictures or thumbs, and the day in it
    written = [*new_folders, "write part", "sync part"] * 2
    named = ["replace .png", "replace .webp", "sync folder", "sync folder"]
    assert seen == [*written, *named, "commit"]


@pytest.mark.parametrize("for_good", [False, True])
def test_wherever_the_disk_is_full_nothing_half_is_left_and_a_later_try_succeeds(
    both: Settings, open_store: OpenStore, for_good: bool
) -> None:
    fails = FailsAt()
    store = open_store(both, files=WatchedFiles(lambda *effect: fails(*effect)))

    def statement(*_: object) -> None:
        _as_database(lambda: fails())

    event.listen(store.database.writer, "before_cursor_execute", statement)
    event.listen(store.database.writer, "commit", statement)
    store.keep(*_keep(store))  # the folders are there now
    tried = 0
    while True:
        job, answer = _keep(store)
        before = files_in(both.data)
        fails = FailsAt(tried + 1, for_good=for_good)
        try:
            kept = store.keep(job, answer)
        except Unavailable as error:
            assert "full" in str(error)
            assert fails.seen > tried
        else:
            assert kept
            assert fails.seen == tried, "every effect has failed once"
            break
        fails = FailsAt()
        tried += 1
        assert store.pictures(job=job) == []
        assert store.job(job).state == "running"
        left = set(files_in(both.data)) - set(before)
        assert not for_good or left == set() or tried > 8, "only an unknown COMMIT leaves files"
        assert for_good or left == set()
        assert store.keep(job, answer)
        _all_files_are_there(store)
    assert tried >= 13, "two files written, synced and named; two folders; the transaction"
    store.close()
    store = open_store(both)
    named = {path for one in store.pictures() for path in (one.path, one.thumb)}
    assert set(files_in(both.data)) == named


def test_a_commit_that_took_hold_although_it_failed_keeps_the_picture(store: Store) -> None:
    job = claimed(store)

    def commit_and_fail(connection: Connection) -> None:
        event.remove(store.database.writer, "commit", commit_and_fail)
        connection.connection.commit()
        _as_database(FailsAt(1))

    event.listen(store.database.writer, "commit", commit_and_fail)
    kept = store.keep(job.id, painted(job))
    assert kept
    assert tuple(store.pictures(job=job.id)) == kept
    assert store.file(kept[0]).is_file()


def test_a_full_database_says_so_and_loses_nothing(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    job = claimed(store)
    with store.database.writer.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.rollback()
    with pytest.raises(Unavailable, match="full"):
        submit(store, *[wish("x" * 9000)] * 9)
    assert store.counts() == {"running": 1}
    with store.database.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    assert store.keep(job.id, painted(job))


def test_a_database_locked_by_another_program_says_so(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    with store.database.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(settings.data / "darkroom.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="Another program has locked the database"):
        submit(store)
    assert store.counts() == {}, "reading goes on"
    other.close()
    assert submit(store)


def test_a_name_that_is_taken_gets_a_number(both: Settings, open_store: OpenStore) -> None:
    store = open_store(both.model_copy(update={"file_name": "{prompt}"}))
    for number in range(3):
        kept = store.keep(*_keep(store))
        assert kept
        if number == 1:
            store.file(kept[0]).unlink()
            store.thumb(kept[0]).unlink()
    paths = [picture.path for picture in reversed(store.pictures())]
    assert paths == [f"pictures/a_red_car{tail}.png" for tail in ("", "-2", "-3")]


def test_pictures_are_listed_newest_first_in_pages(store: Store) -> None:
    for owner in ("anna", "bert", "anna"):
        store.keep(*_keep(store, owner=owner))
    first, second = store.pictures(owner="anna")
    assert first.created_at >= second.created_at
    assert store.pictures(owner="anna", limit=1) == [first]
    assert store.pictures(owner="anna", before=first.id) == [second]
    with pytest.raises(NotFound, match="no picture 'x'"):
        store.picture("x")


def test_a_file_that_is_gone_or_lies_elsewhere_is_not_found(
    settings: Settings, open_store: OpenStore
) -> None:
    store = open_store(settings)
    kept = store.keep(*_keep(store))
    assert kept
    (settings.data / "pictures").rename(settings.data.parent / "big-disk")
    (settings.data / "pictures").symlink_to(settings.data.parent / "big-disk")
    assert store.file(kept[0]).is_file(), "the folder itself may lie on another disk"
    store.file(kept[0]).unlink()
    with pytest.raises(NotFound, match="no longer in the data folder"):
        store.file(kept[0])
    for outside in ("../../etc/passwd", "deadbeef"):
        with pytest.raises(NotFound):
            store.input(outside)


def test_an_input_is_kept_once_under_its_hash(store: Store, both: Settings) -> None:
    name = store.keep_input(b"a reference")
    assert store.keep_input(b"a reference") == name == hashlib.sha256(b"a reference").hexdigest()
    assert store.input(name) == b"a reference"
    assert files_in(both.data) == [f"inputs/{name}"]


def _keep(store: Store, **fields: object) -> tuple[str, object]:
    job = claimed(store, **fields)
    return job.id, painted(job)


def _as_database(fails: object) -> None:
    try:
        fails()  # type: ignore[operator]
    except OSError as error:
        raise OperationalError("", {}, error) from None


def _all_files_are_there(store: Store) -> None:
    for picture in store.pictures():
        assert hashlib.sha256(store.file(picture).read_bytes()).hexdigest() == picture.sha256
