"""The Gallery in a real browser: searching, filters, choosing, marks, the trash, a phone."""

import base64
import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Route, expect

from studio.web.gallery.tab import Gallery, spoken
from tests.web.conftest import House, OpenPage
from tests.web.wall import PROMPTS, WISH, count, pick, said, search

pytestmark = pytest.mark.browser
DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
  const drop = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector('#gallery .wall').dispatchEvent(drop);
}"""


@pytest.fixture(autouse=True)
def unmarked(house: House, painted: list[str]) -> Iterator[None]:
    yield
    fresh = {"ids": painted, "trash": False, "star": False, "rating": 0, "remove_tags": ["mine"]}
    house.http.post("/api/pictures/mark", json=fresh)


@pytest.mark.parametrize("junk", [None, 7, [], {"q": 5}, {"q": "modle:x"}, {"id": "zebra"}])
def test_whatever_the_script_sends_is_answered(house: House, junk: object) -> None:
    here = Gallery(house.studio)
    for act in (here.pictures, here.look, here.switched, here.one, here.told, here.ids):
        answer = spoken(act)(junk)
        assert set(answer) & {"pictures", "filters", "q", "html", "ids", "error"}


def test_a_name_that_no_picture_has_is_said(open_page: OpenPage) -> None:
    page = open_page("/?q=")
    search(page, "model:zebra")
    count(page, "")
    expect(page.locator("#gallery-said")).to_contain_text("No picture has")


def test_a_link_to_a_search_opens_it_and_filters_stay_in_step(open_page: OpenPage) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    tag = page.locator('.filters [title="tag:=pet"]')
    tag.click()
    count(page, "1 picture")
    box = page.get_by_label("Search your pictures")
    expect(box).to_have_value("cerise tag:=pet")
    expect(page).to_have_url(re.compile("q=cerise\\+tag"))
    expect(tag).to_have_attribute("aria-pressed", "true")
    box.fill("cerise tag:=pet -cats")
    count(page, "Nothing was found.")
    page.get_by_role("button", name="Without tag:=pet").click()
    expect(box).to_have_value("cerise -cats")
    count(page, "3 pictures")
    page.get_by_role("tab", name="Create").click()
    expect(page).not_to_have_url(re.compile("q="))


def test_what_is_misread_is_said_and_one_click_away(open_page: OpenPage) -> None:
    page = open_page("/?q=cerise")
    search(page, "cerise kind:pantied")
    expect(page.locator("#gallery-said")).to_contain_text(
        "Character 13: kind: 'pantied' is none of"
    )
    page.locator("#gallery-said button").click()
    count(page, "4 pictures")
    page.get_by_text("How to search").click()
    page.get_by_role("button", name="-people").click()
    expect(page.get_by_label("Search your pictures")).to_have_value("cerise kind:painted -people")


def test_some_are_chosen_starred_and_tagged_thrown_away_and_back(
    house: House, open_page: OpenPage, painted: list[str]
) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    pick(page, 0, 2)
    said(page, "2 pictures chosen")
    bar = page.locator("#gallery .doing")
    bar.get_by_role("button", name="Star").click()
    said(page, re.compile("2 pictures starred"))
    expect(page.locator(".tile.star")).to_have_count(2)
    bar.get_by_label("Tag them").fill("mine")
    page.keyboard.press("Enter")
    said(page, re.compile("2 pictures tagged mine"))
    expect(page.locator(".filters button", has_text="mine")).to_contain_text("2")
    bar.get_by_role("button", name="Into the trash").click()
    said(page, "2 pictures are in the trash.")
    count(page, "2 pictures")
    assert house.studio.store.history.ids("cerise") == [painted[2], painted[0]]
    expect(bar.get_by_role("button", name="Undo")).to_be_focused()  # the one pressed is gone
    page.keyboard.press("Enter")
    count(page, "4 pictures")
    expect(page.locator(".tile:focus")).to_have_count(1)
    order = page.locator(".tile img").evaluate_all("all => all.map((one) => one.alt)")
    assert order == list(reversed(PROMPTS))
    assert house.studio.store.history.ids("cerise star:yes tag:mine") == [painted[3], painted[1]]


def test_what_is_typed_and_pressed_stays_when_the_page_looks_anew(
    house: House, open_page: OpenPage, painted: list[str]
) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    pick(page, 0, 2)
    held: list[Route] = []

    def hold(route: Route) -> None:
        asked = route.request.post_data_json["fn_name"] == "look"
        held.append(route) if asked else route.continue_()

    def go_on() -> None:
        while not held:
            page.wait_for_timeout(10)
        with page.expect_response("**/component_server/"):
            held.pop().continue_()

    page.route("**/component_server/", hold)
    star = page.locator("#gallery .doing").get_by_role("button", name="Star")
    star.focus()
    page.keyboard.press("Enter")
    said(page, "2 pictures starred. · 2 pictures chosen")
    expect(star).to_be_focused()
    page.get_by_label("Save this search as").fill("reds")
    page.get_by_label("Tag them").fill("mi")
    go_on()
    expect(page.locator(".filters button", has_text="starred")).to_contain_text("2")
    expect(page.get_by_label("Save this search as")).to_have_value("reds")
    page.keyboard.type("ne")
    page.keyboard.press("Enter")
    said(page, "2 pictures tagged mine. · 2 pictures chosen")
    expect(page.get_by_label("Tag them")).to_have_value("")
    go_on()
    mine = page.locator('.filters [title="tag:=mine"]')
    expect(mine).to_contain_text("2")
    pick(page, 1)
    page.get_by_label("Tag them").fill("mine")
    page.keyboard.press("Enter")
    said(page, "3 pictures tagged mine. · 3 pictures chosen")
    mine.focus()
    go_on()
    expect(mine).to_contain_text("3")
    expect(mine).to_be_focused()


def test_the_keyboard_reaches_all_of_it(house: House, open_page: OpenPage) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    page.locator(".tile").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.tile[data-place="1"]')).to_be_focused()
    page.keyboard.press("s")
    said(page, "1 picture starred.")
    page.keyboard.press("4")
    said(page, "1 picture rated 4 of 5.")
    assert len(house.studio.store.history.ids("cerise star:yes rating:4")) == 1
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    said(page, "2 pictures chosen")
    page.keyboard.press("Control+a")
    said(page, "4 pictures chosen")
    page.keyboard.press("Escape")
    expect(page.locator("#gallery .doing")).to_be_hidden()
    page.keyboard.press("Delete")
    said(page, "1 picture is in the trash.")
    page.locator("#gallery .doing button").click()
    count(page, "4 pictures")
    page.locator('.tile[data-place="3"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator(".one .prompt")).to_have_text("a cerise car")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".one .prompt")).to_have_text("a cerise boat")
    page.keyboard.press("Escape")
    expect(page.locator('.tile[data-place="2"]')).to_be_focused()


def test_the_trash_gives_back_and_ends_only_when_asked_twice(
    house: House, open_page: OpenPage
) -> None:
    body = WISH | {"prompt": "a mauve lamp", "seed": 9, "count": 2}
    ids = [one["id"] for one in house.http.post("/api/generate", json=body).json()["images"]]
    house.http.post("/api/pictures/mark", json={"ids": ids, "trash": True})
    page = open_page("/?q=mauve+is:trash")
    count(page, "2 pictures")
    pick(page, 0)
    page.get_by_role("button", name="Take out of the trash").click()
    said(page, "1 picture is out of the trash.")
    pick(page, 0)
    page.get_by_role("button", name="Delete for good").click()
    assert len(house.studio.store.history.ids("mauve is:trash")) == 1
    page.get_by_role("button", name="Delete 1 picture for good?").click()
    said(page, "1 picture deleted for good.")
    assert house.studio.store.history.ids("mauve is:trash") == []
    assert house.studio.store.history.ids("mauve") != []


def test_one_picture_tells_all_of_itself_and_is_marked(house: House, open_page: OpenPage) -> None:
    page = open_page("/?q=castle")
    count(page, "1 picture")
    page.locator(".tile").click()
    expect(page.locator(".one .prompt")).to_have_text("a cerise <b>castle</b>")
    expect(page.locator(".one .recipe dl")).to_contain_text("64 × 64")
    page.get_by_role("button", name="Rate it 3 of 5").click()
    page.get_by_label("Add a tag").fill("mine")
    page.keyboard.press("Enter")
    expect(page.locator(".marks .tags")).to_contain_text("mine")
    expect(page.get_by_label("Add a tag")).to_be_focused()
    page.get_by_role("button", name="☆ Star").click()
    expect(page.get_by_role("button", name="★ Starred")).to_be_visible()
    assert len(house.studio.store.history.ids("castle rating:3 tag:mine star:yes")) == 1
    page.get_by_role("button", name="Into the trash").click()
    count(page, "Nothing was found.")
    page.get_by_role("button", name="Undo").click()
    count(page, "1 picture")


def test_two_are_compared_and_all_leave_as_a_zip_or_a_bulk_file(open_page: OpenPage) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    pick(page, 0, 1)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".answer")).to_contain_text("seed 3 was 2")
    expect(page.locator(".pair img")).to_have_count(2)
    with page.expect_response("**/api/choices") as answer:
        page.get_by_role("button", name="This one is better").first.click()
    assert answer.value.status == 201
    said(page, re.compile("^Noted"))
    page.get_by_role("button", name="Back to all").click()
    page.get_by_role("button", name="Choose all 4 found").click()
    said(page, "4 pictures chosen")
    with page.expect_download() as got:
        page.get_by_role("button", name="Download ZIP").click()
    with zipfile.ZipFile(got.value.path()) as packed:
        assert sum(name.endswith(".png") for name in packed.namelist()) == 4
    with page.expect_download() as got:
        page.get_by_role("button", name="As a bulk file").click()
    assert "two cerise cats" in got.value.path().read_text(encoding="utf-8")


def test_searches_and_collections_are_kept_by_their_names(
    house: House, open_page: OpenPage
) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    page.get_by_label("Save this search as").fill("the red ones")
    page.keyboard.press("Enter")
    said(page, "The search is kept as the red ones.")
    pick(page, 1, 2)
    for _ in range(2):  # the second time they are in it already
        page.get_by_label("Put them into a collection").fill("best of")
        page.keyboard.press("Enter")
        said(page, re.compile("2 pictures in the collection best of"))
    search(page, "")
    page.locator(".filters button", has_text="best of").click()
    expect(page.get_by_label("Search your pictures")).to_have_value('in:="best of"')
    count(page, "2 pictures")
    page.get_by_role("button", name="the red ones", exact=True).click()
    count(page, "4 pictures")
    page.get_by_role("button", name="Forget the search the red ones").click()
    said(page, "The search the red ones is forgotten.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="the red ones", exact=True)).to_be_visible()
    house.studio.store.albums.drop_search(house.studio.store.albums.searches()[0].id)
    house.studio.store.albums.drop(house.studio.store.albums.collections()[0].id)


def test_what_hangs_together_is_a_click_away(house: House, open_page: OpenPage) -> None:
    wish = WISH | {"prompt": "a teal gate"}
    first, second = (
        house.http.post("/api/generate", json=wish | {"seed": seed}).json()["images"][0]["id"]
        for seed in (1, 2)
    )
    job = house.http.post(f"/api/pictures/{first}/rerun").json()["id"]
    house.studio.line.wait(job, 60)
    page = open_page("/?q=teal+seed:2")
    count(page, "1 picture")
    page.locator(".tile").click()
    family = page.locator(".family", has_text="The same words and settings")
    expect(family.locator(f'[data-pick="{first}"]')).to_be_visible()
    family.locator(f'[data-pick="{first}"]').click()
    into = page.locator(".family", has_text="Painted into")
    expect(into.locator("[data-pick]")).to_have_count(1)
    into.locator("[data-pick]").click()
    back = page.locator(".family", has_text="Painted from").locator(f'[data-pick="{first}"]')
    expect(back).to_be_visible()
    with page.expect_download() as got:
        page.get_by_role("link", name="nothing of itself").click()
    assert b"parameters" not in got.value.path().read_bytes()
    assert second in {one.picture.id for one in house.studio.store.history.variants(first).pictures}


def test_a_picture_is_loaded_into_create_or_painted_again_there(
    house: House, open_page: OpenPage
) -> None:
    house.http.post("/api/generate", json=WISH | {"prompt": "a sepia boat", "seed": 1})
    page = open_page("/?q=sepia")
    count(page, "1 picture")
    page.locator(".tile").click()
    page.get_by_role("button", name="Load into Create").click()
    expect(page.locator("#prompt textarea")).to_have_value("a sepia boat")
    expect(page.locator("#prompt textarea")).to_be_visible()
    expect(page.locator("#seed input")).to_have_value("1")
    page.get_by_role("tab", name="Gallery").click()
    page.get_by_role("button", name="Rerun exactly").click()
    expect(page.locator("#live .stage.still .words")).to_have_text(
        "Painted again: identical, pixel by pixel."
    )
    page.get_by_role("tab", name="Gallery").click()
    page.get_by_role("button", name="Back to all").click()


def test_on_a_phone_filters_are_a_sheet_and_nothing_scrolls_sideways(open_page: OpenPage) -> None:
    page = open_page("/?q=cerise", width=390)
    count(page, "4 pictures")
    tag = page.locator('.filters [title="tag:=pet"]')
    expect(tag).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    tag.click()
    count(page, "1 picture")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.locator(".count").click()
    expect(tag).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    expect(tag).to_be_visible()
    page.keyboard.press("Escape")
    expect(tag).to_be_hidden()
    page.locator(".tile").click()
    expect(page.locator(".one .frame img")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def foreign(settings: str) -> bytes:
    marks, file = PngInfo(), io.BytesIO()
    marks.add_text("parameters", f"a foreign <i>harbour</i>\n{settings}")
    Image.new("RGB", (64, 64), "teal").save(file, "PNG", pnginfo=marks)
    return file.getvalue()


def test_a_picture_of_another_tool_is_read_loaded_into_create_and_painted_again(
    open_page: OpenPage,
) -> None:
    page = open_page("/?q=cerise")
    count(page, "4 pictures")
    data = foreign("Steps: 4, Sampler: Nobody's, Seed: 77, Size: 64x64, Odd: 1")
    given = {"name": "far.png", "mimeType": "image/png", "buffer": data}
    page.locator("#gallery .file input").set_input_files(given)  # type: ignore[arg-type]
    readout = page.locator("#gallery .readout")
    expect(readout).to_contain_text("far.png was painted by A1111")
    expect(readout).to_contain_text("a foreign <i>harbour</i>")
    expect(readout.locator(".lost")).to_contain_text("Nobody's")
    readout.get_by_role("button", name="Load into Create").click()
    expect(page.locator("#prompt textarea")).to_have_value("a foreign <i>harbour</i>")
    expect(page.locator("#seed input")).to_have_value("77")

    page.get_by_role("tab", name="Gallery").click()
    data = foreign("Steps: 4, Seed: 5, Size: 64x64, Model: test-pattern")
    page.evaluate(DROP, base64.b64encode(data).decode())
    expect(readout).to_contain_text("dropped.png was painted by A1111")
    readout.get_by_role("button", name="Paint it again").click()
    expect(page.locator("#live .stage.still .words")).to_contain_text("Painted again:")
