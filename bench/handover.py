"""How long a slot does not paint between two jobs, on a card that is played: it sleeps instead.

With the next one begun while the last file of the one before is made, and without, in turns. All
else is real: files of 1024 x 1024 made by the engine, the pool, the store on this disk. What is
lost is what a job takes beyond its painting.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from bench.encode import SIDE, clouds
from bench.report import report
from studio.engine.saving import File, Later, Saver, make_file
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.seats import Fleet
from studio.jobs.studio import Studio
from studio.messages import (
    Failed,
    FromWorker,
    Hello,
    Paint,
    Painted,
    Picture,
    Progress,
    ToWorker,
    Writing,
    read_frame,
    write_frame,
)
from studio.request import read_request
from studio.settings import Settings

STEPS = 4
GRAIN = 1.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=20, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--painting", type=float, default=0.25, help="seconds for each picture")


def main(asked: argparse.Namespace) -> int:
    report("handover", measure(asked.jobs, asked.rounds, asked.painting), save=asked.save)
    return 0


def measure(jobs: int, rounds: int, painting: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, _studios(Path(folder), painting) as studios:
        taken: dict[str, list[float]] = {way: [] for way in studios}
        for _ in range(rounds + 1):  # the first warms
            for way, studio in studios.items():
                taken[way].append(_each(studio, jobs))
    each = {way: statistics.median(seconds[1:]) for way, seconds in taken.items()}
    figures = {"jobs": jobs * rounds, "painting_s": painting}
    figures |= {f"{way}_lost_ms": round((it - painting) * 1000, 1) for way, it in each.items()}
    return figures | {"gain": round(each["waiting"] / each["ahead"], 3)}


def _each(studio: Studio, count: int) -> float:
    """Seconds of the slot for each job, with all of them waiting from the start."""
    wishes = [
        read_request({"prompt": "a boat", "seed": seed, "model": "test-pattern"})
        for seed in range(count + 1)
    ]
    jobs = [studio.line.wait(job.id, 120).job for job in studio.line.submit(wishes)]
    if any(job.state != "done" for job in jobs):
        raise RuntimeError("a job failed")
    ends = sorted(job.finished_at or 0.0 for job in jobs)
    return (ends[-1] - ends[0]) / count


@contextmanager
def _studios(folder: Path, painting: float) -> Iterator[dict[str, Studio]]:
    kinds = {"ahead": LocalSlot, "waiting": Waiting}
    studios = {way: _open(folder / way, kind, painting) for way, kind in kinds.items()}
    try:
        yield studios
    finally:
        for studio in studios.values():
            studio.close()


class Waiting(LocalSlot):
    """Finishes each job before the next begins."""

    def send(self, message: ToWorker) -> None:
        super().send(replace(message, ahead=False) if isinstance(message, Paint) else message)


def _open(data: Path, kind: type[LocalSlot], painting: float) -> Studio:
    slot = kind("played", "a card that is played", python_command(__name__, str(painting)), {})
    return Studio.open(Settings(data=data), Fleet([(slot, "for a bench")], lambda parts: parts[0]))


class Played:
    """The process behind the slot: sleeps, and makes files as the engine does."""

    def __init__(self, painting: float) -> None:
        self._painting, self._speaking = painting, threading.Lock()
        self._image = clouds(SIDE, 1, GRAIN)
        self._later = Later(self._begin, self.say, self._explain)

    def say(self, word: FromWorker) -> None:
        with self._speaking:
            write_frame(sys.stdout.buffer, word)

    def paint(self, job: Paint) -> None:
        for step in range(1, STEPS + 1):
            time.sleep(self._painting / STEPS)
            self.say(Progress(job.job, job.token, 0, step, STEPS))
        with Saver(beside=True, later=self._later) as saver:
            make = partial(make_file, self._image, "png", "a boat", "{}")
            saver.save(make, partial(self._keep, job))
            if job.ahead:
                saver.hand_on(job)

    def _keep(self, job: Paint, file: File) -> None:
        size, looks = self._image.size, file.likeness
        picture = Picture(0, job.request["seed"], *size, "png", file.data, file.thumb, {}, looks)
        self.say(Painted(job.job, job.token, (picture,), {"request": job.request}, {"total": 0.0}))

    def _begin(self, job: Paint) -> None:
        self.say(Writing(job.job, job.token))

    def _explain(self, error: Exception, job: Paint) -> Failed:
        return Failed(job.job, job.token, "internal", repr(error))


def serve(painting: float) -> None:
    jobs: SimpleQueue[Paint] = SimpleQueue()

    def listen() -> None:
        while message := read_frame(sys.stdin.buffer):
            if isinstance(message, Paint):
                jobs.put(message)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    played = Played(painting)
    played.say(Hello(os.getpid(), "played", "for a bench", {}))
    while True:
        played.paint(jobs.get())


if __name__ == "__main__":
    serve(float(sys.argv[1]))
