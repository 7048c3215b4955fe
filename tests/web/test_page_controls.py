"""The controls of the page in a real browser: each follows the model, and keeps what was chosen."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.models.test_loras import write
from tests.networks import compact
from tests.web.conftest import House, OpenPage, ask, attached

pytestmark = pytest.mark.browser


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
    page.get_by_role("option", name="Neon").last.click()  # the first list may still be closing
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
    page.get_by_role("option", name="SDXL Lightning (").click()
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


def test_whoever_only_passes_through_the_models_keeps_what_was_chosen(
    house: House, open_page: OpenPage
) -> None:
    write(house.studio.settings.model_folder / "loras" / "neon.safetensors", {})
    page = open_page()
    page.locator("#aspect label", has_text="portrait").click()
    page.locator("#lora-1 input").click()
    page.get_by_role("option", name="neon").click()
    expect(page.locator("#weight-1")).to_be_visible()
    shape, lora = page.locator("#aspect label.selected"), page.locator("#lora-1 input")
    page.locator("#model input").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    expect(shape).to_contain_text("portrait")
    expect(lora).to_have_value("neon")
    ask(page, "a kettle")
    expect(page.locator("#live .stage.still")).to_be_visible()
    page.locator("#model input").click()
    page.get_by_role("option", name="SDXL Lightning (").click()
    expect(shape).to_contain_text("square")
    page.locator("#live .acts button", has_text="Reuse").click()
    expect(shape).to_contain_text("portrait")
    page.locator("#model input").focus()
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    expect(shape).to_contain_text("portrait")


def test_a_picture_is_begun_from_and_a_mask_painted(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    Image.new("RGB", (96, 64), "teal").save(tmp_path / "in.png")
    page = open_page()
    page.locator("#given input[type=file]").first.set_input_files(tmp_path / "in.png")
    expect(page.locator("#given .start img")).to_be_visible()
    expect(page.locator("#aspect label.selected")).to_contain_text("landscape")
    expect(page.locator("#given .brush")).to_be_hidden()  # nothing to paint yet
    page.get_by_role("button", name="Paint a mask").click()
    expect(page.locator("#given .brush")).to_be_visible()
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


def test_what_the_model_makes_of_the_words_follows_the_typing(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#model input").click()
    page.get_by_role("option", name="Starter").click()
    prompt, truth = page.locator("#prompt textarea"), page.locator("#truth")
    expect(truth).to_contain_text("Shift+Enter begins a new line")
    there = page.locator("#generate").bounding_box()
    prompt.press_sequentially("a (red:1.3) lighthouse", delay=10)
    expect(truth).to_contain_text("1 weighted")
    assert page.locator("#generate").bounding_box() == there
    expect(truth).to_contain_text("all words known")
    truth.locator("summary").click()
    expect(truth.locator("dl")).to_contain_text("CLIP-L, CLIP-G")
    prompt.press_sequentially(", a zebra")
    expect(truth).to_contain_text("not known: zebra")
    expect(truth.locator("dl")).to_be_visible()  # it stays open while one types
    prompt.fill("a boat <lora:nowhere:1>")
    expect(truth).to_contain_text("there is no LoRA 'nowhere'")
    prompt.fill("")
    expect(truth).to_contain_text("Shift+Enter begins a new line")
