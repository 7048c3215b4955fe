"""How long a file of very many prompts takes to be checked and written down, and what memory.

Each run is a process of its own, so that its peak is its own; at the end importers are killed at
random instants, and what is in the line then is all of a file or nothing.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.databases import HELP, database, results_name
from bench.report import report
from studio.jobs.bulk import check, run
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.slot import Inbox
from studio.settings import Settings
from studio.store.store import Store
from studio.wishes.presets import load_catalog

THINGS = ("car", "boat", "house", "tree", "cat", "dog", "lighthouse", "mushroom")
ENDS = ("", " {{seed: {n}}}", " {{seed: {n}, size: portrait, not: people}}", " {{count: 2}}")
WARM = 100  # lines that are imported first, so that nothing is measured that is done once
MIB = 2**20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", default="sqlite", help=HELP)


def main(asked: argparse.Namespace) -> int:
    runs = [measured(asked.prompts, asked.database) for _ in range(asked.runs)]
    best, middle = min(runs, key=lambda one: one["seconds"]), sorted(one["seconds"] for one in runs)
    figures = {
        "prompts": asked.prompts,
        "seconds_best": best["seconds"],
        "seconds_p50": middle[len(middle) // 2],
        "check_seconds": best["check_seconds"],
        "cpu_seconds_best": min(one["cpu_seconds"] for one in runs),
        "memory_mb": max(one["memory_mb"] for one in runs),
        **killed(asked.prompts, asked.kills, asked.seed, best["seconds"]),
    }
    report(results_name("bulk", asked.database), figures, save=asked.save)
    return int(figures["partly_there"] > 0)


def file_of(prompts: int) -> str:
    """Prompts with weights, half of them with settings, under a heading for each 500."""
    lines = ["---", "model: starter", "steps: 8", "---"]
    for n in range(prompts):
        if n % 500 == 0:
            lines += ["", f"# Part {n // 500}", ""]
        end = ENDS[n % len(ENDS)].format(n=n)
        lines.append(f"- a (red:1.2) {THINGS[n % len(THINGS)]} on an island, number {n}{end}")
    return "\n".join(lines)


def measured(prompts: int, word: str) -> dict[str, float]:
    """Of a process that imports one file into an empty line."""
    with tempfile.TemporaryDirectory() as folder, database(word) as url:
        done = subprocess.run(
            [sys.executable, "-m", "bench.bulk", folder, url, str(prompts)],
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def killed(prompts: int, kills: int, seed: int, seconds: float) -> dict[str, float]:
    """Importers that are killed while they are at it, all in one data folder."""
    dice = random.Random(seed)
    whole = partly = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            data = Path(folder) / str(number)
            asked = [sys.executable, "-m", "bench.bulk", str(data), "", str(prompts)]
            with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout
                process.stdout.readline()  # it begins
                time.sleep(dice.random() * seconds * 1.5)
                process.kill()
            there = waiting(data)
            whole += there == prompts
            partly += there not in (0, prompts)
    return {"kills": kills, "all_there": whole, "partly_there": partly}


def waiting(data: Path) -> int:
    """Of the file, besides those that warmed it up."""
    store = Store.open(Settings(data=data))
    try:
        return sum(store.counts().values()) - WARM
    finally:
        store.close()


def _import(data: Path, url: str, prompts: int) -> None:
    settings = Settings(data=data, database=url, max_waiting=10 * prompts + WARM)
    catalog = load_catalog(settings.presets, "", settings.model_folder)
    store, inbox = Store.open(settings), Inbox()
    line = Line(store, catalog, settings, Feed(), inbox, Forecaster(inbox))
    run(line, file_of(WARM).replace("island", "hill"), "warm.md")
    text = file_of(prompts)
    before = _peak()
    print("begins", flush=True)
    begin, cpu = time.monotonic(), time.process_time()
    run(line, text, "bulk.md")
    told = {
        "seconds": round(time.monotonic() - begin, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "memory_mb": round(_peak() - before, 1),
    }
    begin = time.monotonic()
    check(line, text, "bulk.md", again=True)
    print(json.dumps(told | {"check_seconds": round(time.monotonic() - begin, 3)}))
    store.close()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


if __name__ == "__main__":
    _import(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
