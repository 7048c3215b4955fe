"""Kills the server or a worker at random instants, and counts what was lost, doubled or left half.

The server is the real line, pool and store without a page, over two processes that paint flat
colours. Every acknowledged job is written to a ledger outside; at the end the line is drained and
ledger, database and files are compared.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.databases import HELP, database, results_name
from bench.report import report
from studio.jobs.fake import widen
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.seats import Fleet
from studio.jobs.studio import Studio
from studio.request import read_request
from studio.settings import Settings
from studio.store.rows import Job

STILL_SECONDS = 60  # after which a line that nothing leaves is not waited for any longer
WISH = {"model": "test-pattern", "prompt": "x", "steps": 4, "width": 64, "height": 64}
SLOTS = 2
BAD = ("lost", "doubled", "broken", "orphans")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--database", default="sqlite", help=HELP)
    parser.add_argument("--seed", type=int, default=None)


def main(asked: argparse.Namespace) -> int:
    seed = random.randrange(2**32) if asked.seed is None else asked.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder, database(asked.database) as url:
        figures = rounds(Path(folder), asked.cycles, seed, url)
    report(results_name("kill", asked.database), figures, save=asked.save)
    return int(any(figures[name] for name in BAD))


@dataclass(slots=True)
class Server:
    """The child process, spoken to in lines of JSON."""

    data: Path
    database: str
    process: subprocess.Popen[str] = field(init=False)
    workers: list[int] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "bench.kill", str(self.data), self.database]
        quiet = {**os.environ, "DARKROOM_LOG_LEVEL": "error"}
        self.process = subprocess.Popen(
            command, env=quiet, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.workers = []
        while len(self.workers) < SLOTS:
            self.workers = self.ask({})["workers"]

    def ask(self, question: dict[str, object]) -> dict[str, list[int]]:
        """The answer; a server that ended although nobody killed it is a finding by itself."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, list[int]] = json.loads(self.process.stdout.readline())
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


def rounds(data: Path, cycles: int, seed: int, database: str = "") -> dict[str, float]:
    dice = random.Random(seed)
    ledger: list[str] = []
    seen: set[int] = set()
    server: Server | None = None
    kills = {"server": 0, "worker": 0}
    for _ in range(cycles):
        server = server or Server(data, database)
        seen |= set(server.workers)
        ledger += [str(name) for name in server.ask({"submit": dice.randrange(1, 4)})["ids"]]
        time.sleep(dice.random() * 0.5)
        if dice.random() < 0.5 and server.workers:
            kills["worker"] += 1
            _kill(dice.choice(server.workers))
            server.workers = server.ask({})["workers"]
        else:
            kills["server"] += 1
            server.kill()
            server = None
    if server:
        server.kill()
    return {
        "cycles": cycles,
        "server_kills": kills["server"],
        "worker_kills": kills["worker"],
        "acknowledged": len(ledger),
        **_compare(data, database, ledger),
        "orphans": _still_alive(seen),
    }


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was being replaced


def _still_alive(pids: set[int]) -> int:
    time.sleep(1.0)
    alive = 0
    for pid in pids:
        command = Path(f"/proc/{pid}/cmdline")
        alive += command.exists() and b"studio.jobs.fake" in command.read_bytes()
    return alive


def _open(data: Path, database: str) -> Studio:
    settings = Settings(data=data, database=database, drain_seconds=0.0)
    command = python_command("studio.jobs.fake", "0.02")
    slots = [LocalSlot(f"fake{index}", "fake", command, {}) for index in range(SLOTS)]
    return Studio.open(settings, Fleet([(slot, "for the bench") for slot in slots], widen))


def _compare(data: Path, database: str, ledger: list[str]) -> dict[str, float]:
    studio = _open(data, database)
    try:
        _drain(studio)
        jobs = [studio.store.job(name) for name in ledger]
        pictures = [studio.store.pictures(job=name) for name in ledger]
        kept = studio.store.pictures(limit=1_000_000)
        wrong = sum(
            hashlib.sha256(studio.store.file(picture).read_bytes()).hexdigest() != picture.sha256
            for picture in kept
        )
        files = {path for path in (data / "pictures").rglob("*") if path.is_file()}
        named = {studio.store.file(picture) for picture in kept}
        return {
            "lost": sum(
                not some and not _given_up(job) for job, some in zip(jobs, pictures, strict=True)
            ),
            "given_up": sum(map(_given_up, jobs)),
            "doubled": sum(len(some) > 1 for some in pictures),
            "broken": wrong + len(files - named) + len(list(data.rglob(".part-*"))),
        }
    finally:
        studio.close()


def _drain(studio: Studio) -> None:
    """Thousands may wait at the end of many cycles, as the server is hardly ever up."""
    left, end = -1, 0.0
    while left:
        counts = studio.store.counts()
        now = counts.get("queued", 0) + counts.get("running", 0)
        if now != left:
            left, end = now, time.monotonic() + STILL_SECONDS
        if time.monotonic() > end:
            return
        time.sleep(0.05)


def _given_up(job: Job) -> bool:
    """Its worker was killed twice: then it is stopped, and says so."""
    return (job.state, job.error_code, job.crashes) == ("failed", "worker_died", 2)


def _serve(data: Path, database: str) -> None:
    studio = _open(data, database)
    asked = 0
    for line in sys.stdin:
        ids = []
        for _ in range(json.loads(line).get("submit", 0)):
            asked += 1
            wish = read_request(WISH)
            ids += [job.id for job in studio.line.submit([wish], key=f"{os.getpid()}-{asked}")]
        workers = [view.pid for view in studio.pool.views() if view.pid]
        print(json.dumps({"ids": ids, "workers": workers}), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
