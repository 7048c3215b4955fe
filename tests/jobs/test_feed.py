"""The feed wakes who waits, from any thread, and does not grow with the jobs of the past."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from studio.jobs.feed import REMEMBERED, Feed
from studio.jobs.view import Live, progressed
from studio.messages import Progress


async def wakes(feed: Feed, *told: Live | None, **how: bool) -> list[bool]:
    """Whether who waits for a change is awake after each of these was told, from a thread."""
    waits = asyncio.create_task(feed.changed("job", feed.version("job"), 60, **how))
    await asyncio.sleep(0)
    awake = []
    for live in told:
        await asyncio.to_thread(feed.tell, "job", live)
        for _ in range(10):
            await asyncio.sleep(0)
        awake.append(waits.done())
    waits.cancel()
    return awake


def test_a_coroutine_wakes_at_the_next_change() -> None:
    assert asyncio.run(wakes(Feed(), Live(step=1))) == [True]


def test_who_wants_no_steps_sleeps_through_them_and_wakes_at_the_end() -> None:
    assert asyncio.run(wakes(Feed(), Live(step=1), None, every_step=False)) == [False, True]


def test_a_change_between_looking_and_waiting_is_not_missed() -> None:
    feed = Feed()
    seen = feed.version("job")
    feed.tell("job", None)
    began = time.monotonic()
    asyncio.run(feed.changed("job", seen, 60))
    feed.wait("job", seen, 60)
    assert time.monotonic() - began < 60


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
