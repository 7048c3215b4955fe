"""Nothing leaves this machine: not at start, not with the page, not with the first picture."""

import os
import subprocess
import sys
from pathlib import Path

from studio.settings import Settings
from studio.web.quiet import cache_folder, sweep

SERVE = """
import sys
from pathlib import Path

def hook(event, given):
    if event == "socket.connect":
        print("connects", given[1], flush=True)
    elif event == "socket.getaddrinfo":
        print("looks up", given[0], flush=True)

sys.addaudithook(hook)
from studio.settings import Settings
from studio.web.quiet import prepare

settings = Settings(data=Path(sys.argv[1]), default_model="test-pattern", port=0, drain_seconds=0.1)
prepare(settings)
from studio.jobs.fake import FakeSlot, widen
from studio.jobs.seats import Fleet
from studio.jobs.studio import Studio
from studio.web.site import serve

assert not {"torch", "diffusers", "transformers"} & set(sys.modules)
studio = Studio.open(settings, Fleet([(FakeSlot(), "for tests")], widen))
site = serve(studio, block=False)
import httpx

assert httpx.get(site.url).status_code == 200
wish = {"prompt": "x", "width": 64, "height": 64}
assert httpx.post(site.url + "/api/generate", json=wish, timeout=60).status_code == 200
site.close()
studio.close()
print("done")
"""


def test_nothing_goes_out_and_torch_stays_out(tmp_path: Path) -> None:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    said = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        env=plain | {"PYTHONPATH": os.getcwd()},
        check=False,
    )
    lines = said.stdout.splitlines()
    assert lines and lines[-1] == "done", said.stdout + said.stderr
    foreign = [line for line in lines[:-1] if "127.0.0.1" not in line and "localhost" not in line]
    assert foreign == []


def test_the_folder_of_gradios_copies_is_emptied_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    folder = cache_folder(settings)
    folder.mkdir()
    (folder / "old.png").write_bytes(b"x")
    sweep(settings)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0
