"""A real Ray of three machines on this one: who paints where, what is lost, who may not enter."""

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import msgpack
import pytest

from bench.server import free_port
from studio.errors import CannotStart
from studio.jobs.cluster import Cluster
from studio.jobs.slot import Inbox
from studio.jobs.studio import Studio, find_fleet
from studio.messages import read_bytes
from studio.settings import ROOT, Settings
from tests.jobs.test_pool import until
from tests.jobs.test_seats import NARROW, WIDE, House, two_models

WORKER = "tests.jobs.slow_worker"


QUICKLY = {  # Ray is to miss a machine, and a machine its head, within seconds
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}


@dataclass
class Ray:
    """`mode` is whether it asks for a token."""

    mode: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] = field(init=False)
    address: str = ""

    @property
    def door(self) -> str:
        return f"ray://127.0.0.1:{self.port + 1}"

    def begin(self, *gpus: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.ray_cluster", str(self.port), *gpus],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | QUICKLY | {"RAY_AUTH_MODE": self.mode},
        )
        self.address = cast(IO[str], self.process.stdout).readline().strip()
        assert self.address, "Ray did not start"

    def lose(self, machine: str) -> None:
        """Or its head."""
        stdin, stdout = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        stdin.write(f"{machine.rpartition('-')[2]}\n")
        stdin.flush()
        assert stdout.readline() == "lost\n"

    def end(self) -> None:
        cast(IO[str], self.process.stdin).close()
        self.process.wait(60)
        cast(IO[str], self.process.stdout).close()


class Heard:
    """The input of a ferry that is only listened to."""

    def __init__(self) -> None:
        self.stdin = io.BytesIO()

    def words(self) -> list[dict[str, object]]:
        self.stdin.seek(0)
        words = []
        while (data := read_bytes(self.stdin)) is not None:
            words.append(msgpack.unpackb(data))
        return words


def test_what_the_line_could_use_is_told_to_each_ferry_once(settings: Settings) -> None:
    cluster = Cluster(settings, Inbox(), WORKER, [])
    cluster.want([1])  # there is no ferry yet
    for _ in range(2):
        ferry = cluster.ferry = Heard()  # type: ignore[assignment]
        for gpus in ([1], [1], [2, 1]):
            cluster.want(gpus)
        assert [word["gpus"] for word in ferry.words()] == [[1], [2, 1]]
        cluster._wanted = None  # as when it is lost


def test_a_ferry_that_cannot_begin_is_tried_again_and_one_that_comes_too_late_is_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    tries = iter([OSError(12, "Cannot allocate memory"), ["cat"], ["cat"]])

    def begin(*_: object, **__: object) -> subprocess.Popen[bytes]:
        command = next(tries)
        if isinstance(command, OSError):
            raise command
        if begun:  # the studio closes while this one begins
            cluster._closed.set()
        begun.append(popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))  # type: ignore[arg-type]
        return begun[-1]

    popen = subprocess.Popen
    monkeypatch.setattr("studio.jobs.cluster.subprocess.Popen", begin)
    monkeypatch.setattr("studio.jobs.cluster.RESTS", (0.0,))
    cluster = Cluster(settings, Inbox(), WORKER, [])
    cluster._thread.start()
    until(lambda: begun)
    begun[0].kill()
    cluster._thread.join(10)
    assert not cluster._thread.is_alive()
    assert len(begun) == 2 and begun[1].poll() == 0


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICKLY.items():
            patch.setenv(name, value)
        patch.setenv("RAY_AUTH_TOKEN", "a token of forty letters for these tests")
        ray = Ray("token")
        ray.begin("2", "1")
        yield ray
        ray.end()


def open_studio(settings: Settings, presets: Path, address: str) -> Studio:
    changed = {"presets": presets, "default_model": "", "cluster": address}
    settings = settings.model_copy(update=changed)
    inbox = Inbox()
    return Studio.open(settings, find_fleet(settings, inbox, WORKER), inbox)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_studio_outside_the_cluster_paints_through_rays_door(
    settings: Settings, tmp_path: Path, ray: Ray
) -> None:
    studio = open_studio(settings, two_models(tmp_path / "presets"), ray.door)
    house, cluster = House(studio), cast(Cluster, studio.pool.fleet.cluster)
    assert not cluster.holds_this_machine
    wide, narrow = house.end(house.submit(WIDE, NARROW), 90)
    assert "+" in str(wide) and "+" not in str(narrow)
    assert {slot.name for slot, _ in cluster.slots} >= {*str(wide).split("+"), narrow}
    studio.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_machines_paint_wide_and_narrow_and_one_may_be_lost(
    settings: Settings, tmp_path: Path, ray: Ray
) -> None:
    """F45"""
    presets = two_models(tmp_path / "presets")
    studio = open_studio(settings, presets, ray.address)
    assert "ray" not in sys.modules
    house = House(studio)

    widths = Counter(view.name.split(":")[0] for view in studio.pool.views())
    (pair, _), (single, _) = widths.most_common()
    assert sorted(widths.values()) == [1, 2]
    jobs = house.submit(WIDE, NARROW, WIDE, NARROW, NARROW, seed=0x030201)
    slots = house.end(jobs, 90)
    assert {slots[0], slots[2]} == {f"{pair}:gpu0+{pair}:gpu1"}
    assert f"{single}:gpu0" in {slots[1], slots[3], slots[4]}
    assert all(studio.store.job(job).crashes == 0 for job in jobs)

    # A machine is lost soon after it began a picture.
    jobs = [house.submit(NARROW, steps=steps)[0] for steps in (38, 39, 40)]

    def begun() -> set[str | None]:
        views = [studio.line.view(job) for job in jobs]
        return {view.job.slot for view in views if view.live.step}

    until(lambda: f"{single}:gpu0" in begun(), 60)
    ray.lose(single)
    views = [studio.line.wait(job, 90) for job in jobs]
    assert [view.job.state for view in views] == ["done"] * 3
    assert [len(view.pictures) for view in views] == [1, 1, 1]
    assert sorted(view.job.crashes for view in views) == [0, 0, 1]
    assert {str(view.job.slot).split(":")[0] for view in views} == {pair}

    # So is the process that speaks with Ray; then what it had begun.
    (job,) = house.submit(NARROW, steps=30)
    until(lambda: studio.line.view(job).live.step, 60)
    ferry = cast(Cluster, studio.pool.fleet.cluster).ferry
    assert ferry
    os.kill(ferry.pid, signal.SIGKILL)
    view = studio.line.wait(job, 90)
    assert (view.job.state, view.job.crashes, len(view.pictures)) == ("done", 0, 1)
    assert ferry.poll() is not None

    # Last the head, and all the others with it; then it is begun again where it was.
    jobs = house.submit(NARROW, NARROW, NARROW, steps=90)
    until(lambda: studio.line.view(jobs[0]).live.step, 60)
    ray.lose("head")
    until(lambda: not studio.pool.views(), 60)
    waiting = [studio.line.view(job).job.state for job in jobs]
    assert waiting == ["queued"] * 3
    ray.end()
    ray.begin("1")
    views = [studio.line.wait(job, 90) for job in jobs]
    assert [(view.job.state, view.job.crashes) for view in views] == [("done", 0)] * 3
    assert [len(view.pictures) for view in views] == [1] * 3
    studio.close()


@pytest.mark.slow
def test_a_cluster_that_asks_for_no_token_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = Ray("disabled")
    ray.begin()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token that nobody here asks for, alas!")
    presets = two_models(tmp_path / "presets")
    try:
        for address in (ray.address, ray.door):
            with pytest.raises(CannotStart, match=f"{address} is refused: it does not send away"):
                open_studio(settings, presets, address)
    finally:
        ray.end()


def test_without_ray_the_cluster_is_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CannotStart, match="pip install -r requirements-cluster.txt"):
        find_fleet(settings.model_copy(update={"cluster": "auto"}), Inbox())


def test_ray_is_never_imported_by_the_studio() -> None:
    asked = "import sys, studio.jobs.studio, studio.jobs.ferry; sys.exit('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=False)
    assert done.returncode == 0
