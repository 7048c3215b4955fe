"""How soon pictures of other tools are read, and whether any file at all stops the reader.

Every fixture of the tests is read many times; then as many mutated files as are asked for, each
held against the clock of its own thread, for the machine may be busy. What raises or takes longer
than a second is told with its number, by which it is made again.
"""

import argparse
import random
import time
from statistics import median, quantiles

from bench.report import report
from studio.formats.read import read_picture
from tests.formats.fixtures.every import FIXTURES
from tests.formats.mutation import mutated

TIMES = 20  # each fixture
LONG = 1.0  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutated file")


def main(asked: argparse.Namespace) -> int:
    files = [one.data for one in FIXTURES.values()]
    whole = [_seconds(data) for data in files for _ in range(TIMES)]
    taken, crashed, hung = [], 0, 0
    for number in range(asked.first, asked.first + asked.files):
        chance = random.Random(number)
        data = mutated(chance.choice(files), chance)
        try:
            taken.append(_seconds(data))
        except Exception as error:  # noqa: BLE001 - that is what is counted
            crashed += 1
            print(f"file {number} raised {error!r}")
            continue
        if taken[-1] > LONG:
            hung += 1
            print(f"file {number} took {taken[-1]:.1f} s")
    figures = {
        "fixtures": len(files),
        "tools": len({one.tool for one in FIXTURES.values()}),
        "read_ms, median": round(1000 * median(whole), 3),
        "read_ms, p95": round(1000 * quantiles(whole, n=20)[-1], 3),
        "mutated files": asked.files,
        "mutated: crashed": crashed,
        "mutated: longer than 1 s": hung,
        "mutated: read_ms, most": round(1000 * max(taken), 1),
    }
    report("read", figures, save=asked.save)
    return 1 if crashed or hung else 0


def _seconds(data: bytes) -> float:
    begun = time.thread_time()
    read_picture(data)
    return time.thread_time() - begun
