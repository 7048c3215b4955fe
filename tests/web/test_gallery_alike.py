"""The Gallery's near-alikes and variants as one, what wins, and choosing between two."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from studio.store import entries
from studio.store.tables import entry
from tests.web.conftest import House, OpenPage
from tests.web.wall import WISH, count, said, search

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def boats(house: House) -> list[str]:
    """Two boats of 2 steps that look alike, one of 4 steps, and a lamp; the oldest first."""
    ids = []
    for seed, (prompt, steps) in enumerate(
        (("a jade boat", 2), ("a jade boat", 2), ("a jade boat", 4), ("a jade lamp", 2))
    ):
        body = WISH | {"prompt": prompt, "seed": seed, "steps": steps}
        ids.append(house.http.post("/api/generate", json=body).json()["images"][0]["id"])
    with house.studio.store.database.write() as tx:
        for one, looks in zip(ids, (0x0F0F, 0x0F0E, 0xFF00FF00FF, None), strict=True):
            what = {"near": looks, "changed": entries.next_version(tx)}
            tx.execute(update(entry).where(entry.c.picture == one).values(what))
    return ids


@pytest.fixture(autouse=True)
def unmarked(house: House, boats: list[str]) -> Iterator[None]:
    yield
    fresh = {"ids": boats, "trash": False, "star": False, "rating": 0}
    house.http.post("/api/pictures/mark", json=fresh)


def test_look_alikes_hang_as_one_that_opens_in_its_place(open_page: OpenPage) -> None:
    page = open_page("/?q=jade")
    count(page, "4 pictures")
    page.get_by_label("Pictures that are alike").select_option("looks")
    expect(page.locator(".tile")).to_have_count(3)
    count(page, "3 tiles of 4 pictures")
    badge = page.locator('.tile[data-place="2"] .stack')
    expect(badge).to_have_text("2")
    expect(page.locator('.tile[data-place="2"]')).to_have_attribute(
        "aria-label", "a jade boat, stands for 2"
    )
    badge.click()
    expect(page.locator(".tile")).to_have_count(4)
    expect(page.locator(".tile.of")).to_have_count(2)
    badge.click()
    expect(page.locator(".tile")).to_have_count(3)
    page.locator('.tile[data-place="2"]').focus()
    page.keyboard.press("e")
    expect(page.locator(".tile")).to_have_count(4)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    expect(page.locator(".tile")).to_have_count(3)
    expect(page.locator('.tile[data-place="2"]')).to_be_focused()

    page.keyboard.press("Delete")
    said(page, "1 picture is in the trash.")
    expect(page.locator(".tile")).to_have_count(3)  # the other stands for itself now
    expect(page.locator('.tile[data-place="2"] .stack')).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(badge).to_have_text("2")
    page.locator(".tile").first.focus()
    page.keyboard.press("g")
    expect(page.get_by_label("Pictures that are alike")).to_have_value("words")
    expect(page.locator(".tile")).to_have_count(3)


def test_what_is_like_a_picture_is_beside_it_and_is_chosen_at_once(open_page: OpenPage) -> None:
    page = open_page("/?q=jade+seed:1")
    count(page, "1 picture")
    page.locator(".tile").click()
    near = page.locator(".family", has_text="Looks nearly the same")
    expect(near.locator("[data-pick]")).to_have_count(1)
    near.get_by_role("button", name="Choose them all").click()
    said(page, "2 pictures chosen")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".pair img")).to_have_count(2)


def test_two_are_chosen_between_by_key_and_what_wins_is_told(
    house: House, open_page: OpenPage, boats: list[str]
) -> None:
    page = open_page("/?q=jade+boat")
    count(page, "3 pictures")
    page.get_by_role("button", name="What wins").click()
    panel = page.locator("#gallery .wins")
    expect(panel).to_contain_text("Nothing to go by yet")
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("c")
    expect(page.locator(".duel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".tile").nth(1)).to_be_focused()
    page.keyboard.press("c")
    expect(page.locator(".one .prompt")).to_have_text("a jade boat")
    expect(page.locator(".duel")).not_to_contain_text("steps")
    chosen = page.locator(".duel [data-winner]").first.get_attribute("data-winner")
    page.keyboard.press("ArrowLeft")
    rather = "4 steps rather than 2" if chosen == boats[2] else "2 steps rather than 4"
    said(page, f"Noted: {rather} steps.")
    assert house.studio.store.history.basis("jade").choices == 1
    page.get_by_role("button", name="Undo").click()
    said(page, "That choice is taken back.")
    assert house.studio.store.history.basis("jade").choices == 0
    for _ in range(2):
        two = page.locator(".duel [data-winner]")
        expect(two).to_have_count(2)
        both = [one.get_attribute("data-winner") for one in two.all()]
        page.keyboard.press(("ArrowLeft", "ArrowRight")[both.index(boats[2])])
        expect(
            page.locator(f'.duel [data-winner="{both[0]}"][data-loser="{both[1]}"]')
        ).to_have_count(0)
    said(page, "Among those found there are no two more that differ in a setting.")
    expect(panel).to_contain_text("0 of 3 pictures with a star or a rating, and on 2 choices")
    expect(panel.locator(".value").first).to_contain_text("chosen 2 of 2")
    house.http.post("/api/pictures/mark", json={"ids": boats[:1], "star": True})
    search(page, "jade")
    expect(panel).to_contain_text("1 of 4 pictures with a star or a rating")
    expect(panel.locator(".value").first).to_contain_text("1 of 3 liked")
    panel.get_by_role("button", name="4", exact=True).click()
    count(page, "1 picture")
    expect(page.get_by_label("Search your pictures")).to_have_value("jade steps:4")


def test_on_a_phone_both_of_two_are_in_sight(open_page: OpenPage) -> None:
    page = open_page("/?q=jade", width=390)
    count(page, "4 pictures")
    page.get_by_role("button", name="What wins").click()
    expect(page.locator("#gallery .wins")).not_to_be_empty()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Choose between two").click()
    for one in page.locator(".duel img").all():
        expect(one).to_be_in_viewport()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
