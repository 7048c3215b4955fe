"""Pictures handed in to stay, over HTTP, and how the page shows what nobody here painted."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from studio.errors import InUse
from studio.store import handover
from tests.formats.pictures import plain, png
from tests.formats.test_picture import saved
from tests.store.test_chores import until
from tests.store.test_importing import A1111
from tests.web.conftest import House, OpenPage

WHERE = "/api/pictures/import"


def brought(house: House, data: bytes, name: str) -> dict[str, Any]:
    kind = {"content-type": "image/png"}
    answer = house.http.post(WHERE, params={"name": name}, content=data, headers=kind)
    (told,) = answer.json()["pictures"]
    return dict(told)


def test_one_picture_as_the_body_is_told_with_what_it_says(house: House) -> None:
    data = png({"parameters": A1111})
    told = brought(house, data, "boat.png")
    picture = told["picture"]
    assert (told["known"], told["why"]) == (False, None)
    assert (picture["seed"], picture["model"], picture["width"]) == (1234, "dreamer", 64)
    assert house.http.get(picture["url"]).content == data
    name = house.http.get(picture["url"], params={"download": 1}).headers["content-disposition"]
    assert name.endswith('filename="boat.png"')
    assert brought(house, data, "again.png")["known"]
    job = house.http.get(f"/api/jobs/{picture['job']}").json()
    assert (job["state"], job["attempts"], job["slot"]) == ("done", 0, None)


def test_several_of_a_form_are_told_one_by_one(house: House) -> None:
    files = [
        ("file", ("good.webp", plain("WEBP"), "image/webp")),
        ("file", ("cut.png", plain("PNG")[:-4], "image/png")),
    ]
    good, cut = house.http.post(WHERE, files=files).json()["pictures"]
    assert good["picture"]["seed"] is None and good["picture"]["model"] == "unknown"
    assert (cut["picture"], cut["why"]) == (None, "it is a PNG that was cut; send it again.")
    answer = house.http.post(WHERE, files={"x": (None, "y")})
    assert answer.json()["error"]["message"] == "There is no file in the form."


def test_a_folder_that_was_handed_over_is_told_of_and_stopped(house: House, tmp_path: Path) -> None:
    folder, data = tmp_path / "summer", house.studio.settings.data
    folder.mkdir()
    for n in range(600):
        (folder / f"{n}.png").write_bytes(saved(Image.new("RGB", (40, 40), (9, n % 256, n // 256))))
    key = handover.ask(data, folder, "local")
    follow = handover.follow(data, key, InUse(""))
    until(lambda: next(follow).tally.looked)
    (told,) = house.http.get("/api/imports").json()["imports"]
    assert (told["id"], told["name"], told["state"], told["total"]) == (
        key,
        "summer",
        "running",
        600,
    )
    assert house.http.delete(f"/api/imports/{key}").status_code == 202
    last = list(follow)[-1]
    assert last.state == "stopped" and 0 < last.tally.new < 600
    assert house.http.get("/api/imports").json() == {"imports": []}
    for strange in (key, "x"):
        assert house.http.delete(f"/api/imports/{strange}").status_code == 404
    tidied = house.http.get("/api/health").json()["tidied"]
    assert tidied["at"] > 1e9 and tidied["said"] == ""


def test_what_nobody_here_painted_is_painted_again_as_near_as_can_be_or_refused(
    house: House,
) -> None:
    of_it = A1111.replace("dreamer", "test-pattern").replace(" <lora:ink:0.8>", "")
    key = brought(house, png({"parameters": of_it}), "ours.png")["picture"]["id"]
    answer = house.http.post(f"/api/pictures/{key}/rerun")
    assert answer.status_code == 202, answer.text
    assert answer.json()["request"]["seed"] == 1234
    elsewhere = brought(house, png({"parameters": A1111 + "y"}), "theirs.png")["picture"]["id"]
    where, other = f"/api/pictures/{elsewhere}/rerun", {"model": "test-pattern"}
    assert house.http.post(where).json()["error"]["message"].startswith("model: ")
    assert house.http.post(where, json=other).json()["model"] == "test-pattern"
    assert house.http.post(where, json=other | {"steps": 3}).status_code == 422
    nothing = brought(house, saved(Image.new("RGB", (64, 64), "teal")), "photo.png")
    answer = house.http.post(f"/api/pictures/{nothing['picture']['id']}/rerun")
    assert answer.status_code == 422 and answer.json()["error"]["message"]


@pytest.mark.browser
@pytest.mark.parametrize("texts", [{"parameters": A1111 + "x"}, {}])
def test_the_page_shows_it_with_what_is_known_and_offers_what_can_be(
    house: House, open_page: OpenPage, texts: dict[str, str]
) -> None:
    data = png(texts) if texts else saved(Image.new("RGB", (64, 64), "olive"))
    job = brought(house, data, "boat.png")["picture"]["job"]
    page = open_page(f"?job={job}")
    shown = page.locator("#live")
    expect(shown.locator("summary")).to_contain_text("brought")
    assert "None" not in shown.inner_text() and "-1" not in shown.inner_text()
    expect(shown.get_by_role("button", name="Begin from it")).to_be_visible()
    expect(page.locator("#note")).to_contain_text("Another tool painted it")
    reuse = shown.get_by_role("button", name="Reuse")
    expect(reuse).to_have_count(len(texts))
    if texts:
        reuse.click()
        expect(page.locator("#prompt textarea")).to_have_value(re.compile("a red boat"))
        expect(page.locator("#note")).to_contain_text("The LoRA 'ink' is not here.")
