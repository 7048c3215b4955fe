"""What is old, or too much, goes through the trash if somebody wants it; and is said before."""

from argparse import Namespace
from typing import Any

import pytest

import app
from studio.settings import Settings
from studio.store.fsck import fsck
from studio.store.importing import Given, take_in
from studio.store.marks import read_marks
from studio.store.retention import Tidied, going, tidying
from studio.store.rows import Picture
from studio.store.store import Store
from studio.terminal.files import tidy
from tests.formats.pictures import plain
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, painted

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def tidied(store: Store, settings: Settings, clock: Clock) -> Tidied:
    done = Tidied(clock())
    for _ in tidying(store, settings, done, clock):
        pass
    return done


def filled(store: Store, clock: Clock) -> list[Picture]:
    """One a day, the oldest first; each 4,500 bytes."""
    rows: list[Picture] = []
    for _ in range(5):
        job = claimed(store)
        rows += store.keep(job.id, painted(job)) or ()
        clock.now += DAY
    return rows


def test_nothing_goes_unless_somebody_says_so(both: Settings, open_store: OpenStore) -> None:
    clock = Clock()
    store = open_store(both, clock=clock)
    filled(store, clock)
    assert going(store, both, clock.now + 1e9).pictures == ()
    assert tidied(store, both, clock).counted == ""


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"keep_days": 3.5}, [1]),
        ({"keep_days": 0.5}, [1, 3, 4]),
        ({"keep_gb": 4 * 4500 / 1e9}, [1]),
        ({"keep_gb": 1 / 1e9}, [1, 3, 4]),
        ({"keep_gb": 5 * 4500 / 1e9}, []),
        ({"keep_days": 3.5, "keep_gb": 3 * 4500 / 1e9}, [1, 3]),
    ],
)
def test_the_oldest_that_nobody_marked_go_to_the_trash_and_come_back(
    both: Settings, open_store: OpenStore, wanted: dict[str, Any], gone: list[int]
) -> None:
    clock = Clock()
    store = open_store(both, clock=clock)
    rows = filled(store, clock)
    store.history.mark([rows[0].id], read_marks({"star": True}))
    store.history.mark([rows[2].id], read_marks({"rating": 3}))
    settings = both.model_copy(update=wanted)
    expected = tuple(rows[index].id for index in gone)
    told = going(store, settings, clock.now)
    assert (told.pictures, told.bytes) == (expected, 4500 * len(gone))
    assert store.history.search("is:trash").total == 0  # it was only said
    assert tidied(store, settings, clock).trashed == len(expected)
    trash = [kept.picture.id for kept in store.history.search("is:trash").pictures]
    assert sorted(trash) == sorted(expected)
    if expected:
        store.history.mark(expected, read_marks({"trash": False}))
    assert store.history.search("").total == 5


def test_what_was_brought_stays(settings: Settings, open_store: OpenStore) -> None:
    store = open_store(settings)
    list(take_in(store, [Given("old.png", plain("PNG"), 1.0)]))
    wanted = settings.model_copy(update={"keep_days": 1, "keep_gb": 1e-9})
    assert going(store, wanted, 1e10).pictures == ()


def test_jobs_of_which_nothing_is_left_are_forgotten(both: Settings, open_store: OpenStore) -> None:
    clock = Clock()
    store = open_store(both.model_copy(update={"trash_days": 0}), clock=clock)
    rows = filled(store, clock)
    failed = claimed(store)
    store.fail(failed.id, failed.token, "boom", "It broke.")
    store.history.mark([rows[0].id], read_marks({"trash": True}))
    store.history.empty_trash()
    clock.now += 10 * DAY
    late = claimed(store)
    store.fail(late.id, late.token, "boom", "It broke.")
    wanted = both.model_copy(update={"keep_jobs_days": 5.0})
    assert going(store, wanted, clock.now).jobs == 2
    assert tidied(store, wanted, clock).jobs == 2
    left = {job.id for job in store.jobs()}
    assert left == {row.job for row in rows[1:]} | {late.id}
    store.close()
    assert not fsck(both).findings


def test_the_front_door_says_beforehand_what_would_go(
    settings: Settings, open_store: OpenStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(settings)
    job = claimed(store, prompt="an old boat")
    (row,) = store.keep(job.id, painted(job)) or ()
    wanted = settings.model_copy(update={"keep_gb": 1e-6})
    assert tidy(wanted, Namespace(dry_run=True)) == 0  # while it runs
    assert capsys.readouterr().out.splitlines() == [
        f"{row.path}  an old boat",
        "1 picture (0.0 MB) would go to the trash; 0 jobs would go.",
    ]
    store.close()
    assert tidy(wanted, Namespace(dry_run=False)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{row.path}  an old boat",
        "Went: 1 picture to the trash.",
    ]
    assert app.main(["tidy", "--dry-run", "--data", str(settings.data)]) == 0
    assert "0 pictures (0.0 MB) would go" in capsys.readouterr().out


def test_where_too_much_stays_it_is_said(
    settings: Settings, open_store: OpenStore, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    store = open_store(settings, clock=clock)
    rows = filled(store, clock)
    store.history.mark([row.id for row in rows[:3]], read_marks({"star": True}))
    store.close()
    wanted = settings.model_copy(update={"keep_gb": 2 * 4500 / 1e9})
    for dry in (True, False):
        assert tidy(wanted, Namespace(dry_run=dry)) == 0
        assert capsys.readouterr().out.splitlines()[-1] == (
            "0.00 GB of pictures stay, and DARKROOM_KEEP_GB is 9e-06: what is starred, rated, in a "
            "collection or brought from elsewhere does not go."
        )
    assert tidy(settings, Namespace(dry_run=False)) == 0
    assert capsys.readouterr().out == "Went: nothing.\n"


def test_what_went_is_told_as_people_count() -> None:
    done = Tidied(1.0, trashed=1, ended=2, inputs=3, jobs=1, keys=2000)
    assert done.counted == (
        "1 picture to the trash, 2 pictures from the trash for good, "
        "3 pictures that nothing names, 1 job forgotten, 2,000 keys forgotten"
    )
