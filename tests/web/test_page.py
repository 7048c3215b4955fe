"""The page in a real browser: painting, leaving and coming back, stopping, a phone.

Each test fails on any console error and on any request that leaves this machine.
"""

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from tests.hall.test_loras import write
from tests.networks import compact
from tests.web.conftest import House

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-background-networking "
FLAGS += "--disable-component-update --disable-sync --no-first-run"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
]
OpenPage = Callable[..., Page]
# What Gradio says of itself when a page is left in the middle of a stream.
LEAVING = re.compile("^AbortError: signal is aborted|Connection errored out")


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    """After the house: Playwright keeps an event loop running in this thread."""
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
        watch(page)
        page.goto(house.url + query)
        expect(page.locator("#generate")).to_be_visible()
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


def test_a_wish_is_typed_painted_and_shown(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_text("try one of these")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    page.locator("#prompt textarea").fill("slow <b>boat</b>")
    page.locator("#prompt textarea").press("Enter")
    expect(page.locator("#stop")).to_be_visible()
    bar = page.locator("#live .bar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    expect(page.locator("#live .words")).to_contain_text("step")
    expect(page.locator("#live .stage.still .frame img")).to_have_attribute(
        "src", re.compile("^/pictures/")
    )
    expect(page.locator("#live .recipe summary")).to_contain_text("256 × 256")
    page.locator("#live summary").click()
    expect(page.locator("#live dl")).to_contain_text("slow <b>boat</b>")
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#seed input")).to_have_value(re.compile(r"^\d+$"))
    with page.expect_download() as download:
        page.locator("#live .acts a", has_text="Download").click()
    assert download.value.suggested_filename.startswith("test-pattern-")


def test_what_is_typed_before_the_page_has_its_answer_is_kept(
    house: House, open_page: OpenPage
) -> None:
    page = open_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/gradio_api/run/**", hold)
    page.reload()
    page.locator("#seed input").fill("7")
    page.locator("#fresh input").uncheck()
    page.locator("#prompt textarea").fill("a quick cup")
    while len(held) < 2:  # what it was left with, and that the seed is meant
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/run/**")
    page.wait_for_timeout(300)
    page.locator("#generate").click()
    expect(page.locator("#live .stage.still .frame img")).to_be_visible()
    asked = house.studio.store.jobs(limit=1)[0].request
    assert (asked["prompt"], asked["seed"]) == ("a quick cup", 7)


def test_a_refresh_and_a_second_tab_find_the_running_job(open_page: OpenPage) -> None:
    page = open_page()
    ask(page, "crawl harbour")
    expect(page.locator("#live .words")).to_contain_text("step")
    page.reload()
    expect(page.locator("#live .words")).to_contain_text(re.compile("step|starting"))
    expect(page.locator("#prompt textarea")).to_have_value("crawl harbour")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#live .stage.still, #live .stage.live")).to_be_visible()
    for tab in (page, other):
        expect(tab.locator("#live .stage.still")).to_be_visible(timeout=10_000)


def test_a_job_is_shown_by_its_address(house: House, open_page: OpenPage) -> None:
    job = house.http.post("/api/jobs", json={"prompt": "a lamp", "seed": 5}).json()["id"]
    house.studio.line.wait(job, 5)
    page = open_page(f"/?job={job}")
    expect(page.locator("#live .recipe summary")).to_contain_text("seed 5")
    page.goto(f"{house.url}/?job=unknown")
    expect(page.locator("#note")).to_contain_text("no job")


def test_stop_stops_it(house: House, open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#quality label", has_text="best").click()
    ask(page, "slow mountain")
    expect(page.locator("#live .words")).to_contain_text("step")
    page.locator("#stop").click()
    expect(page.locator("#live .words")).to_contain_text("Stopped")
    expect(page.locator("#stop")).to_be_hidden()
    assert house.studio.store.jobs(limit=1)[0].state == "cancelled"


def test_the_line_is_paused_and_what_waits_is_painted_next(
    house: House, open_page: OpenPage
) -> None:
    page = open_page()
    status, words = page.locator("#status"), page.locator("#live .words")
    ask(page, "crawl moor")
    status.get_by_role("button", name="Pause").click()
    expect(status).to_contain_text("1 painting · paused")
    expect(page.locator("#live .stage.still")).to_be_visible(timeout=10_000)
    others = [house.http.post("/api/jobs", json={"prompt": "x"}).json()["id"] for _ in range(2)]
    ask(page, "a gate")
    expect(words).to_contain_text("waiting, 2 before it: the line is paused")
    page.get_by_role("button", name="Paint next").click()
    expect(words).to_contain_text("next in line: the line is paused")
    expect(page.get_by_role("button", name="Paint next")).to_have_count(0)
    status.get_by_role("button", name="Go on").click()
    expect(page.locator("#live .stage.still")).to_be_visible()
    expect(status).not_to_contain_text("paused")
    for job in others:
        assert house.studio.line.wait(job, 5).job.state == "done"
    expect(status.locator("button")).to_have_count(0, timeout=10_000)  # nothing is there to pause


def test_several_wishes_wait_in_line_and_failures_are_sentences(open_page: OpenPage) -> None:
    page = open_page()
    for prompt in ("crawl one", "crawl two", "crawl three"):
        ask(page, prompt)
    expect(page.locator("#live .words")).to_contain_text("more of yours after it")
    ask(page, "boom")
    expect(page.locator("#live .words")).to_contain_text("memory is full", timeout=30_000)
    ask(page, "   ")
    expect(page.locator("#note")).to_contain_text("prompt is empty")


def test_a_picture_is_picked_reused_and_put_down(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#count input").click()
    page.get_by_role("option", name="×2").click()
    ask(page, "a kettle")
    page.locator("#live .thumbs button").nth(1).click()
    expect(page.locator("#held .recipe summary")).to_contain_text("seed")
    page.locator("#prompt textarea").fill("something else")
    page.locator("#held .acts button", has_text="Reuse").click()
    expect(page.locator("#prompt textarea")).to_have_value("a kettle")
    expect(page.locator("#fresh input")).not_to_be_checked()
    page.locator("#held .acts button", has_text="Back").click()
    expect(page.locator("#held .stage")).to_have_count(0)
    expect(page.locator("#live .stage.still")).to_be_visible()


def test_a_picture_is_painted_again_and_what_came_of_it_stands_under_it(
    house: House, open_page: OpenPage
) -> None:
    page = open_page()
    ask(page, "a kettle")
    page.locator("#live .acts button", has_text="Rerun exactly").click()
    words = page.locator("#live .stage.still .words")
    expect(words).to_have_text("Painted again: identical, pixel by pixel.")
    again, first = house.studio.store.pictures(limit=2)
    assert house.studio.store.job(again.job).rerun_of == first.id
    page.reload()
    expect(words).to_be_visible()
    page.locator("#lately [data-pick]").nth(1).click()
    expect(page.locator("#held .words")).to_be_hidden()
    page.locator("#held .acts button", has_text="Rerun exactly").click()
    expect(page.locator("#held .stage")).to_have_count(0)
    expect(words).to_be_visible()


def test_a_picture_is_enlarged_and_wears_loras(house: House, open_page: OpenPage) -> None:
    folder = house.studio.settings.model_folder
    compact(folder / "upscalers" / "starter-x2.safetensors")
    says = {"modelspec.title": "Blue ink", "modelspec.trigger_phrase": "inked"}
    write(folder / "loras" / "ink.safetensors", says)
    write(folder / "loras" / "neon.safetensors", {"modelspec.title": "Neon"})
    page = open_page()
    page.locator("#advanced button").first.click()
    page.locator("#upscale label", has_text="2×").click()
    expect(page.locator("#size")).to_contain_text("256 × 256 → 512 × 512")
    expect(page.locator("#weight-1")).to_have_count(0)
    expect(page.locator("#lora-2")).to_have_count(0)
    page.locator("#lora-1 input").click()
    page.get_by_role("option", name="Blue ink").click()
    page.locator("#weight-1 input").fill("0.5")
    page.locator("#lora-2 input").click()
    page.get_by_role("option", name="Neon").click()
    page.locator("#weight-2 input").fill("-1.25")
    expect(page.locator("#lora-3 input")).to_be_visible()
    page.locator("#prompt textarea").fill("a kettle")
    page.locator("#listening button", has_text="inked").click()
    expect(page.locator("#prompt textarea")).to_have_value("a kettle, inked")
    ask(page, "a kettle, inked")
    expect(page.locator("#live .recipe summary")).to_contain_text("512 × 512")
    request = house.studio.store.jobs(limit=1)[0].request
    assert (request["upscale"], request["width"]) == (2, 256)
    assert [(use["name"], use["weight"]) for use in request["loras"]] == [
        ("ink", 0.5),
        ("neon", -1.25),
    ]
    page.locator("#lora-1 input").click()
    page.get_by_role("option", name="none").click()
    expect(page.locator("#weight-1")).to_have_count(0)
    page.locator("#live .acts button", has_text="Reuse").click()
    expect(page.locator("#lora-1 input")).to_have_value("Blue ink")
    expect(page.locator("#weight-2 input")).to_have_value("-1.25")
    page.reload()
    attached(page)
    page.locator("#advanced button").first.click()
    expect(page.locator("#upscale label.selected")).to_contain_text("2×")
    expect(page.locator("#lora-2 input")).to_have_value("Neon")
    expect(page.locator("#weight-1 input")).to_have_value("0.5")
    page.locator("#live .acts button", has_text="Enlarge 4×").click()
    expect(page.locator("#live .recipe summary")).to_contain_text("2048 × 2048")
    expect(page.locator("#live .recipe summary")).to_contain_text("Enlarging")
    page.locator("#live .acts button", has_text="Reuse").click()
    expect(page.locator("#prompt textarea")).to_have_value("a kettle, inked")


def test_the_controls_follow_the_card(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#model input").click()
    page.get_by_role("option", name="SDXL Lightning").click()
    expect(page.locator("#about")).to_contain_text("models pull")
    expect(page.locator("#negative")).to_be_hidden()
    expect(page.locator("#quality")).to_be_hidden()
    expect(page.locator("#size")).to_contain_text("1024 × 1024")
    page.locator("#aspect label", has_text="wide").click()
    expect(page.locator("#size")).to_contain_text("1344 × 768")
    page.locator("#advanced button").click()
    expect(page.locator("#steps input[type=number]")).to_have_attribute("max", "8")
    expect(page.locator("#guidance")).to_be_hidden()
    page.locator("#prompt textarea").fill("a hat")
    page.locator("#generate").click()
    expect(page.locator("#note")).to_contain_text("not whole on this machine")


def test_a_picture_is_begun_from_and_a_mask_painted(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "in.png")
    page = open_page()
    page.locator("#given input[type=file]").first.set_input_files(tmp_path / "in.png")
    expect(page.locator("#given .start img")).to_be_visible()
    expect(page.locator("#aspect label.selected")).to_contain_text("landscape")
    page.get_by_role("button", name="Paint a mask").click()
    box = page.locator("#given canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Clear the mask")).to_be_visible()
    ask(page, "a red car")
    expect(page.locator("#live .stage.still")).to_be_visible()
    first = house.studio.store.jobs(limit=1)[0]
    with Image.open(io.BytesIO(house.studio.store.input(first.request["mask"]))) as mask:
        white = sum(mask.convert("L").histogram()[200:])
        assert 0 < white < mask.width * mask.height / 2
    page.locator("#live [data-begin]").click()
    expect(page.locator("#given .start img")).not_to_have_attribute(
        "src", f"/inputs/{first.request['start_image']}"
    )
    ask(page, "a blue car")
    expect(page.locator("#live .stage.still")).to_be_visible()
    second = house.studio.store.jobs(limit=1)[0]
    assert second.request["start_image"] != first.request["start_image"]
    assert second.request["mask"] is None


def test_the_models_page_loads_a_model_and_lets_it_go(house: House, open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("tab", name="Models").click()
    row = page.locator("#library article", has_text="Test pattern")
    expect(page.locator("#library article", has_text="FLUX.1 dev")).to_contain_text("Fetch")
    expect(row.get_by_role("button")).to_be_visible()
    if row.get_by_role("button", name="Let go").is_visible():
        row.get_by_role("button", name="Let go").click()
    row.get_by_role("button", name="Load").click()
    expect(row).to_contain_text("in the memory of fake")
    row.get_by_role("button", name="Let go").click()
    expect(row).not_to_contain_text("in the memory of")
    page.get_by_role("tab", name="Create").click()
    expect(page.locator("#generate")).to_be_visible()


def test_what_the_model_makes_of_the_words_follows_the_typing(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#model input").click()
    page.get_by_role("option", name="Starter").click()
    prompt, truth = page.locator("#prompt textarea"), page.locator("#truth")
    prompt.press_sequentially("a (red:1.3) lighthouse", delay=10)
    expect(truth).to_contain_text("1 weighted", timeout=20_000)
    expect(truth).to_contain_text("all words known")
    truth.locator("summary").click()
    expect(truth.locator("dl")).to_contain_text("CLIP-L, CLIP-G")
    prompt.press_sequentially(", a zebra")
    expect(truth).to_contain_text("not known: zebra")
    expect(truth.locator("dl")).to_be_visible()  # it stays open while one types
    prompt.fill("a boat <lora:nowhere:1>")
    expect(truth).to_contain_text("there is no LoRA 'nowhere'")
    prompt.fill("")
    expect(truth.locator(".truth")).to_have_count(0)


def test_a_phone_shows_the_picture_first_and_never_scrolls_sideways(open_page: OpenPage) -> None:
    page = open_page(width=390)
    page.locator("[data-try]").first.click()
    expect(page.locator("#prompt textarea")).not_to_have_value("")
    page.locator("#generate").click()
    expect(page.locator("#live .stage.still")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    picture = page.locator("#live .frame").bounding_box()
    controls = page.locator("#settings").bounding_box()
    press = page.locator("#generate").bounding_box()
    assert picture and controls and press
    assert picture["y"] < controls["y"]
    assert press["y"] + press["height"] <= 844
