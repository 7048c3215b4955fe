"""A database by its word on the command line: SQLite, our own PostgreSQL, or one by its URL."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

HELP = "sqlite, postgresql (begun for this alone), or a SQLAlchemy URL"
_numbers = count(1)


@contextmanager
def database(word: str) -> Iterator[str]:
    """Its URL; empty for SQLite in the data folder."""
    if word == "sqlite":
        yield ""
    elif word == "postgresql":
        with private_postgres() as folder:
            yield new_database(folder)
    else:
        yield word


def results_name(bench: str, word: str) -> str:
    return bench if word == "sqlite" else f"{bench}_postgresql"


def find_postgres() -> Path | None:
    """The server's program, if it is installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = programs[-1] if programs else Path(shutil.which("postgres") or "")
    return found if found.is_file() else None


@contextmanager
def private_postgres(**options: str) -> Iterator[str]:
    """The folder of the socket of a server that is there for the caller alone."""
    program = find_postgres()
    if program is None:
        raise SystemExit("There is no PostgreSQL server here. Install the package postgresql.")
    folder = Path(tempfile.mkdtemp(prefix="darkroom-pg-"))  # short: a socket path ends at 107 bytes
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "nobody"
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        [program.with_name("initdb"), "-D", data, "-U", "darkroom", "-A", "trust", "-E", "UTF8"]
        + ["--no-sync", "--locale=C"],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), **options}
    server = subprocess.Popen(
        [program, "-D", data, *(f"--{name}={value}" for name, value in options.items())],
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


def new_database(folder: str) -> str:
    name = f"t{next(_numbers)}"
    with psycopg.connect(f"host={folder} user=darkroom dbname=postgres", autocommit=True) as one:
        one.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://darkroom@/{name}?host={folder}"
