"""One real server for each module: fake slots, everything else as it is served.

Words in a prompt steer the fake painter: `slow` and `crawl` take a while, `boom` fails, and `nude`
is withheld.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr
import httpx
import pytest

from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone
from studio.jobs.studio import Studio
from studio.messages import Failed, FromWorker, Paint
from studio.settings import Settings
from studio.web.quiet import prepare
from studio.web.site import serve

PACES = {"slow": 0.08, "crawl": 0.4}  # seconds a step


@dataclass(frozen=True, slots=True)
class House:
    studio: Studio
    page: gr.Blocks
    url: str
    http: httpx.Client


def paint(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
    prompt = str(message.request["prompt"])
    if "boom" in prompt:
        sentence = "The memory is full. Pick a smaller shape."
        yield Failed(message.job, message.token, "out_of_memory", sentence)
        return
    if "nude" in prompt:
        yield Failed(message.job, message.token, "unsafe", "The picture (seed 1) was withheld.")
        return
    seconds = next((pace for word, pace in PACES.items() if word in prompt), 0.0)
    yield from fake.paint(message, cancelled, seconds)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = Settings(data=tmp_path_factory.mktemp("web"), port=0, drain_seconds=0.2)
    prepare(settings)
    slots = [(fake.FakeSlot(f"fake{number}", paint), "for tests") for number in range(2)]
    studio = Studio.open(settings, Fleet(slots, fake.widen))
    site = serve(studio, block=False)
    with httpx.Client(base_url=site.url, timeout=30) as http:
        yield House(studio, site.page, site.url, http)
    site.close()
    studio.close()
