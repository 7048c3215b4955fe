"""A data folder that cannot be written, opened without root's powers: seen, and not painted."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import CannotStart
from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.studio import Studio
from studio.request import read_request
from studio.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DROP = 24  # PR_CAPBSET_DROP
POWERS = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: they make root blind to permissions
LOOK = """
import sys
from pathlib import Path
import httpx
from studio.settings import Settings
from studio.web.quiet import prepare
settings = Settings(data=Path(sys.argv[1]), port=0)
prepare(settings)
from studio.jobs.studio import Studio
from studio.web.site import serve
studio = Studio.open(settings)
site = serve(studio, block=False)
with httpx.Client(base_url=site.url, timeout=20) as client:
    row = client.get("/api/history").json()["pictures"][0]
    print(client.get(row["url"]).content[:4])
    print("read only" in client.get("/").text)
    refused = client.post("/api/generate", json={"prompt": "a red car"})
    print(refused.status_code, refused.json())
    print(client.get("/api/ready").status_code, client.get("/api/health").json()["status"])
site.close()
studio.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A studio's folder with one picture."""
    settings = Settings(data=tmp_path / "data")
    studio = Studio.open(settings, Fleet([(fake.FakeSlot(), "for tests")], fake.widen))
    wish = read_request({"prompt": "a red car", "width": 64, "height": 64, "steps": 1})
    assert studio.line.wait(studio.line.submit([wish])[0].id, 20).job.state == "done"
    studio.close()
    yield settings.data
    _open_for(settings.data, "u+w")


def look(folder: Path, program: str = LOOK) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", program, str(folder)],
        cwd=ROOT,
        preexec_fn=_as_anybody,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _as_anybody() -> None:
    if os.geteuid() == 0:
        for power in POWERS:
            ctypes.CDLL(None).prctl(DROP, power, 0, 0, 0)


def _open_for(folder: Path, mode: str) -> None:
    subprocess.run(["chmod", "-R", mode, str(folder)], check=True)


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_pictures_are_seen_and_a_wish_is_refused_with_the_reason(
    folder: Path, killed: bool
) -> None:
    if killed:  # the last words stand in the log beside the database
        subprocess.run([sys.executable, "-c", DIES, str(folder / "darkroom.db")], check=True)
        assert (folder / "darkroom.db-wal").stat().st_size
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    _open_for(folder, "a-w,a+rX")
    said = look(folder)
    assert said.returncode == 0, said.stderr
    magic, page, refused, health = said.stdout.strip().splitlines()
    assert magic == repr(b"\x89PNG")
    assert page == "True"
    assert refused.startswith("503")
    assert f"{folder} cannot be written" in refused
    assert health == "503 read only"
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_who_serves_it_is_told_in_the_terminal(folder: Path) -> None:
    _open_for(folder, "a-w,a+rX")
    said = look(folder, SERVE)
    assert said.returncode == 0, said.stderr
    assert f"{folder} cannot be written: its pictures can be seen" in said.stdout


def test_a_form_that_is_too_old_cannot_be_read(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", OLDER, str(folder / "darkroom.db")], check=True, timeout=60
    )
    _open_for(folder, "a-w,a+rX")
    said = look(folder, OPEN)
    assert "must be brought up to date first" in said.stdout


SERVE = """
import os, signal, sys, threading, time
import app
def end():
    while not callable(signal.getsignal(signal.SIGTERM)):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end).start()
app.main(["--data", sys.argv[1], "--port", "0"])
"""
DIES = """
import os, sqlite3, sys
one = sqlite3.connect(sys.argv[1])
one.execute("UPDATE job SET owner = 'eve'")
one.commit()
os._exit(0)
"""
OLDER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as one:
    one.execute("DELETE FROM alembic_version")
"""
OPEN = """
import sys
from pathlib import Path
from studio.errors import CannotStart
from studio.settings import Settings
from studio.store.store import Store
try:
    Store.open(Settings(data=Path(sys.argv[1])))
except CannotStart as error:
    print(error)
"""


def test_a_folder_without_a_history_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="The data folder /proc/nowhere"):
        Studio.open(Settings(data=Path("/proc/nowhere")))
