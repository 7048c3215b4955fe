"""One real server for each module: fake slots, everything else as it is served; and a browser.

A page fails its test on any console error and on any request that leaves this machine.

Words in a prompt steer the fake painter: `held` waits for the `door` to be opened, `crawl` takes
a while, `boom` fails, and `nude` is withheld.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr
import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone
from studio.jobs.studio import Studio
from studio.messages import Failed, FromWorker, Paint, Progress
from studio.request import steps_taken
from studio.settings import Settings
from studio.web.quiet import prepare
from studio.web.site import serve
from tests.web.wall import PROMPTS, WISH

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-background-networking "
FLAGS += "--disable-component-update --disable-sync --no-first-run"
PATIENCE = 60_000  # a machine may be busy with much else
expect.set_options(timeout=PATIENCE)
OpenPage = Callable[..., Page]
# What Gradio says of itself when a page is left in the middle of a stream.
LEAVING = re.compile("^AbortError: signal is aborted|Connection errored out")
CRAWLS = 0.4  # seconds a step
DOOR = threading.Event()
DOOR.set()


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
    if "coarse" in prompt:
        yield Failed(message.job, message.token, "precision", "precision: fp16 is too slow here.")
        return
    if "held" in prompt:
        yield from _held(message, cancelled)
    yield from fake.paint(message, cancelled, CRAWLS if "crawl" in prompt else 0.0)


def _held(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker]:
    """A few steps, or a browser that has no time would have them all still before it."""
    steps = steps_taken(message.request)
    for step in range(1, min(steps, 4)):
        yield Progress(message.job, message.token, 0, step, steps)
    while not (cancelled.is_set() or DOOR.wait(0.1)):
        pass


@pytest.fixture
def door() -> Iterator[threading.Event]:
    """What is `held` is painted until this is set, or somebody stops it."""
    DOOR.clear()
    yield DOOR
    DOOR.set()


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


@pytest.fixture(scope="module")
def painted(house: House) -> list[str]:
    """Four pictures, the oldest first."""
    ids = []
    for seed, prompt in enumerate(PROMPTS):
        tags = ["pet"] if "cat" in prompt else []
        body = WISH | {"prompt": prompt, "seed": seed, "tags": tags}
        ids.append(house.http.post("/api/generate", json=body).json()["images"][0]["id"])
    return ids


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    """After the house: Playwright keeps an event loop running in this thread."""
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, house: House) -> Iterator[OpenPage]:
    """Pages of one visitor: they share what the browser remembers."""
    visitors = [browser.new_context(viewport={"width": 1440, "height": 900})]
    wrong: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error" and not LEAVING.search(said.text):
            wrong.append(said.text)

    def watch(page: Page) -> None:
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if _leaves(asked.url) else None)

    def open_one(query: str = "", width: int | None = None) -> Page:
        if width:
            visitors.append(browser.new_context(viewport={"width": width, "height": 844}))
        page = visitors[-1].new_page()
        page.set_default_timeout(PATIENCE)
        watch(page)
        page.goto(house.url + query)
        expect(page.locator("#generate")).to_be_attached()  # a link to a search opens the Gallery
        attached(page)
        return page

    yield open_one
    for visitor in visitors:
        visitor.close()
    assert not wrong


def _leaves(url: str) -> bool:
    return not re.match(r"http://(127\.0\.0\.1|localhost)[:/]|data:|blob:", url)


def attached(page: Page) -> None:
    """Gradio begins with 0 here; the page then says what the seed really is."""
    expect(page.locator("#seed input")).not_to_have_value("0")


def ask(page: Page, prompt: str) -> None:
    before = page.locator("#seed input").input_value()
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#generate").click()
    if prompt.strip():
        expect(page.locator("#seed input")).not_to_have_value(before)
