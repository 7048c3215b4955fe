"""Opening the store: one server to a folder, damaged or newer databases, upgrades, tidying up."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from bench.databases import new_database
from studio.errors import CannotStart, Unavailable
from studio.settings import Settings
from studio.store.database import OUR_LOCK, Database, database_url
from studio.store.schema import MIGRATIONS, prepare
from studio.store.tables import metadata
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, files_in, first_migration, migrations_to, painted, submit, wish

HOLDER = """
import sys, time
from pathlib import Path
from studio.settings import Settings
from studio.store.store import Store
store = Store.open(Settings(data=Path(sys.argv[1]), database=sys.argv[2]))
print("open", flush=True)
time.sleep(60)
"""

DIES_KEEPING = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from studio.settings import Settings
from studio.store.files import Files
from studio.store.store import Store
from tests.store.kit import claimed, painted

class Dies(Files):
    def write(self, path, data):
        if sys.argv[3] == "write":
            path.write_bytes(data[: len(data) // 2])
            die()
        super().write(path, data)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

store = Store.open(Settings(data=Path(sys.argv[1]), database=sys.argv[2]), files=Dies())
job = claimed(store)
event.listen(store.database.writer, "commit", die)
store.keep(job.id, painted(job))
"""


def test_a_second_server_is_refused_until_the_first_is_gone(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLDER, str(both.data), both.database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(
                CannotStart, match=rf"is in use by process {holder.pid} on .* since"
            ):
                open_store(both)
            if both.database:
                elsewhere = both.model_copy(update={"data": tmp_path / "elsewhere"})
                with pytest.raises(CannotStart, match=rf"in use by process {holder.pid} on"):
                    open_store(elsewhere)
        finally:
            holder.send_signal(signal.SIGKILL)
    assert submit(open_store(both))


def test_a_closed_store_says_that_the_studio_shuts_down(
    both: Settings, open_store: OpenStore
) -> None:
    store = open_store(both)
    store.close()
    with pytest.raises(Unavailable, match="shutting down"):
        submit(store)
    with pytest.raises(Unavailable, match="shutting down"):
        store.counts()


def test_a_postgresql_that_dropped_its_connections_is_met_again(
    postgres: str, open_store: OpenStore, settings: Settings
) -> None:
    url = new_database(postgres)
    store = open_store(settings.model_copy(update={"database": url}))
    submit(store)
    with psycopg.connect(f"host={postgres} user=darkroom dbname=postgres", autocommit=True) as one:
        one.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 't%'"
        )
    submit(store)
    assert store.counts() == {"queued": 2}
    with psycopg.connect(f"host={postgres} user=darkroom dbname=postgres", autocommit=True) as one:
        name = url.partition("@/")[2].partition("?")[0]
        one.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        one.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        for act in (lambda: submit(store), store.counts):
            with pytest.raises(Unavailable, match="does not answer") as outage:
                act()
            assert outage.value.status == 503
        one.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    submit(store)
    assert store.counts() == {"queued": 3}


def test_a_broken_connection_that_postgresql_still_believes_in_is_an_outage(
    postgres: str, open_store: OpenStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is then held by ourselves: no reason to tell anybody to stop the other server."""
    monkeypatch.setattr("studio.store.database.LOCK_SECONDS", 0.2)
    url = new_database(postgres)
    store = open_store(settings.model_copy(update={"database": url}))
    submit(store)
    store.database.writer.dispose()
    plain = url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain, autocommit=True) as broken:
        broken.execute(f"SELECT pg_advisory_lock({OUR_LOCK})")
        with pytest.raises(Unavailable, match="does not answer"):
            submit(store)
    submit(store)
    assert store.counts() == {"queued": 2}


@pytest.mark.parametrize("damage", ["head", "page", "middle", "cut", "other"])
def test_a_damaged_database_is_refused_and_left_as_it_is(
    settings: Settings, open_store: OpenStore, damage: str
) -> None:
    store = open_store(settings)
    submit(store, *[wish("x" * 2000)] * 50)
    store.close()
    file = settings.data / "darkroom.db"
    data = file.read_bytes()
    noise = os.urandom(2048)
    file.write_bytes(
        {
            "head": noise + data[2048:],
            "page": data[:4096] + noise + data[4096 + 2048 :],
            "middle": data[: len(data) // 8192 * 4096] + noise * 8 + data[len(data) // 2 + 16384 :],
            "cut": data[: len(data) // 2],
            "other": b"This is a diary, not a database.\n" * 200,
        }[damage]
    )
    before = file.read_bytes()
    with pytest.raises(
        CannotStart, match=r"darkroom\.db is damaged \(.*backup copy.*app\.py recover"
    ):
        open_store(settings)
    assert file.read_bytes() == before
    file.rename(file.with_name("damaged.db"))
    assert open_store(settings).counts() == {}, "the way out works"


def test_a_newer_database_is_refused(both: Settings, open_store: OpenStore) -> None:
    store = open_store(both)
    with store.database.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    with pytest.raises(CannotStart, match="newer Darkroom .*9999.* up to 0"):
        open_store(both)


def test_the_migrations_make_the_tables_the_code_knows(
    both: Settings, open_store: OpenStore
) -> None:
    def ours(_: object, name: str | None, *__: object) -> bool:
        return not (name or "").startswith("find")  # the words, which each database keeps its way

    with open_store(both).database.read() as connection:
        here = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(here, metadata) == []


def test_a_line_of_the_first_version_is_painted_in_its_order(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    old = first_migration(tmp_path)
    both.data.mkdir()
    database = Database(database_url(both))
    prepare(database, old)
    with database.write() as tx:
        for name, priority in {"a": 1, "b": 1, "c": 2}.items():
            tx.exec_driver_sql(
                "INSERT INTO job (id, owner, state, priority, model, attempts, crashes, token, "
                "wish, request, warnings, timings, created_at) VALUES "
                f"('{name}', 'local', 'queued', {priority}, 'm', 0, 0, 0, "
                "'{}', '{}', '[]', '{}', 0)"
            )
        tx.exec_driver_sql(
            "INSERT INTO job_event SELECT seq, 1, 0, NULL, 'queued', 0, 'local', '' FROM job"
        )
    database.close()
    store = open_store(both)
    assert [job.id for job in store.waiting()] == ["c", "a", "b"]
    store.move("b", "first")
    assert [job.id for job in store.waiting()] == ["c", "b", "a"]


def test_looks_that_were_kept_as_a_list_are_found_one_by_one(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    both.data.mkdir()
    database = Database(database_url(both))
    prepare(database, migrations_to("0005", tmp_path))
    with database.write() as tx:
        for look in ("film", "clean, film", "ink, clean"):
            tx.exec_driver_sql(f"INSERT INTO term (kind, text) VALUES ('look', '{look}')")
        for n, look in enumerate((1, 2, 0, 3, 1)):
            tx.exec_driver_sql(
                "INSERT INTO entry (picture, changed, state, owner, model, look, sampler, size, "
                "format, width, height, steps, guidance, seed, rating, star, kept_at, family) "
                f"VALUES ('{n}', 1, {2 if n == 4 else 0}, 0, 0, {look}, {'0, ' * 9} 0, 1, 1)"
            )
    database.close()
    worn = "SELECT picture, text FROM entry JOIN entry_term USING (seq) JOIN term ON term.id = term"
    with open_store(both).database.read() as connection:
        found = {tuple(row) for row in connection.exec_driver_sql(worn)}
        kept = set(connection.exec_driver_sql("SELECT text FROM term").scalars())
    # The last one is gone for good.
    assert found == {("0", "film"), ("1", "film"), ("1", "clean"), ("3", "clean"), ("3", "ink")}
    assert kept == {"film", "clean", "ink"}


@pytest.mark.parametrize("broken", [False, True])
def test_an_upgrade_is_whole_or_not_at_all_and_a_copy_is_made_first(
    both: Settings, open_store: OpenStore, tmp_path: Path, broken: bool
) -> None:
    store = open_store(both)
    submit(store)
    store.close()
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    last = max(path.name[:4] for path in MIGRATIONS.glob("versions/0*.py"))
    (tmp_path / "migrations/versions/9999_next.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision, down_revision = '9999', '{last}'\n"
        "def upgrade():\n"
        "    op.add_column('job', sa.Column('mood', sa.Text))\n"
        f"    assert not {broken}\n"
    )
    database = Database(database_url(both))
    if broken:
        with pytest.raises(AssertionError):
            prepare(database, tmp_path / "migrations")
    else:
        prepare(database, tmp_path / "migrations")
    columns = {column["name"] for column in inspect(database.writer).get_columns("job")}
    assert ("mood" in columns) is not broken
    database.close()
    copies = list(both.data.glob("darkroom.db.before-9999-*"))
    assert len(copies) == (0 if both.database else 1)
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT state FROM job").fetchall() == [("queued",)]


@pytest.mark.parametrize("moment", ["write", "commit"])
def test_a_picture_whose_keeping_the_server_did_not_survive_is_painted_again(
    both: Settings, open_store: OpenStore, moment: str
) -> None:
    """F09, F10: killed in the middle of a file, and between the files and their row."""
    command = [sys.executable, "-c", DIES_KEEPING, str(both.data), both.database, moment]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = files_in(both.data)
    assert [".part-" in name for name in left] == {"write": [True], "commit": [False] * 2}[moment]
    store = open_store(both)
    assert files_in(both.data) == []
    lost = both.data / "lost+found"
    found = [path.suffix for path in lost.rglob("*.*")] if lost.exists() else []
    assert sorted(found) == {"write": [], "commit": [".png", ".webp"]}[moment]
    (name,) = store.recover()
    assert [job.id for job in store.waiting()] == [name]
    assert store.pictures() == []
    job = store.claim(name, "slot")
    assert job
    (kept,) = store.keep(name, painted(job)) or ()
    assert store.file(kept).is_file()


def test_half_files_go_and_a_file_without_a_row_is_set_aside(
    both: Settings, open_store: OpenStore
) -> None:
    pictures = both.data / "pictures/2026-01-02"
    pictures.mkdir(parents=True)
    (pictures / "mine.png").write_bytes(b"was here before the studio")
    store = open_store(both)
    job = claimed(store)
    kept = store.keep(job.id, painted(job))
    name = store.keep_input(b"input")
    assert kept
    store.close()
    os.utime(pictures / "mine.png", (1, 1))
    (pictures / ".part-x-1-0").write_bytes(b"half")
    (pictures / "orphan.png").write_bytes(b"renamed, then the power went")
    store = open_store(both)
    assert files_in(both.data) == sorted(
        [f"inputs/{name}", "pictures/2026-01-02/mine.png", kept[0].path, kept[0].thumb]
    )
    (lost,) = (both.data / "lost+found").rglob("*.*")
    assert lost.read_bytes() == b"renamed, then the power went"
    assert lost.name == "orphan.png"


def test_a_setting_that_will_not_do_is_named_without_its_secrets(
    settings: Settings, open_store: OpenStore
) -> None:
    for update, complaint in (
        ({"file_name": "{artist}"}, "{artist} is not known"),
        ({"database": "mysql://bob:s3cret@host/x"}, "mysql will not do"),
        ({"database": "bob:s3cret"}, "that is no URL"),
        ({"database": "sqlite://"}, "SQLite in a file"),
        ({"database": "postgresql://bob:s3cret@127.0.0.1:1/x"}, "opened: Connection refused."),
        ({"data": Path("/proc/nowhere")}, "The data folder /proc/nowhere"),
    ):
        with pytest.raises(CannotStart) as refused:
            open_store(settings.model_copy(update=update))
        assert complaint in str(refused.value)
        assert "s3cret" not in str(refused.value)
