"""Four pictures for tests of the Gallery, and how they find, choose and read there."""

import re

from playwright.sync_api import Page, expect

WISH = {"model": "test-pattern", "width": 64, "height": 64, "steps": 2}
PROMPTS = ("a cerise car", "a cerise boat", "two cerise cats", "a cerise <b>castle</b>")


def count(page: Page, words: str) -> None:
    expect(page.locator("#gallery .count")).to_have_text(words)


def search(page: Page, q: str) -> None:
    page.get_by_label("Search your pictures").fill(q)


def pick(page: Page, *places: int) -> None:
    for place in places:
        page.locator(f'.tile[data-place="{place}"] .pick').click(force=True)


def said(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.locator("#gallery .doing p")).to_have_text(words)


def order_of(page: Page) -> list[str]:
    return list(page.locator(".tile img").evaluate_all("all => all.map((one) => one.alt)"))
