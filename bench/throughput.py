"""What is lost between a full line and the workers: the server at saturation against bare workers.

Offline is a loop that gives the same worker processes the next job when one is done, without line,
database or files. Both paint the same wishes, in turns, so that a noisy machine is noisy to both.
Then wishes come at random instants, at 70 % of what the workers can do. A first few pictures say
how many fit into the minutes there are; how long it will take is told before it begins.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from queue import Empty
from statistics import median, quantiles
from typing import Any

import httpx

from bench.report import report
from bench.server import running
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.jobs.studio import local_fleet
from studio.messages import Failed, Hello, Leave, Paint, Painted
from studio.models.upscalers import find_upscalers, upscaler_of
from studio.models.weights import find_weights
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.presets import load_catalog

POLL_SECONDS = 0.2
SILENT_SECONDS = 600.0  # a worker tells of every step
LOAD = 0.7
PARTS = 2 + 2 / LOAD  # of a round: by the server, by bare workers, and twice at random
LATE = 5  # times what was told, and a minute: then something is stuck
WORDS = ("a red car", "a boat", "two houses", "a tree", "a cat on a street", "a castle")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="test-pattern")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=60, help="of each round, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="a slow model paints fewer pictures in a round"
    )


def main(asked: argparse.Namespace) -> int:
    os.environ["DARKROOM_SLOTS"] = str(asked.slots)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=60) as server,
        closing(Bare(Path(folder), asked)) as bare,
    ):
        bare.paint(asked.slots + 1)  # loads the model
        a_second = bare.paint(3 * asked.slots)
        asked.pictures, seconds = fitting(asked, a_second)
        print(
            f"{a_second:.2g} pictures a second: {asked.rounds} rounds of {asked.pictures} "
            f"take about {seconds / 60:.1f} minutes",
            flush=True,
        )
        asked.until = time.monotonic() + LATE * seconds + 60
        rounds = [
            (_saturate(server, asked), bare.paint(asked.pictures)) for _ in range(asked.rounds + 1)
        ]
        del rounds[0]  # models were loaded in it, and numbers at once tried
        online, offline = (median(each) for each in zip(*rounds, strict=True))
        sizes = [job["timings"].get("together", 1) for job in _newest(server, asked.pictures)]
        waits = [
            seconds
            for seed in range(2 * asked.rounds)
            for seconds in _at_random(server, asked, LOAD * offline, seed)
        ]
    cuts = quantiles(waits, n=100, method="inclusive")
    figures = {
        "slots": asked.slots,
        "pictures": asked.pictures * asked.rounds,
        "server_per_second": round(online, 3),
        "offline_per_second": round(offline, 3),
        "server_over_offline": round(median(on / off for on, off in rounds), 3),
        "p50_seconds": round(cuts[49], 3),
        "p99_seconds": round(cuts[98], 3),
        "p99_over_p50": round(cuts[98] / cuts[49], 2),
        "most_at_once": max(sizes),
    }
    report("throughput", figures, save=asked.save)
    return 0


def fitting(asked: argparse.Namespace, a_second: float) -> tuple[int, float]:
    """How many pictures a round has, and how many seconds all of it takes."""
    rounds = PARTS * asked.rounds + 2  # and one that does not count
    fit = int(60 * asked.minutes * a_second / rounds)
    pictures = max(2 * asked.slots, min(asked.pictures, fit))
    return pictures, rounds * pictures / a_second


def _wish(asked: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    return {"prompt": dice.choice(WORDS), "model": asked.model, "seed": dice.randrange(2**31)}


def _rate(ends: Sequence[float], slots: int) -> float:
    """Pictures a second, from when every slot has finished one."""
    ends = sorted(ends)
    return (len(ends) - slots) / (ends[-1] - ends[slots - 1])


def _saturate(server: httpx.Client, asked: argparse.Namespace) -> float:
    dice = random.Random(0)
    for _ in range(asked.pictures):
        server.post("/api/jobs", json=_wish(asked, dice)).raise_for_status()
    _until_empty(server, asked.until)
    return _rate([job["finished_at"] for job in _newest(server, asked.pictures)], asked.slots)


def _at_random(
    server: httpx.Client, asked: argparse.Namespace, a_second: float, seed: int
) -> list[float]:
    """Seconds from wish to picture."""
    dice = random.Random(seed)
    at = time.monotonic()
    for _ in range(asked.pictures):
        at += dice.expovariate(a_second)
        time.sleep(max(0.0, at - time.monotonic()))
        server.post("/api/jobs", json=_wish(asked, dice)).raise_for_status()
    _until_empty(server, asked.until)
    return [job["finished_at"] - job["created_at"] for job in _newest(server, asked.pictures)]


def _until_empty(server: httpx.Client, until: float) -> None:
    counts: dict[str, int] = {}
    while time.monotonic() < until:
        counts = server.get("/api/queue/status").json()["jobs"]
        if not counts.get("queued") and not counts.get("running"):
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"the line is not empty yet: {counts}")


def _newest(server: httpx.Client, count: int) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = server.get(f"/api/jobs?limit={count}").json()["jobs"]
    if any(job["state"] != "done" for job in jobs):
        raise RuntimeError("a picture failed")
    return jobs


class Bare:
    """The same workers, each with the next job as soon as it is done with one."""

    def __init__(self, data: Path, asked: argparse.Namespace) -> None:
        settings = Settings(data=data)
        self._catalog, self._models = load_catalog(settings.presets), settings.model_folder
        self._asked, self._inbox = asked, Inbox()
        self._slots: dict[str, Slot] = {
            slot.name: slot for slot, _ in local_fleet(settings).singles
        }
        for slot in self._slots.values():
            slot.start(self._inbox, 1)
        for _ in self._slots:
            self._hear(Hello)

    def paint(self, pictures: int) -> float:
        dice = random.Random(0)
        jobs = [self._message(dice) for _ in range(pictures)]
        for slot in self._slots.values():
            slot.send(jobs.pop())
        ends: list[float] = []
        while len(ends) < pictures:
            name = self._hear(Painted)
            ends.append(time.time())
            if jobs:
                self._slots[name].send(jobs.pop())
        return _rate(ends, len(self._slots))

    def close(self) -> None:
        for slot in self._slots.values():
            slot.send(Leave())

    def _message(self, dice: random.Random) -> Paint:
        upscalers = find_upscalers(self._catalog.upscalers, self._models)
        wish = read_request(_wish(self._asked, dice))
        settled = self._catalog.settle(wish, upscalers=upscalers)
        request = settled.request.model_dump(mode="json")
        return Paint(
            job="bare",
            token=0,
            request=request,
            card=settled.card.model_dump(mode="json"),
            folder=find_weights(settled.card, self._models),
            upscaler=upscaler_of(request, self._catalog.upscalers, self._models),
        )

    def _hear(self, kind: type) -> str:
        """Waits until one of them says such a thing, and says which."""
        while True:
            try:
                said = self._inbox.get(timeout=SILENT_SECONDS)
            except Empty:
                raise RuntimeError(f"no worker said a word in {SILENT_SECONDS:g} s") from None
            match said:
                case Said(slot=slot, message=message) if isinstance(message, kind):
                    return slot
                case Said(message=Failed() | Gone() as end):
                    raise RuntimeError(f"a worker: {end}")
