"""Pictures that were handed in: what is named stays, what is old and named by nothing goes."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select

from studio.errors import NotFound, Unavailable
from studio.request import ImageRequest
from studio.settings import Settings
from studio.store.handed import LOOKED_SECONDS
from studio.store.store import Store
from studio.store.tables import came_from, input_picture, reference_set
from studio.wishes.catalog import Settled
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, files_in, painted, submit, wish

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1.8e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asking(**fields: object) -> Settled:
    settled = wish()
    whole = settled.request.model_dump() | fields
    return replace(settled, request=ImageRequest.model_validate(whole))


def inputs(store: Store) -> set[str]:
    with store.database.read() as connection:
        return set(connection.scalars(select(input_picture.c.hash)))


def test_what_nothing_names_goes_once_it_is_old(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both, clock=clock)
    old = store.keep_input(b"old")
    clock.now += 29 * DAY
    young = store.keep_input(b"young")
    store.close()
    clock.now += 2 * DAY
    store = open_store(both, clock=clock)
    assert store.handed.tidy() == 1
    assert inputs(store) == {young}
    assert files_in(both.data) == [f"inputs/{young}"]
    with pytest.raises(NotFound):
        store.input(old)


def test_one_that_is_handed_in_again_stays_as_long_as_a_new_one(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both, clock=clock)
    name = store.keep_input(b"again")
    clock.now += 29 * DAY
    store.keep_input(b"again")
    store.close()
    clock.now += 29 * DAY
    store = open_store(both, clock=clock)
    assert store.handed.tidy() == 0
    assert inputs(store) == {name}


def test_what_is_named_stays_whoever_names_it(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both, clock=clock)
    names = {what: store.keep_input(what.encode()) for what in NAMING}
    for what, say in NAMING.items():
        say(store, names[what])
    nobodys = store.keep_input(b"nobody's")
    store.close()
    clock.now += 400 * DAY
    store = open_store(both, clock=clock)
    assert store.handed.tidy() == 1
    assert inputs(store) == set(names.values())
    assert nobodys not in inputs(store)
    assert all(store.input(name) for name in names.values())


def _finished(store: Store, name: str) -> None:
    job = claimed(store)
    store.keep(job.id, replace(painted(job), recipe={"request": {"start_image": name}}))


def _cancelled(store: Store, name: str) -> None:
    store.cancel(submit(store, asking(start_image=name, strength=0.5))[0].id)


def _insert(store: Store, table: Any, **row: object) -> None:
    with store.database.write() as tx:
        tx.execute(insert(table).values(row))


NAMING: dict[str, Any] = {
    "a job that waits": lambda s, name: submit(s, asking(start_image=name)),
    "a mask": lambda s, name: submit(s, asking(start_image="0" * 64, mask=name)),
    "a reference": lambda s, name: submit(s, asking(references=[{"id": name}])),
    "a job that was cancelled": _cancelled,
    "a recipe": _finished,
    "a rerun": lambda s, name: submit(s, wish(), rerun_of=name),
    "a picture's origin": lambda s, name: _insert(
        s, came_from, picture="p", n=0, role="start", source=name
    ),
    "a set of references": lambda s, name: _insert(
        s, reference_set, id="r", owner="me", name="set", created_at=0.0, members=[{"input": name}]
    ),
}


def test_one_that_is_named_while_others_are_looked_through_stays(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    """A job enters between the look and the end of it."""
    store = open_store(both, clock=clock)
    name = store.keep_input(b"just in time")
    handed, clock.now = store.handed, clock.now + 31 * DAY

    class Between:
        def __enter__(self) -> None:
            submit(store, asking(start_image=name))

        def __exit__(self, *_: object) -> None:
            pass

    handed._keeping = Between()  # type: ignore[assignment]
    assert handed.tidy() == 0
    assert inputs(store) == {name}


def test_one_that_was_just_looked_at_waits_for_its_wish(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both, clock=clock)
    name = store.keep_input(b"chosen")
    clock.now += 31 * DAY
    store.input(name)  # as a wish does that is checked, and not written down yet
    clock.now += 60
    assert store.handed.tidy() == 0
    clock.now += DAY
    assert store.handed.tidy() == 1
    assert inputs(store) == set()


def test_what_was_looked_at_is_forgotten_again(
    settings: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(settings, clock=clock)
    first, second = store.keep_input(b"first"), store.keep_input(b"second")
    for n in range(100):
        with pytest.raises(NotFound):
            store.input(f"{n:064}")
    store.input(first)
    assert list(store.handed._looked) == [first]
    clock.now += LOOKED_SECONDS / 2
    store.input(second)
    store.input(first)
    clock.now += LOOKED_SECONDS * 0.6
    store.input(first)
    assert list(store.handed._looked) == [second, first]
    clock.now += LOOKED_SECONDS / 2
    store.input(first)
    assert list(store.handed._looked) == [first]


def test_a_row_whose_file_went_with_a_crash_goes_too(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both, clock=clock)
    name = store.keep_input(b"half gone")
    (both.data / "inputs" / name).unlink()
    clock.now += 31 * DAY
    assert store.handed.tidy() == 1
    assert inputs(store) == set()


def test_without_days_everything_stays(both: Settings, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(both.model_copy(update={"input_days": 0}), clock=clock)
    name = store.keep_input(b"for ever")
    clock.now += 4000 * DAY
    assert store.handed.tidy() == 0
    assert inputs(store) == {name}


def test_what_has_no_room_is_refused_in_a_sentence_and_not_kept(
    both: Settings, open_store: OpenStore, clock: Clock
) -> None:
    store = open_store(both.model_copy(update={"input_gb": 1e-6}), clock=clock)  # a thousand bytes
    first = store.handed.take(b"a" * 600)
    with pytest.raises(Unavailable, match="most is 1e-06. Raise DARKROOM_INPUT_GB") as told:
        store.handed.take(b"b" * 600)
    assert told.value.status == 503
    assert inputs(store) == {first}
    assert files_in(both.data) == [f"inputs/{first}"]


def test_what_nobody_needs_makes_room(both: Settings, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(both.model_copy(update={"input_gb": 1e-6}), clock=clock)
    store.handed.take(b"a" * 600)
    clock.now += 31 * DAY
    assert inputs(store) != set()
    second = store.handed.take(b"b" * 600)
    assert second == hashlib.sha256(b"b" * 600).hexdigest()
    assert inputs(store) == {second}
