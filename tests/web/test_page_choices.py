"""Choices and looks on the page, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import House, OpenPage, attached

pytestmark = pytest.mark.browser


def test_choices_are_counted_painted_all_and_reused_one_by_one(
    house: House, open_page: OpenPage
) -> None:
    page = open_page()
    expect(page.locator("#expand")).to_have_count(0)
    page.locator("#prompt textarea").fill("a {red|blue} kettle")
    expect(page.locator("#truth summary")).to_contain_text("2 texts, each picture draws one")
    page.locator("#expand label", has_text="paint all").click()
    expect(page.locator("#truth summary")).to_contain_text("2 texts, each is painted")
    page.locator("#truth summary").click()
    expect(page.locator("#truth")).to_contain_text("a blue kettle")
    page.locator("#generate").click()
    expect(page.locator("#live .recipe")).to_contain_text("a blue kettle")
    blue, red = house.studio.store.jobs(limit=2)
    assert [red.request["prompt"], blue.request["prompt"]] == ["a red kettle", "a blue kettle"]
    assert red.batch == blue.batch and red.request["seed"] == blue.request["seed"]
    expect(page.locator("#live .recipe")).to_contain_text("a {red|blue} kettle")
    page.locator("#live .acts button", has_text="Reuse").click()
    expect(page.locator("#prompt textarea")).to_have_value("a blue kettle")
    expect(page.locator("#expand")).to_have_count(0)  # it has no choices any more
    page.locator("#prompt textarea").fill("a {red kettle|")
    expect(page.locator("#truth")).to_contain_text("column 3: this brace is never closed")
    page.locator("#prompt textarea").fill("a {red|blue} kettle")
    page.locator("#expand label", has_text="as written").click()
    expect(page.locator("#truth summary")).not_to_contain_text("texts")
    page.locator("#generate").click()
    expect(page.locator("#live .recipe")).to_contain_text("a {red|blue} kettle")
    page.locator("#live .acts button", has_text="Reuse").click()
    expect(page.locator("#expand label.selected")).to_contain_text("as written")


def test_a_refusal_is_told_once_and_in_the_words_of_the_controls(open_page: OpenPage) -> None:
    page = open_page(width=390)
    page.locator("#prompt textarea").fill("a {@red|blue} kettle")
    truth, note = page.locator("#truth p.truth"), page.locator("#note .note")
    expect(truth).to_contain_text("Take it out and choose 'in turns'")
    page.locator("#generate").click()
    expect(note).to_contain_text("Take it out and choose 'in turns'")
    expect(truth).to_be_hidden()
    page.locator("#prompt textarea").fill("a {@red|blue} kettle!")
    expect(page.locator("#prompt textarea")).to_have_value("a {@red|blue} kettle!")
    expect(truth).to_be_hidden()
    page.locator("#prompt textarea").fill("a {red kettle|")
    expect(truth).to_contain_text("this brace is never closed")
    expect(truth).to_be_visible()


def test_looks_are_worn_together_set_what_they_say_and_come_back(
    house: House, open_page: OpenPage
) -> None:
    folder = house.studio.settings.look_folder
    folder.mkdir(exist_ok=True)
    (folder / "slow-ink.toml").write_text(
        'title = "Slow ink"\nprompt = "{prompt}, ink"\nsteps = 17'
    )
    page = open_page()
    page.locator("#look input").click()
    page.get_by_role("option", name="Slow ink").click()
    page.locator("#look input").click()
    page.get_by_role("option", name="Clean").click()
    page.locator("#advanced button").first.click()
    expect(page.locator("#steps input[type=number]")).to_have_value("17")
    page.locator("#prompt textarea").fill("a kettle")
    expect(page.locator("#truth summary")).to_be_visible()
    page.locator("#generate").click()
    expect(page.locator("#live .recipe")).to_contain_text("a kettle, ink")
    expect(page.locator("#live .recipe")).to_contain_text("slow-ink, clean")
    job = house.studio.store.jobs(limit=1)[0]
    assert job.wish["look"] == "slow-ink, clean" and job.request["steps"] == 17
    assert "blurry" in job.request["negative_prompt"] and not job.warnings
    page.reload()
    attached(page)
    expect(page.locator("#look .token")).to_have_count(2)
