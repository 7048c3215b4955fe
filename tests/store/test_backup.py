"""The data folder is copied while it is written (F50)."""

import threading
from hashlib import sha256
from pathlib import Path

import pytest

import app
from studio.errors import CannotStart, InUse
from studio.settings import Settings
from studio.store.backup import backup
from studio.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, files_in, painted


def keep(store: Store, count: int = 1) -> None:
    job = claimed(store, count=count)
    assert store.keep(job.id, painted(job))


def whole(store: Store, data: Path) -> int:
    """How many pictures there are; each has its file, and each file its row."""
    rows = store.pictures()
    for row in rows:
        assert sha256((data / row.path).read_bytes()).hexdigest() == row.sha256
        assert (data / row.thumb).is_file()
    assert files_in(data) == sorted(name for row in rows for name in (row.path, row.thumb))
    return len(rows)


def test_a_copy_made_while_it_paints_is_a_studio_of_its_own(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store, stop = open_store(settings), threading.Event()
    keep(store, 3)
    waiting = claimed(store)

    def paint() -> None:
        while not stop.is_set():
            keep(store)

    painter = threading.Thread(target=paint)
    painter.start()
    try:
        copies = [
            (tmp_path / f"copy{n}", backup(settings, tmp_path / f"copy{n}")) for n in range(5)
        ]
    finally:
        stop.set()
        painter.join()
    counts = []
    for folder, done in copies:
        assert not done.missing
        copy = open_store(settings.model_copy(update={"data": folder}))
        counts.append(whole(copy, folder))
        assert done.copied == 2 * counts[-1]
        assert waiting.id in copy.recover()  # it was being painted, and begins again there
        keep(copy)
    assert counts == sorted(counts)
    assert 3 <= counts[0] < counts[-1]


def test_a_later_copy_to_the_same_place_brings_what_is_new(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store, to = open_store(settings), tmp_path / "copy"
    keep(store, 2)
    content = store.keep_input(b"a picture to begin from")
    assert backup(settings, to).copied == 5
    keep(store)
    done = backup(settings, to)
    assert (done.copied, done.there) == (2, 5)
    copy = open_store(settings.model_copy(update={"data": to}))
    assert len(copy.pictures()) == 3
    assert copy.input(content) == b"a picture to begin from"


def test_what_was_deleted_by_hand_is_named_and_the_rest_is_copied(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(settings)
    keep(store, 2)
    lost = store.pictures()[0]
    (settings.data / lost.path).unlink()
    done = backup(settings, tmp_path / "copy")
    assert done.missing == [Path(lost.path).name]
    assert done.copied == 3


def test_a_copy_goes_nowhere_where_it_would_do_harm(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    to = tmp_path / "copy"
    with pytest.raises(CannotStart, match="no history"):
        backup(settings, to)
    open_store(settings)
    with pytest.raises(CannotStart, match="the data folder itself"):
        backup(settings, settings.data)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(CannotStart, match="holds something else"):
        backup(settings, tmp_path / "other")
    with pytest.raises(CannotStart, match="pg_dump"):
        backup(settings.model_copy(update={"database": "postgresql://x"}), to)
    backup(settings, to)
    open_store(settings.model_copy(update={"data": to}))
    with pytest.raises(InUse, match="in use by process"):
        backup(settings, to)


def test_the_front_door_copies(
    settings: Settings,
    open_store: OpenStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep(open_store(settings))
    assert app.main(["backup", "--data", str(settings.data), str(tmp_path / "copy")]) == 0
    assert "2 files copied, 0 were there" in capsys.readouterr().out
