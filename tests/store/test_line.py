"""The line: who stands where, who may end a job, and that nothing acknowledged is lost."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from studio.errors import Conflict, NotFound, Refused, TooMany
from studio.settings import Settings
from studio.store.rows import FINAL, Before, Room
from studio.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, painted, submit, wish

DAY = 24 * 3600
MOVES = """
import os, signal, sys
from pathlib import Path
from studio.settings import Settings
from studio.store.store import Store
from tests.store.kit import submit, wish
store = Store.open(Settings(data=Path(sys.argv[1]), database=sys.argv[2]))
jobs = submit(store, wish("a"), wish("b"), wish("c"))
store.move(jobs[2].id, "first")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_acknowledged_job_is_found_after_reopening(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    jobs = submit(store, wish("ein 🦊 im Wald \u202e(x)"), wish(owner="anna"), batch="b1")
    store.close()
    store = open_store(both)
    assert [store.job(job.id) for job in jobs] == jobs
    assert jobs[0].request["prompt"] == "ein 🦊 im Wald \u202e(x)"
    assert [job.owner for job in jobs] == ["local", "anna"]


def test_the_line_goes_by_priority_and_then_by_arrival(store: Store) -> None:
    ranks = ("low", "normal", "urgent", "normal", "high", "urgent")
    jobs = submit(store, *(wish(priority=rank) for rank in ranks))
    expected = [jobs[index].id for index in (2, 5, 4, 1, 3, 0)]
    assert [job.id for job in store.waiting()] == expected
    assert store.places(expected) == {name: place for place, name in enumerate(expected)}
    assert [job.id for job in store.waiting(limit=2)] == expected[:2]
    assert store.claim(expected[0], "slot0")
    assert store.places(expected[:3]) == {expected[1]: 0, expected[2]: 1}, (
        "the first waits no longer"
    )


def test_a_job_is_claimed_once(store: Store) -> None:
    (job,) = submit(store)
    first, second = store.claim(job.id, "slot0"), store.claim(job.id, "slot1")
    assert second is None
    assert first
    assert (first.state, first.slot, first.attempts, first.token) == ("running", "slot0", 1, 1)
    with pytest.raises(NotFound):
        store.claim("nobody \x00 \ud800", "slot0")


def test_many_threads_claim_each_job_once(store: Store) -> None:
    def work(slot: str) -> list[str]:
        return [job.id for job in jobs if store.claim(job.id, slot)]

    jobs = submit(store, *[wish()] * 30)
    with ThreadPoolExecutor(6) as threads:
        claimed_by = list(threads.map(work, [f"slot{number}" for number in range(6)]))
    assert sorted(sum(claimed_by, [])) == sorted(job.id for job in jobs)
    assert store.counts() == {"running": 30}


def test_a_job_that_is_put_back_keeps_its_place(store: Store) -> None:
    first, second = submit(store, wish(), wish())
    running = store.claim(first.id, "slot0")
    assert running
    assert store.requeue(first.id, running.token, crashed=True, note="worker \x00 died \ud800")
    assert not store.requeue(first.id, running.token, crashed=True, note="twice")
    assert [job.id for job in store.waiting()] == [first.id, second.id]
    back = store.job(first.id)
    assert (back.crashes, back.attempts, back.slot, back.started_at) == (1, 1, None, None)
    again = store.claim(first.id, "slot1")
    assert again
    assert again.token > running.token


def test_what_was_running_stands_in_line_again_after_a_restart(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    running, stopped, waiting = submit(store, wish(), wish(), wish())
    before = store.claim(running.id, "slot0")
    store.claim(stopped.id, "slot1")
    store.cancel(stopped.id)
    store.close()
    store = open_store(both)
    assert before
    assert store.recover() == [running.id]
    assert [job.id for job in store.waiting()] == [running.id, waiting.id]
    assert store.job(running.id).token > before.token
    assert store.job(running.id).crashes == 0
    assert store.job(stopped.id).state == "cancelled"
    assert store.keep(running.id, painted(before)) is None


def test_a_failure_is_told_in_words_that_any_database_holds(store: Store) -> None:
    job = claimed(store)
    assert not store.fail(job.id, job.token + 1, "oom", "not mine")
    assert store.fail(job.id, job.token, "oom", "too big \x00 \ud800")
    failed = store.job(job.id)
    assert (failed.state, failed.error_code, failed.error) == ("failed", "oom", "too big ? ?")
    assert failed.finished_at


def test_the_same_key_and_wish_give_the_same_jobs(both: Settings, open_store: OpenStore) -> None:
    now = [1000.0]
    store = open_store(both, clock=lambda: now[0])
    jobs = submit(store, wish(), wish(), key="k", body_hash="a")
    assert submit(store, wish(), wish(), key="k", body_hash="a", room=Room(2)) == jobs
    with pytest.raises(Refused, match="another wish") as refused:
        submit(store, key="k", body_hash="b")
    assert refused.value.field == "Idempotency-Key"
    assert submit(store, wish(owner="anna"), key="k", body_hash="b")[0].owner == "anna"
    now[0] += DAY + 1
    assert submit(store, key="k", body_hash="b") != jobs
    assert store.counts() == {"queued": 4}


def test_a_batch_over_the_limit_enters_not_at_all(store: Store) -> None:
    submit(store, wish(), room=Room(3))
    with pytest.raises(TooMany, match="1 of at most 3 jobs wait, and 3 more do not fit"):
        submit(store, wish(), wish(), wish(), batch="b", room=Room(3))
    assert store.counts() == {"queued": 1}
    batch = submit(store, wish(), wish(), batch="b", room=Room(3))
    assert store.batch("b") == batch
    assert store.submit([], room=Room(0)) == []


def test_a_clock_that_jumps_changes_no_order(both: Settings, open_store: OpenStore) -> None:
    """F19"""
    now = [1_000_000.0]
    store = open_store(both, clock=lambda: now[0])
    entered = []
    for jump in (0, -DAY, +2 * DAY, -3600):
        now[0] += jump
        entered += submit(store)
    assert [job.id for job in store.waiting()] == [job.id for job in entered]
    first = store.claim(entered[0].id, "slot")
    assert first
    now[0] -= DAY
    assert store.requeue(first.id, first.token, crashed=False, note="")
    assert [job.id for job in store.waiting()] == [job.id for job in entered]
    assert [job.id for job in store.jobs()] == [job.id for job in reversed(entered)]


def test_pictures_stand_in_the_order_of_their_painting_whatever_the_clock(
    both: Settings, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F19, also over a restart."""
    day, kept = DAY * 10**9, list[str]()
    now = [time.time_ns()]
    monkeypatch.setattr("studio.store.ids.time.time_ns", lambda: now[0])
    for jump in (0, -day, +2 * day, -day):
        now[0] += jump
        store = open_store(both)
        job = claimed(store)
        rows = store.keep(job.id, painted(job))
        assert rows
        kept.append(rows[0].id)
        monkeypatch.setattr("studio.store.ids._last", [0])  # a process knows nothing of the last
        found = [picture.id for picture in store.pictures()]
        store.close()
        assert found == kept[::-1]


def test_one_owner_cannot_fill_the_line(store: Store) -> None:
    room = Room(10, most_each=2)
    submit(store, wish(owner="ann"), wish(owner="ann"), room=room)
    with pytest.raises(TooMany, match="2 jobs of ann wait, of at most 2, and 1 more do not fit"):
        submit(store, wish(owner="ann"), room=room)
    submit(store, wish(owner="ben"), room=room)
    assert store.counts() == {"queued": 3}


def test_cancelling_in_every_state(store: Store) -> None:
    (waiting,) = submit(store)
    assert store.cancel(waiting.id).state == "cancelled"
    assert store.claim(waiting.id, "slot0") is None
    running = claimed(store)
    asked = store.cancel(running.id)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert store.cancel(running.id) == asked
    assert store.cancelled(running.id, running.token)
    assert not store.cancelled(running.id, running.token)
    assert store.keep(running.id, painted(running)) is None
    done, failed = claimed(store), claimed(store)
    store.keep(done.id, painted(done))
    store.fail(failed.id, failed.token, "x", "y")
    assert (store.cancel(done.id).state, store.cancel(failed.id).state) == ("done", "failed")
    with pytest.raises(NotFound, match="no job 'nobody'"):
        store.cancel("nobody")


def test_a_job_that_waits_changes_its_class_and_no_other_does(store: Store) -> None:
    first, second = submit(store), submit(store)
    moved = store.reprioritise(second[0].id, "urgent")
    assert [job.id for job in store.waiting()] == [second[0].id, first[0].id]
    assert moved.request["priority"] == "urgent"
    assert store.places([first[0].id]) == {first[0].id: 1}
    assert store.events(moved.id)[-1].note == "now urgent"
    store.reprioritise(second[0].id, "low")
    assert [job.id for job in store.waiting()] == [first[0].id, second[0].id]
    running = claimed(store)
    with pytest.raises(Conflict, match="is running; only one that waits"):
        store.reprioritise(running.id, "high")
    with pytest.raises(NotFound):
        store.reprioritise("nobody", "high")


def test_jobs_change_turns_with_those_of_the_same_owner_and_class_alone(store: Store) -> None:
    owners = ("ann", "bob", "ann", "bob", "ann", "ann")
    jobs = [submit(store, wish(owner=owner))[0].id for owner in owners]
    high = submit(store, wish(owner="ann", priority="high"))[0].id

    def order() -> list[int]:
        first, *rest = (job.id for job in store.waiting())
        assert first == high
        return [jobs.index(job) for job in rest]

    moved = store.move(jobs[4], "first")
    assert order() == [4, 1, 0, 3, 2, 5]
    assert (moved.turn, moved.seq) == (store.job(high).seq - 6, store.job(high).seq - 2)
    assert [store.places(jobs)[jobs[number]] for number in order()] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    store.move(jobs[4], "last")
    assert order() == [0, 1, 2, 3, 5, 4]
    store.move(jobs[0], Before(jobs[4]))
    assert order() == [2, 1, 5, 3, 0, 4]
    store.move(jobs[4], Before(jobs[5]))
    assert order() == [2, 1, 4, 3, 5, 0]
    for nothing in ("first", Before(jobs[2]), Before(jobs[4])):
        store.move(jobs[2], nothing)  # type: ignore[arg-type]
        assert order() == [2, 1, 4, 3, 5, 0]
    assert [event.note for event in store.events(jobs[4])][1:] == [
        "moved to the front", "moved to the end", f"moved before {jobs[5]}",
    ]  # fmt: skip
    assert [store.passable(job) for job in (jobs[2], jobs[1], jobs[4], high)] == [
        False, False, True, False,
    ]  # fmt: skip
    for other in (jobs[1], high):
        with pytest.raises(Conflict, match="does not wait in the same class for the same owner"):
            store.move(jobs[4], Before(other))
    running = store.claim(jobs[2], "slot")
    assert running
    with pytest.raises(Conflict, match="is running; only one that waits"):
        store.move(jobs[2], "last")
    with pytest.raises(Conflict, match="does not wait"):
        store.move(jobs[4], Before(jobs[2]))
    store.requeue(running.id, running.token, crashed=True, note="died")
    assert order() == [2, 1, 4, 3, 5, 0], "it is put back to the place it was moved to"


def test_a_move_outlasts_the_death_of_the_server(both: Settings, open_store: OpenStore) -> None:
    done = subprocess.run([sys.executable, "-c", MOVES, str(both.data), both.database], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [job.request["prompt"] for job in open_store(both).waiting()] == ["c", "a", "b"]


def test_a_worker_that_dies_while_it_is_to_stop_ends_the_job(store: Store) -> None:
    job = claimed(store)
    store.cancel(job.id)
    assert store.requeue(job.id, job.token, crashed=True, note="worker was killed")
    assert store.job(job.id).state == "cancelled"
    assert store.waiting() == []


def test_cancel_and_finish_have_one_winner(store: Store) -> None:
    for _ in range(12):
        job = claimed(store)
        start = threading.Barrier(3)
        results: dict[str, object] = {}

        def run(name: str, act: object, *given: object) -> None:
            start.wait()  # noqa: B023
            results[name] = act(*given)  # type: ignore[operator]  # noqa: B023

        threads = [
            threading.Thread(target=run, args=given)
            for given in (
                ("done", store.keep, job.id, painted(job)),
                ("cancelled", store.cancelled, job.id, job.token),
                ("failed", store.fail, job.id, job.token, "x", "y"),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [name for name, won in results.items() if won] == [store.job(job.id).state]
        assert bool(store.pictures(job=job.id)) == (store.job(job.id).state == "done")


def test_events_replay_to_the_state(store: Store) -> None:
    job = claimed(store)
    store.requeue(job.id, job.token, crashed=True, note="worker died")
    again = store.claim(job.id, "slot1")
    assert again
    store.cancel(job.id)
    store.keep(job.id, painted(again))
    events = store.events(job.id)
    assert [(event.n, event.from_state, event.to_state, event.actor) for event in events] == [
        (1, None, "queued", "local"),
        (2, "queued", "running", "slot0"),
        (3, "running", "queued", "slot0"),
        (4, "queued", "running", "slot1"),
        (5, "running", "running", "local"),
        (6, "running", "done", "slot1"),
    ]
    assert [event.note for event in events] == ["", "", "worker died", "", "asked to stop", ""]


def test_jobs_are_listed_newest_first_in_pages(store: Store) -> None:
    jobs = submit(store, *(wish(owner=name) for name in ("anna", "bert", "anna", "anna")))
    store.cancel(jobs[2].id)
    mine = store.jobs(owner="anna", limit=2)
    assert [job.seq for job in mine] == [jobs[3].seq, jobs[2].seq]
    assert [job.id for job in store.jobs(owner="anna", before=mine[-1].seq)] == [jobs[0].id]
    assert [job.id for job in store.jobs(states=FINAL)] == [jobs[2].id]
    assert store.counts() == {"queued": 3, "cancelled": 1}
