"""The feed wakes who waits, from any thread, and does not grow with the jobs of the past."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from studio.jobs.feed import REMEMBERED, Feed
from studio.jobs.view import Live, progressed
from studio.messages import Progress


def later(feed: Feed, live: Live | None, seconds: float = 0.05) -> None:
    threading.Timer(seconds, feed.tell, ("job", live)).start()


async def waited(feed: Feed, **how: bool) -> float:
    began = time.monotonic()
    await feed.changed("job", feed.version("job"), 5, **how)
    return time.monotonic() - began


def test_a_coroutine_wakes_at_the_next_change() -> None:
    feed = Feed()
    later(feed, Live(step=1))
    assert asyncio.run(waited(feed)) < 3


def test_who_wants_no_steps_sleeps_through_them_and_wakes_at_the_end() -> None:
    feed = Feed()
    later(feed, Live(step=1))
    later(feed, None, 0.25)
    assert 0.2 < asyncio.run(waited(feed, every_step=False)) < 3


def test_a_change_between_looking_and_waiting_is_not_missed() -> None:
    feed = Feed()
    seen = feed.version("job")
    feed.tell("job", None)
    began = time.monotonic()
    asyncio.run(feed.changed("job", seen, 5))
    feed.wait("job", seen, 5)
    assert time.monotonic() - began < 1


def test_the_past_is_forgotten() -> None:
    feed = Feed()
    for number in range(REMEMBERED + 100):
        feed.tell(f"job{number}", Live(step=1))
        feed.tell(f"job{number}", None)
    assert len(feed._versions) == REMEMBERED
    assert not feed._live


@pytest.mark.parametrize(
    ("step", "steps", "stage", "words"),
    [
        (0, 8, "", "reading the prompt"),
        (3, 8, "", "step 3 of 8"),
        (8, 8, "enlarging", "enlarging"),
        (0, 0, "", "beginning"),
    ],
)
def test_what_is_done_is_said_before_the_first_step_too(
    step: int, steps: int, stage: str, words: str
) -> None:
    job: Any = SimpleNamespace(request={"count": 1})
    progress = Progress("job", 1, 0, step, steps, stage=stage)
    assert progressed(progress, Live(), job).doing == words
