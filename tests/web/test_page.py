"""The page in a real browser: painting, leaving and coming back, stopping, a phone.

Each test fails on any console error and on any request that leaves this machine.
"""

import re
from threading import Event

import pytest
from playwright.sync_api import Route, expect

from tests.models.test_loras import write
from tests.web.conftest import House, OpenPage, ask

pytestmark = pytest.mark.browser


def test_a_wish_is_typed_painted_and_shown(open_page: OpenPage, door: Event) -> None:
    page = open_page()
    expect(page.get_by_text("try one of these")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    page.locator("#prompt textarea").fill("held <b>boat</b>")
    page.locator("#prompt textarea").press("Enter")
    expect(page.locator("#stop")).to_be_visible()
    bar = page.locator("#live .bar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    expect(page.locator("#live .words")).to_contain_text("step")
    door.set()
    expect(page.locator("#live .stage.still .frame img")).to_have_attribute(
        "src", re.compile("^/pictures/")
    )
    expect(page.locator("#live .recipe summary")).to_contain_text("256 × 256")
    page.locator("#live summary").click()
    expect(page.locator("#live dl")).to_contain_text("held <b>boat</b>")
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#seed input")).to_have_value(re.compile(r"^\d+$"))
    with page.expect_download() as download:
        page.locator("#live .acts a", has_text="Download").click()
    assert download.value.suggested_filename.startswith("test-pattern-")


@pytest.mark.parametrize("control", ["#prompt textarea", "#negative textarea", "#seed input"])
def test_control_and_enter_generate_from_any_control(
    open_page: OpenPage, door: Event, control: str
) -> None:
    page = open_page()
    page.locator("#prompt textarea").fill("held lamp")
    page.locator(control).press("Control+Enter")
    expect(page.locator("#stop")).to_be_visible()
    door.set()
    expect(page.locator("#live .stage.still .frame img")).to_have_attribute(
        "src", re.compile("^/pictures/")
    )


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
        route.fulfill(response=route.fetch())
    page.unroute("**/gradio_api/run/**")
    page.wait_for_timeout(300)
    page.locator("#generate").click()
    expect(page.locator("#live .stage.still .frame img")).to_be_visible()
    asked = house.studio.store.jobs(limit=1)[0].request
    assert (asked["prompt"], asked["seed"]) == ("a quick cup", 7)


def test_a_refresh_and_a_second_tab_find_the_running_job(open_page: OpenPage, door: Event) -> None:
    page = open_page()
    ask(page, "held harbour")
    expect(page.locator("#live .words")).to_contain_text("step")
    page.reload()
    expect(page.locator("#live .words")).to_contain_text(re.compile("step|starting"))
    expect(page.locator("#prompt textarea")).to_have_value("held harbour")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#live .stage.live")).to_be_visible()
    door.set()
    for tab in (page, other):
        expect(tab.locator("#live .stage.still")).to_be_visible()


def test_a_job_is_shown_by_its_address(house: House, open_page: OpenPage) -> None:
    job = house.http.post("/api/jobs", json={"prompt": "a lamp", "seed": 5}).json()["id"]
    house.studio.line.wait(job, 60)
    page = open_page(f"/?job={job}")
    expect(page.locator("#live .recipe summary")).to_contain_text("seed 5")
    page.goto(f"{house.url}/?job=unknown")
    expect(page.locator("#note")).to_contain_text("no job")


def test_stop_stops_it(house: House, open_page: OpenPage, door: Event) -> None:
    page = open_page()
    page.locator("#quality label", has_text="best").click()
    ask(page, "held mountain")
    expect(page.locator("#live .words")).to_contain_text("step")
    page.locator("#stop").click()
    expect(page.locator("#live .words")).to_contain_text("Stopped")
    expect(page.locator("#stop")).to_be_hidden()
    assert house.studio.store.jobs(limit=1)[0].state == "cancelled"


def test_the_line_is_paused_and_what_waits_is_painted_next(
    house: House, open_page: OpenPage, door: Event
) -> None:
    page = open_page()
    status, words = page.locator("#status"), page.locator("#live .words")
    ask(page, "held moor")
    status.get_by_role("button", name="Pause").click()
    expect(status).to_contain_text("1 painting · paused")
    door.set()
    expect(page.locator("#live .stage.still")).to_be_visible()
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
        assert house.studio.line.wait(job, 60).job.state == "done"
    expect(status.locator("button")).to_have_count(0)  # nothing is there to pause


def test_several_wishes_wait_in_line_and_failures_are_sentences(
    open_page: OpenPage, door: Event
) -> None:
    page = open_page()
    for prompt in ("held one", "held two", "held three"):
        ask(page, prompt)
    expect(page.locator("#live .words")).to_contain_text("more of yours after it")
    ask(page, "boom")
    door.set()
    expect(page.locator("#live .words")).to_contain_text("memory is full")
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


def test_the_models_page_loads_a_model_and_lets_it_go(house: House, open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("tab", name="Models").click()
    row = page.locator("#library article", has_text="Test pattern")
    for title in ("FLUX.1 dev", "Real-ESRGAN x4plus anime 6B", "Falconsai NSFW detector"):
        expect(page.locator("#library article", has_text=title)).to_contain_text("Fetch")
    write(house.studio.settings.model_folder / "loras" / "ink.safetensors", {})
    expect(row.get_by_role("button")).to_be_visible()
    if row.get_by_role("button", name="Let go").is_visible():
        row.get_by_role("button", name="Let go").click()
    row.get_by_role("button", name="Load").click()
    expect(row).to_contain_text("in the memory of fake")
    expect(page.locator("#library article", has_text="ink")).to_contain_text("MB")
    row.get_by_role("button", name="Let go").click()
    expect(row).not_to_contain_text("in the memory of")
    page.get_by_role("tab", name="Create").click()
    expect(page.locator("#generate")).to_be_visible()


def test_a_phone_shows_the_picture_first_and_never_scrolls_sideways(open_page: OpenPage) -> None:
    page = open_page(width=390)
    expect(page.get_by_role("tab", name="Models")).to_be_visible()
    frame, last = page.locator("#live .frame").bounding_box(), page.locator("[data-try]").last
    inside = last.bounding_box()
    assert frame and inside
    assert inside["y"] + inside["height"] <= frame["y"] + frame["height"]
    negative = page.locator("#negative textarea")
    expect(negative).not_to_be_in_viewport()
    page.locator("#prompt textarea").click()
    negative.click()
    page.keyboard.type("people")
    page.locator("[data-try]").first.click()
    expect(negative).to_have_value("people")
    expect(negative).to_be_in_viewport()  # what is sent is seen
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
    page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
    end = page.locator("#advanced").bounding_box()
    dock = page.locator("#dock").bounding_box()
    assert end and dock
    assert end["y"] + end["height"] <= dock["y"]  # nothing stays under what is fixed
