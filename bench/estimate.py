"""How well the studio knows how long things take: forecasts against what then happened.

After so many pictures of mixed sizes and steps as many more are asked for, some at once. What
`/api/jobs` says when they wait is compared with when they really end.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.report import report
from bench.server import running

POLL_SECONDS = 0.05
TOGETHER = 4  # that stand in line at once


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="test-pattern")
    parser.add_argument("--learn", type=int, default=20, help="pictures painted before")
    parser.add_argument("--pictures", type=int, default=24)


def main(asked: argparse.Namespace) -> int:
    dice = random.Random(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=30) as studio,  # one: each new one reads certificates
    ):
        cards = studio.get("/api/models").json()["models"]
        card = next(card for card in cards if card["name"] == asked.model)
        for _ in range(asked.learn):
            _finish(studio, _ask(studio, card, dice))
        before, painting = _observe(studio, card, dice, asked.pictures)
    figures = {
        "learned_from": asked.learn,
        "pictures": len(before),
        "median_error": round(median(painting), 3),
        "worst_error": round(max(painting), 3),
        "median_error_of_the_end": round(median(before), 3),
    }
    report("estimate", figures, save=asked.save)
    return 0


def _observe(
    studio: httpx.Client, card: dict[str, Any], dice: random.Random, count: int
) -> tuple[list[float], list[float]]:
    """Errors of when each would end, as a share of the wait; and of how long each would paint."""
    ends: list[float] = []
    painting: list[float] = []
    while len(ends) < count:
        jobs = [_ask(studio, card, dice) for _ in range(TOGETHER)]
        time.sleep(1.5)  # a forecast is a second old at most
        asked_at = time.time()
        told = [studio.get(f"/api/jobs/{job}").json() for job in jobs]
        for forecast in told:
            done = _finish(studio, forecast["id"])
            if forecast["ends_at"] and forecast["state"] == "queued":
                wait = done["finished_at"] - asked_at
                ends.append(abs(forecast["ends_at"] - done["finished_at"]) / wait)
            took = done["finished_at"] - done["started_at"]
            if "expected" in done["timings"]:
                painting.append(abs(done["timings"]["expected"] - took) / took)
    return ends, painting


def _ask(studio: httpx.Client, card: dict[str, Any], dice: random.Random) -> str:
    width, height = dice.choice(list(card["sizes"].values()))
    wish = {"prompt": "a red car on a street", "model": card["name"], "width": width}
    wish |= {"height": height, "steps": dice.randint(4, 20), "count": dice.randint(1, 3)}
    answer = studio.post("/api/jobs", json=wish)
    answer.raise_for_status()
    return str(answer.json()["id"])


def _finish(studio: httpx.Client, job: str) -> dict[str, Any]:
    while True:
        told: dict[str, Any] = studio.get(f"/api/jobs/{job}").json()
        if told["finished_at"]:
            return told
        time.sleep(POLL_SECONDS)
