"""Bulk files in both databases: all of a file or nothing, each picture known again by its mark."""

import pytest

from studio.errors import NotFound, TooMany
from studio.store.bulks import Ask, Bulks, There
from studio.store.rows import Bulk, Job, Room
from studio.store.store import Store
from tests.store.kit import painted, wish

ROOM = Room(2000)


def asks(*marks: str) -> list[Ask]:
    return [
        Ask(number + 3, ("Walk", "Winter"), mark, wish(f"a car called {mark}"))
        for number, mark in enumerate(marks)
    ]


def begin(
    store: Store, *marks: str, room: Room = ROOM, again: bool = False
) -> tuple[Bulk, list[Job]]:
    return Bulks(store.database).begin(
        asks(*marks), name="x.md", form="markdown", key=None, body_hash="", room=room, again=again
    )


def test_what_enters_is_what_is_read_again(store: Store) -> None:
    bulk, entered = begin(store, "a", "b")
    assert entered == store.batch(bulk.id) == [store.job(job.id) for job in entered]
    assert [event.to_state for event in store.events(entered[1].id)] == ["queued"]
    assert Bulks(store.database).find(bulk.id) == bulk
    told = Bulks(store.database).pictures(bulk.id)
    assert [(one.n, one.line, one.groups, one.skipped, one.job) for one in told] == [
        (0, 3, ("Walk", "Winter"), False, entered[0].id),
        (1, 4, ("Walk", "Winter"), False, entered[1].id),
    ]
    assert told[0].request == entered[0].request


def test_a_file_that_does_not_fit_leaves_nothing_behind(store: Store) -> None:
    begin(store, "a")
    with pytest.raises(TooMany):
        begin(store, *map(str, range(1500)), room=Room(1200))
    assert store.counts() == {"queued": 1}
    assert len(Bulks(store.database).newest(9)) == 1
    assert Bulks(store.database).there(["0", "1499"]) == {}


def test_what_waits_is_painted_or_has_pictures_is_there_and_nothing_else(store: Store) -> None:
    bulks = Bulks(store.database)
    _, (waits, runs, done, failed, stopped) = begin(store, *"abcde")
    for job in (runs, done, failed):
        store.claim(job.id, "slot0")
    store.keep(done.id, painted(store.job(done.id)))
    store.fail(failed.id, 1, "oom", "It broke.")
    store.cancel(stopped.id)
    there = {"a": There(waits.id), "b": There(runs.id), "c": There(done.id)}
    assert bulks.there(list("abcdef")) == there
    second, entered = begin(store, *"abcdef")
    assert len(entered) == 3
    assert bulks.counts(second.id) == {"queued": 4, "running": 1, "done": 1}
    told = bulks.pictures(second.id)
    assert [one.skipped for one in told] == [True, True, True, False, False, False]
    assert [bool(one.picture) for one in told] == [False, False, True, False, False, False]
    assert [one.n for one in bulks.pictures(second.id, after=3, limit=1)] == [4]
    assert [one.n for one in bulks.pictures(second.id, states=("done", "running"))] == [1, 2]
    assert bulks.groups([done.id, "unknown"]) == {done.id: ("Walk", "Winter")}


def test_the_rest_is_stopped_at_once_and_asked_for_again(store: Store) -> None:
    bulks = Bulks(store.database)
    bulk, entered = begin(store, *map(str, range(1203)))
    store.claim(entered[0].id, "slot0")
    assert len(bulks.stop(bulk.id)) == 1202
    assert bulks.counts(bulk.id) == {"running": 1, "cancelled": 1202}
    last = store.events(entered[-1].id)
    assert [(event.n, event.from_state, event.to_state) for event in last] == [
        (1, None, "queued"), (2, "queued", "cancelled"),
    ]  # fmt: skip
    assert store.job(entered[-1].id).finished_at and bulks.stop(bulk.id) == []
    again = bulks.again(bulk.id, ("cancelled",), ROOM)
    assert [job.request for job in again] == [job.request for job in entered[1:]]
    assert [job.wish for job in again] == [job.wish for job in entered[1:]]
    assert again[5] == store.job(again[5].id)
    assert bulks.counts(bulk.id) == {"running": 1, "queued": 1202}
    with pytest.raises(TooMany):
        bulks.again(begin(store, "x", again=True)[0].id, ("queued",), Room(1))
    with pytest.raises(NotFound, match="no bulk import 'nope'"):
        bulks.stop("nope")
