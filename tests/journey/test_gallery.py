"""The Gallery with the real server: from an empty house to a picture that is loaded into Create."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.journey.conftest import Server, opened
from tests.web.conftest import CHROMIUM, FLAGS

pytestmark = pytest.mark.browser
WISH = {"model": "starter", "steps": 2, "upscale": 1, "width": 192, "height": 192}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A house of its own, where nobody has painted."""
    with opened(tmp_path) as server:
        yield server


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
        browser.close()
    assert not wrong


def test_found_filtered_starred_thrown_away_brought_back_packed_and_loaded(
    server: Server, page: Page
) -> None:
    page.goto(f"{server.url}/?q=")
    gallery = page.locator("#gallery")
    expect(gallery.locator("[data-try]")).to_have_count(3)
    expect(gallery.locator(".count")).to_be_empty()
    prompt = gallery.locator("[data-try]").first.text_content() or ""
    gallery.locator("[data-try]").first.click()
    expect(page.locator("#prompt textarea")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(prompt)
    for seed, words in enumerate(("a red boat on the ocean", "a blue boat at night"), 7):
        body = WISH | {"prompt": words, "seed": seed, "tags": ["sea"] if seed == 8 else []}
        assert httpx.post(f"{server.url}/api/generate", json=body, timeout=120).is_success

    page.get_by_role("tab", name="Gallery").click()
    count = gallery.locator(".count")
    expect(count).to_have_text("2 pictures")
    page.get_by_label("Search your pictures").fill("boat")
    gallery.locator('.filters [title="tag:=sea"]').click()
    expect(count).to_have_text("1 picture")
    gallery.locator(".tile").focus()
    page.keyboard.press("s")
    expect(gallery.locator(".tile.star")).to_have_count(1)
    page.keyboard.press("Delete")
    expect(count).to_have_text("Nothing was found.")
    page.get_by_role("button", name="Undo").click()
    expect(count).to_have_text("1 picture")

    page.get_by_role("button", name="Without tag:=sea").click()
    expect(count).to_have_text("2 pictures")
    gallery.locator(".tile").first.focus()
    page.keyboard.press("Control+a")
    with page.expect_download() as got:
        page.get_by_role("button", name="Download ZIP").click()
    with zipfile.ZipFile(got.value.path()) as packed:
        assert sum(name.endswith(".png") for name in packed.namelist()) == 2

    gallery.locator(".tile").nth(1).focus()
    page.keyboard.press("Enter")
    expect(gallery.locator(".prompt")).to_have_text("a red boat on the ocean")
    page.get_by_role("button", name="Load into Create").click()
    expect(page.locator("#prompt textarea")).to_have_value("a red boat on the ocean")
    expect(page.locator("#seed input")).to_have_value("7")
    page.get_by_role("button", name="Advanced").click()
    expect(page.locator("#steps input[type=number]")).to_have_value("2")
