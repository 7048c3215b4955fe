"""What the real server promises: offline, the same picture always, nothing lost, one owner."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from bench.server import ROOT
from tests.journey.conftest import Server

WISH = {"prompt": "a (blue:1.2) boat at night", "seed": 11, "steps": 6}


def paint(server: Server, **fields: object) -> bytes:
    answer = httpx.post(f"{server.url}/api/generate", json={**WISH, **fields}, timeout=60)
    assert answer.status_code == 200, answer.text
    return httpx.get(server.url + answer.json()["image_url"]).content


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def submit(server: Server, **fields: object) -> str:
    answer = httpx.post(f"{server.url}/api/jobs", json={**WISH, **fields})
    assert answer.status_code == 202, answer.text
    name: str = answer.json()["id"]
    return name


def finished(server: Server, job: str, seconds: float = 100) -> dict[str, object]:
    end = time.monotonic() + seconds
    with httpx.Client() as client:  # one for all: each reads the machine's certificates anew
        while True:
            answer: dict[str, object] = client.get(f"{server.url}/api/jobs/{job}").json()
            if answer["state"] in ("done", "failed", "cancelled"):
                return answer
            assert time.monotonic() < end, answer
            time.sleep(0.05)


def apart(one: bytes, other: bytes) -> int:
    """In levels. Side by side with others, which the timings say, a picture may differ by one."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def picture_of(server: Server, job: dict[str, object]) -> bytes:
    return httpx.get(server.url + job["pictures"][0]["url"]).content  # type: ignore[index]


@pytest.fixture(scope="module")
def alone(house: Server) -> bytes:
    """The pixels of the wish, while nobody else paints."""
    return pixels(paint(house))


def test_page_and_first_picture_reach_for_nothing_outside(server: Server) -> None:
    assert httpx.get(server.url).status_code == 200
    paint(server)
    assert not server.watched.exists(), server.watched.read_text()


def test_the_same_request_gives_the_same_pixels_alone_in_a_queue_and_after_a_restart(
    server: Server, alone: bytes
) -> None:
    jobs = [submit(server, seed=seed) for seed in (3, 11, 4)]
    second = finished(server, jobs[1])
    assert apart(pixels(picture_of(server, second)), alone) <= ("together" in second["timings"])
    waiting = [submit(server, steps=60), submit(server)]
    server.kill()
    server.start()
    assert finished(server, waiting[0])["state"] == "done"
    again = finished(server, waiting[1])
    assert apart(pixels(picture_of(server, again)), alone) <= ("together" in again["timings"])


def test_two_slots_give_the_same_pixels(server: Server, alone: bytes) -> None:
    """Slots of one server have as many threads each; another number may move the last level."""
    assert server.stop() == 0
    server.start(DARKROOM_SLOTS="2")
    # No two of one kind wait at once, so that none is painted beside another.
    busy: set[object] = set()
    for steps in range(40, 80, 4):  # one of them may be long in coming
        some = [submit(server, steps=steps + n) for n in range(4)]
        busy |= {finished(server, job)["slot"] for job in some}
        if len(busy) == 2:
            break
    assert busy == {"cpu0", "cpu1"}
    blocker = submit(server, steps=60)
    until_painting(server, blocker)
    jobs = [finished(server, submit(server))]
    finished(server, blocker)
    while len({job["slot"] for job in jobs}) < 2 and len(jobs) < 10:
        jobs.append(finished(server, submit(server)))
    assert {job["slot"] for job in jobs} == {"cpu0", "cpu1"}
    one, *others = (pixels(picture_of(server, job)) for job in jobs)
    assert all(other == one for other in others)
    assert apart(one, alone) <= 1


def until_painting(server: Server, job: str) -> dict[str, Any]:
    """The slot that paints it."""
    while True:
        slots = httpx.get(f"{server.url}/api/queue/status").json()["slots"]
        for slot in slots:
            if (slot["job"], slot["state"]) == (job, "painting"):
                return dict(slot)


def test_a_killed_worker_costs_time_and_nothing_else(server: Server) -> None:
    job = submit(server, steps=100)
    os.kill(until_painting(server, job)["pid"], signal.SIGKILL)
    done = finished(server, job)
    assert (done["state"], done["crashes"]) == ("done", 1)


def test_sigterm_puts_back_what_it_cannot_finish(server: Server) -> None:
    """F48: the drain of this server is a fifth of a second."""
    jobs = [submit(server, steps=40, count=2), submit(server)]
    until_painting(server, jobs[0])
    assert server.stop() == 0
    server.start()
    done = [finished(server, job) for job in jobs]
    assert [(job["state"], job["crashes"]) for job in done] == [("done", 0)] * 2


def test_a_second_server_on_the_same_folder_is_refused_with_the_pid(server: Server) -> None:
    assert server.process
    command = [sys.executable, "app.py", "doctor", "--data", str(server.data)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert second.returncode == 0, second.stdout
    assert str(server.process.pid) in second.stdout
    third = subprocess.run(
        [sys.executable, "app.py", "--data", str(server.data), "--port", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert third.returncode == 1
    assert str(server.process.pid) in third.stderr


def test_paint_without_a_server_gives_a_file_that_knows_how_it_was_made(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "paint", "a red car", "--seed", "7"]
    more = ["--steps", "3", "--data", str(tmp_path / "data"), "--out", "car.png"]
    done = subprocess.run(
        [*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "car.png") as image:
        assert "Seed: 7" in image.info["parameters"]
    assert not _workers_of(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)  # three starts
def test_a_file_is_painted_again_without_a_server_and_compared(tmp_path: Path) -> None:
    def run(*words: str, data: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "app.py"), *words, "--data", str(tmp_path / data)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)

    painted = run("paint", "a red car", "--seed", "7", "--out", "car.png", data="there")
    assert painted.returncode == 0, painted.stderr
    again = run("rerun", "car.png", "--out", "again.png", data="here")
    assert again.stdout == "car.png: identical, pixel by pixel\n", again.stderr
    assert again.returncode == 0
    with Image.open(tmp_path / "car.png") as one, Image.open(tmp_path / "again.png") as other:
        assert one.tobytes() == other.tobytes()
    refused = run("rerun", "nothing.png", data="here")
    assert (refused.returncode, refused.stderr) == (
        1, "darkroom: nothing.png: No such file or directory.\n",
    )  # fmt: skip


def _workers_of(folder: Path) -> list[str]:
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(command.read_bytes().decode("utf-8", "replace"))
    return [line for line in found if "engine.worker" in line and str(folder) in line]


def test_a_bad_wish_on_the_command_line_is_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "app.py", "paint", "x", "--steps", "1000000"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "darkroom: steps: 1000000 is too large; the most is 200.\n"


@pytest.mark.slow
@pytest.mark.timeout(400)  # three starts, each of some ten seconds on a small machine
def test_three_kills_of_the_real_server_lose_nothing(server: Server) -> None:
    jobs = []
    for round_ in range(3):
        jobs += [submit(server, seed=seed) for seed in range(3)]
        time.sleep(0.3 * round_)
        server.kill()
        server.start()
    for job in jobs:
        assert finished(server, job)["state"] == "done"
        assert len(httpx.get(f"{server.url}/api/jobs/{job}").json()["pictures"]) == 1
