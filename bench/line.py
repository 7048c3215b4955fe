"""How long the line takes to write down, to claim and to finish a job while very many wait.

Submissions come at a steady rate, timed from the moment they were due, while another thread claims
and finishes jobs of the same database. Claims are timed with ten times as many waiting.
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.databases import HELP, database, results_name
from bench.report import report
from studio.messages import Painted, Picture
from studio.request import read_request
from studio.settings import Settings
from studio.store.rows import Job, Room
from studio.store.store import Store
from studio.wishes.catalog import Settled
from studio.wishes.presets import load_catalog

AT_ONCE = 500  # wishes of one transaction while the line is filled
ROOM = Room(10_000_000)
PNG = bytes(90_000)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--depth", type=int, default=10_000, help="jobs that wait at submission")
    parser.add_argument("--deep", type=int, default=100_000, help="jobs that wait at claims")
    parser.add_argument("--rate", type=float, default=50.0, help="submissions a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--database", default="sqlite", help=HELP)


def main(asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder, database(asked.database) as url:
        settings = Settings(data=Path(folder), database=url)
        store = Store.open(settings)
        try:
            figures = measure(store, asked.depth, asked.deep, asked.rate, asked.seconds)
        finally:
            store.close()
    report(results_name("line", asked.database), figures, save=asked.save)
    return 0


def measure(store: Store, depth: int, deep: int, rate: float, seconds: float) -> dict[str, float]:
    catalog = load_catalog(Settings().presets)
    wishes = (
        catalog.settle(
            read_request({"model": "test-pattern", "prompt": f"car {n}", "owner": f"o{n % 7}"})
        )
        for n in itertools.count()
    )
    waiting = iter(_fill(store, wishes, depth))
    stop = threading.Event()
    finished: list[float] = []
    painter = threading.Thread(target=_paint, args=(store, waiting, stop, finished))
    painter.start()
    try:
        submitted = _submit(store, wishes, rate, seconds)
    finally:
        stop.set()
        painter.join()
    left = _fill(store, wishes, deep - store.counts()["queued"])
    claimed = [_timed(lambda job=job: store.claim(job.id, "bench")) for job in left[:AT_ONCE]]
    return {
        "depth": depth,
        "rate": rate,
        **_spread("submit", submitted),
        "deep": deep,
        **_spread("claim", claimed),
        **_spread("finish", finished),
    }


def _fill(store: Store, wishes: Iterator[Settled], count: int) -> list[Job]:
    filled: list[Job] = []
    while len(filled) < count:
        some = itertools.islice(wishes, min(AT_ONCE, count - len(filled)))
        filled += store.submit(list(some), room=ROOM)
    return filled


def _submit(store: Store, wishes: Iterator[Settled], rate: float, seconds: float) -> list[float]:
    """Of each, from when it was due until it was written down: who comes late, waits longer."""
    begin = time.monotonic() + 0.1
    due = [(begin + number / rate, next(wishes)) for number in range(int(rate * seconds))]

    def one(at: float, wish: Settled) -> float:
        store.submit([wish], room=ROOM)
        return time.monotonic() - at

    with ThreadPoolExecutor(16) as crowd:
        coming = []
        for at, wish in due:
            time.sleep(max(0.0, at - time.monotonic()))
            coming.append(crowd.submit(one, at, wish))
        return [done.result() for done in coming]


def _paint(
    store: Store, waiting: Iterator[Job], stop: threading.Event, finished: list[float]
) -> None:
    """About ten pictures a second, as two fast GPUs would."""
    while not stop.wait(0.1):
        job = store.claim(next(waiting).id, "bench")
        assert job
        picture = Picture(0, 7, 256, 256, "png", PNG, PNG[:4000])
        painted = Painted(job.id, job.token, (picture,), {}, {"total": 0.1})
        finished.append(_timed(lambda job=job, painted=painted: store.keep(job.id, painted)))


def _timed(act: object) -> float:
    begin = time.monotonic()
    act()  # type: ignore[operator]
    return time.monotonic() - begin


def _spread(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        f"{name}_{share}_ms": round(1000 * ordered[int(len(ordered) * part)], 2)
        for share, part in (("p50", 0.5), ("p99", 0.99))
    }
