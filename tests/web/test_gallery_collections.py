"""A collection in the Gallery: hung in its order, arranged by key and by hand, packed so."""

import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.web.conftest import House, OpenPage
from tests.web.wall import PROMPTS, count, order_of, pick, said

pytestmark = pytest.mark.browser


def test_a_collection_hangs_in_its_order_and_pictures_are_moved_within_it(
    house: House, open_page: OpenPage, painted: list[str]
) -> None:
    car, boat, cats, castle = painted
    its = house.studio.store.albums.collect("album", [cats, car, castle]).id

    def there() -> list[str]:
        return [one.picture.id for one in house.studio.store.albums.pictures(its).pictures]

    page = open_page("/?q=")
    page.locator(".filters button", has_text="album").click()
    count(page, "3 pictures")
    assert order_of(page) == [PROMPTS[2], PROMPTS[0], PROMPTS[3]]
    expect(page.get_by_label("Order")).to_have_value("collection")
    page.locator('.tile[data-place="0"]').focus()
    page.keyboard.press("Alt+ArrowRight")
    said(page, "1 picture moved.")
    expect(page.locator('.tile[data-place="1"]')).to_be_focused()
    assert there() == [car, cats, castle]
    page.locator('.tile[data-place="2"] img').drag_to(
        page.locator('.tile[data-place="0"]'), target_position={"x": 4, "y": 30}
    )
    said(page, "1 picture moved.")
    expect(page.locator('.tile[data-place="0"]')).to_be_focused()
    assert order_of(page) == [PROMPTS[3], PROMPTS[0], PROMPTS[2]]
    assert there() == [castle, car, cats]
    page.keyboard.press("Enter")
    expect(page.locator(".one .prompt")).to_have_text(PROMPTS[3])
    expect(page.locator("#gallery .doing")).to_be_hidden()  # what was said is not of this picture
    page.keyboard.press("Escape")

    pick(page, 1)
    page.get_by_role("button", name="Out of the collection").click()
    said(page, "1 picture out of the collection.")
    assert there() == [castle, cats]
    page.get_by_role("button", name="Undo").click()
    said(page, "As it was.")
    assert there() == [castle, car, cats] and order_of(page)[1] == PROMPTS[0]

    page.get_by_label("Order").select_option("oldest")
    expect(page).to_have_url(re.compile("sort=oldest"))
    expect(page.locator(".tile img").first).to_have_attribute("alt", PROMPTS[0])
    page.get_by_label("Order").select_option("collection")
    expect(page).not_to_have_url(re.compile("sort="))
    page.locator(".tile").first.focus()
    page.keyboard.press("Control+a")
    said(page, re.compile("3 pictures chosen"))
    with page.expect_download() as got:
        page.get_by_role("button", name="Download ZIP").click()
    with zipfile.ZipFile(got.value.path()) as packed:
        told = json.loads(packed.read("manifest.json"))
    assert [one["id"] for one in told["pictures"]] == [castle, car, cats]
    house.studio.store.albums.drop(its)
