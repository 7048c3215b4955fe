"""What the pool is told of the line may come late and in any order: it stands as it is written."""

import random
from contextlib import closing

import pytest

from studio.errors import Conflict
from studio.jobs import fake
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.pool import Pool
from studio.jobs.seats import Fleet
from studio.jobs.slot import Inbox
from studio.settings import Settings
from studio.store.rows import Before
from studio.store.store import Store
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.jobs.test_pool import wish


def pool_of(store: Store, catalog: Catalog, settings: Settings) -> Pool:
    """One that nobody started: it does what it is told here, and its worker never answers."""
    fleet = Fleet([(fake.FakeSlot(), "for tests")], fake.widen)
    pool = Pool(store, catalog, Feed(), settings, fleet)
    pool._turn(None)
    return pool


def standing(pool: Pool, store: Store) -> dict[tuple[int, str, str], list[tuple[str, int]]]:
    """Without those that left before it was told that they came: they are asked for in vain."""
    waits = {job.id for job in store.waiting()}
    lines = {
        line: [(one.job, one.turn) for one in jobs if one.job in waits]
        for line, jobs in pool._chooser._turns._lines.items()
    }
    return {line: jobs for line, jobs in lines.items() if jobs}


def act(line: Line, dice: random.Random) -> None:
    jobs = [job.id for job in line.store.waiting()]
    do = dice.choice(("submit", "move", "move", "rank", "cancel"))
    if do == "submit" or len(jobs) < 4:
        owner = dice.choice("ab")
        rank = dice.choice(("low", "normal"))
        came = line.submit([wish(owner=owner, priority=rank)] * 3)
        line.move(dice.choice(came).id, dice.choice(("first", "last")))  # type: ignore[arg-type]
    elif do == "move":
        to = dice.choice(("first", "last", Before(dice.choice(jobs))))
        line.move(dice.choice(jobs), to)  # type: ignore[arg-type]
    elif do == "rank":
        line.reprioritise(dice.choice(jobs), dice.choice(("low", "normal")))
    else:
        line.cancel(dice.choice(jobs))


@pytest.mark.parametrize("seed", range(3))
def test_in_whatever_order_it_is_told_the_line_stands_as_it_is_written(
    settings: Settings, seed: int
) -> None:
    dice, told, refused = random.Random(seed), Inbox(), 0
    catalog = load_catalog(settings.presets, settings.default_model)
    with closing(Store.open(settings)) as store:
        line = Line(store, catalog, settings, Feed(), told, Forecaster(told))
        pool = pool_of(store, catalog, settings)
        for _ in range(20):
            for _ in range(dice.randrange(1, 4)):
                try:
                    act(line, dice)
                except Conflict:  # before one of another owner or class
                    refused += 1
            messages = [told.get() for _ in range(told.qsize())]
            for message in dice.sample(messages, len(messages)):
                pool._turn(message)
            assert standing(pool, store) == standing(pool_of(store, catalog, settings), store)
    assert refused < 20
