"""The page's place for pictures of other tools: what it says of one, and its way into Create."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from studio.web.readout import draw
from tests.formats.pictures import plain, png
from tests.web.conftest import House, OpenPage
from tests.web.test_foreign import PICTURE, TEXT, TOLD

pytestmark = pytest.mark.browser
BAD = "<img src=x onerror=alert(1)>"


def file(tmp_path: Path, data: bytes, name: str = "boat.png") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_a_picture_is_read_and_loaded_into_the_controls(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    page.locator("#readout input[type=file]").set_input_files(file(tmp_path, PICTURE))
    told = page.locator("#readout section")
    expect(told).to_contain_text("boat.png was painted by A1111")
    expect(told).to_contain_text("TestPattern, which is test-pattern by its name")
    expect(told.locator(".lost")).to_contain_text("Hires fix is not done here")
    page.get_by_role("button", name="Load into Create").click()
    expect(page.locator("#prompt textarea")).to_have_value("a red boat")
    expect(page.locator("#seed input")).to_have_value("7")
    expect(page.locator("#fresh input")).not_to_be_checked()
    page.get_by_role("button", name="Advanced").click()
    expect(page.locator("#steps input[type=number]")).to_have_value("2")
    expect(page.locator("#note")).to_contain_text("is not a shape of the list")


def test_it_is_painted_again_and_compared(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    page.locator("#readout input[type=file]").set_input_files(file(tmp_path, PICTURE))
    page.get_by_role("button", name="Paint it again and compare").click()
    expect(page.locator("#live .words")).to_contain_text("Painted again: different")
    expect(page.locator("#live .words")).to_contain_text("could not be honoured")
    expect(page.locator("#live .notes")).to_contain_text("Hires fix is not done here")
    page.get_by_role("button", name="Read another").click()
    expect(page.locator("#readout .drop")).to_be_visible()


def test_what_has_no_model_here_is_loaded_for_the_one_that_is_chosen(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    data = png({"parameters": TEXT.replace("TestPattern", "dreamy_8")})
    page.locator("#readout input[type=file]").set_input_files(file(tmp_path, data))
    expect(page.locator("#readout .lost")).to_contain_text("Its model 'dreamy_8' is not here.")
    expect(page.get_by_role("button", name="Paint it again and compare")).to_have_count(0)
    page.get_by_role("button", name="Load into Create").click()
    expect(page.locator("#prompt textarea")).to_have_value("a red boat")


def test_a_picture_that_says_nothing_is_told_so(
    house: House, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page()
    page.locator("#readout input[type=file]").set_input_files(
        file(tmp_path, plain("JPEG"), "a.jpg")
    )
    expect(page.locator("#readout")).to_contain_text("a.jpg does not say how it was painted")
    expect(page.get_by_role("button", name="Load into Create")).to_have_count(0)


def test_nothing_that_a_file_says_becomes_a_tag() -> None:
    bad = {
        **{"tool": BAD, "version": BAD, "wish": {"prompt": BAD, "seed": BAD, "model": BAD}},
        "model": dict.fromkeys(("name", "hash", "here", "by"), BAD),
        "loras": [dict.fromkeys(("name", "hash", "here", "by"), BAD)],
        **{"not_honoured": [BAD], "translated": [BAD]},
        "not_understood": [{"where": BAD, "text": BAD}],
    }
    assert "<img" not in draw(bad, BAD)


@pytest.mark.parametrize(
    "told", [{}, {"wish": 7, "loras": 3, "model": "x", "not_honoured": {}}, TOLD | {"wish": []}]
)
def test_whatever_a_browser_says_is_drawn(told: dict[str, object]) -> None:
    assert draw(told).startswith("<section>")
