"""Shared by all tests: settings and studios on a folder of their own, with fake slots."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone, Slot
from studio.jobs.studio import Studio
from studio.messages import Cancelled, FromWorker, Paint, Progress
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

os.environ["DARKROOM_DEFAULT_MODEL"] = "test-pattern"  # for servers that tests start, too
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as in a worker: others need the cores, too
hypothesis.settings.register_profile("deep", max_examples=5000)  # --hypothesis-profile=deep
OpenStudio = Callable[..., Studio]
UNTIL = float(os.environ.get("TESTS_UNTIL", "inf"))  # seconds since 1970


def pytest_collection_finish() -> None:
    """What was collected stays to the end. Whoever loads a model searches for garbage: among all
    that, it would take a second each time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Slow tests begin as long as there is time; those left out are named at the end."""
    if item.get_closest_marker("slow") and time.time() > UNTIL:
        pytest.skip("NOT RUN: the time for slow tests was over")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", drain_seconds=0.2)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model folder with nothing in it."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def catalog(models: Path) -> Catalog:
    """What came along, and what a test puts into its model folder."""
    return load_catalog(Settings().presets, models=models)


@pytest.fixture
def open_studio(settings: Settings) -> Iterator[OpenStudio]:
    """Opens a studio on the test's folder; closes what is still open at the end."""
    opened: list[Studio] = []

    def open_one(*slots: Slot, **changes: object) -> Studio:
        studio = Studio.open(
            settings.model_copy(update=changes),
            Fleet([(slot, "for tests") for slot in slots or (fake.FakeSlot(),)], fake.widen),
        )
        opened.append(studio)
        return studio

    yield open_one
    for studio in opened:
        studio.close()


def behind(door: threading.Event) -> fake.Script:
    """Paints when the door is open."""

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        door.wait(60)
        yield from fake.paint(message, cancelled)

    return script


def endless(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
    """Step after step until it is stopped."""
    for step in count(1):
        yield Progress(message.job, message.token, 0, step, step + 1)
        if cancelled.wait(0.05):
            break
    yield Cancelled(message.job, message.token)
