"""Both databases through one fixture: SQLite in a folder, PostgreSQL on a private socket."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from studio.settings import Settings
from studio.store.store import Store

OpenStore = Callable[..., Store]
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL that is there for these tests alone."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = programs[-1] if programs else Path(shutil.which("postgres") or "")
    if not found.is_file():
        pytest.skip("NOT TESTED ON POSTGRESQL: no server here. Install the package postgresql.")
    folder = Path(tempfile.mkdtemp(prefix="darkroom-pg-"))  # short: a socket path ends at 107 bytes
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "nobody"
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        [found.with_name("initdb"), "-D", data, "-U", "darkroom", "-A", "trust", "-E", "UTF8"]
        + ["--no-sync", "--locale=C"],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    server = subprocess.Popen(
        [found, "-D", data, *(f"--{name}={value}" for name, value in options.items())],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(folder)
        yield str(folder)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def _wait_for(folder: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host={folder} user=darkroom dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def new_database(postgres: str) -> str:
    name = f"t{next(_numbers)}"
    with psycopg.connect(f"host={postgres} user=darkroom dbname=postgres", autocommit=True) as one:
        one.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://darkroom@/{name}?host={postgres}"


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
