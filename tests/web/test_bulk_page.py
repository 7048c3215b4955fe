"""The Bulk page in a real browser: checked while it is typed, run, followed by line, stopped."""

import re
from threading import Event

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import House, OpenPage

pytestmark = pytest.mark.browser
HEAD = "---\nmodel: test-pattern\nsize: 64x64\nsteps: 2\n---\n"


def bulk(open_page: OpenPage, width: int | None = None) -> Page:
    page = open_page(width=width)
    page.get_by_role("tab", name="Bulk").click()
    expect(page.locator("#bulk-text textarea")).to_be_visible()
    return page


def test_a_file_is_checked_while_it_is_typed_and_a_problem_leads_to_its_line(
    open_page: OpenPage,
) -> None:
    page = bulk(open_page)
    expect(page.locator("#bulk-shown")).to_contain_text("One file, many pictures")
    words, run = page.locator("#bulk-text textarea"), page.locator("#bulk-run")
    expect(run).to_be_disabled()
    words.fill(HEAD + "- a <b>car</b> {seed: 7}\n- a hat {sed: 7}\nProse.\n")
    remarks = page.locator("#bulk-shown .remarks li")
    expect(remarks).to_have_count(2)
    expect(remarks.first).to_contain_text("There is no setting 'sed'. Did you mean 'seed'?")
    expect(remarks.last).to_contain_text("Not read, so not painted")
    expect(page.locator("#bulk-shown tbody tr").first).to_contain_text("a <b>car</b>")
    expect(run).to_be_disabled()
    remarks.first.get_by_role("button").click()
    marked = "element => element.value.slice(element.selectionStart, element.selectionEnd)"
    assert words.evaluate(marked) == "- a hat {sed: 7}"
    words.fill("")
    expect(page.locator("#bulk-shown")).to_contain_text("One file, many pictures")


def test_a_file_that_is_dropped_is_run_and_each_line_tells_how_it_stands(
    open_page: OpenPage,
) -> None:
    page = bulk(open_page)
    data = (HEAD + "# Walk\n- a car {count: 2}\n- boom\n").encode()
    file = {"name": "walk.md", "mimeType": "text/markdown", "buffer": data}
    page.locator("#bulk-drop input").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator("#bulk-shown")).to_contain_text("by its name, walk.md")
    run = page.get_by_role("button", name="Run 3 pictures")
    run.click()
    seen = page.locator("#bulk-watched")
    expect(seen.locator(".figures")).to_contain_text("walk.md")
    expect(seen).to_contain_text("1 painted · 1 failed")
    rows = seen.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("done")
    expect(rows.nth(0).locator("img")).to_be_visible()
    expect(rows.nth(1)).to_contain_text("Pick a smaller shape")
    seen.get_by_role("button", name="Try the failed again").click()
    expect(seen).to_contain_text("1 painted · 1 failed")
    with page.expect_download() as download:
        seen.get_by_role("link", name="Export with seeds").click()
    assert download.value.suggested_filename == "walk.md"


def test_the_rest_is_stopped_and_a_second_tab_sees_what_is_painted(
    house: House, open_page: OpenPage, door: Event
) -> None:
    page = bulk(open_page, width=390)
    lines = "".join(f"- held {number}\n" for number in range(6))
    page.locator("#bulk-text textarea").fill(HEAD + lines)
    page.get_by_role("button", name="Run 6 pictures").click()
    seen = page.locator("#bulk-watched")
    expect(seen).to_contain_text("being painted")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("tab", name="Bulk").click()
    expect(other.locator("#bulk-watched")).to_contain_text("waiting")
    seen.get_by_role("button", name="Stop the rest").click()
    expect(seen).to_contain_text("stopped")
    door.set()
    expect(seen).to_contain_text(re.compile(r"^(?!.*being painted).*stopped"))
    states = {job.state for job in house.studio.store.jobs(limit=6)}
    assert states == {"done", "cancelled"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
