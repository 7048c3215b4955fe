"""Both databases through one fixture: SQLite in a folder, PostgreSQL on a private socket."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.databases import find_postgres, new_database, private_postgres
from studio.settings import Settings
from studio.store.store import Store

OpenStore = Callable[..., Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL that is there for these tests alone."""
    if find_postgres() is None:
        pytest.skip("NOT TESTED ON POSTGRESQL: no server here. Install the package postgresql.")
    with private_postgres(fsync="off") as folder:
        yield folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """A test that takes this runs on both databases."""
    if request.param == "sqlite":
        return settings
    url = new_database(request.getfixturevalue("postgres"))
    return settings.model_copy(update={"database": url})


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl+C as one who sits there has it; these tests may run in the background, without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    opened: list[Store] = []

    def open_one(settings: Settings, **given: object) -> Store:
        opened.append(Store.open(settings, **given))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(both: Settings, open_store: OpenStore) -> Store:
    return open_store(both)
