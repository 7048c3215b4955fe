"""The page, gradio_client, HTTP and the OpenAI client ask for the same picture and get the same."""

import base64
import io
import shutil
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from openai import OpenAI
from PIL import Image, ImageChops
from playwright.sync_api import expect, sync_playwright

from tests.journey.conftest import Server

PROMPT = "a red lighthouse, calm sea"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = [
    *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def same(one: bytes, other: bytes) -> bool:
    first, second = (Image.open(io.BytesIO(data)).convert("RGB") for data in (one, other))
    return first.size == second.size and ImageChops.difference(first, second).getbbox() is None


def history(server: Server) -> list[dict[str, object]]:
    answer = httpx.get(f"{server.url}/api/history?limit=200").json()
    rows: list[dict[str, object]] = answer["pictures"]
    return rows


def by_gradio(server: Server, folder: Path) -> bytes:
    client = Client(server.url, verbose=False, download_files=str(folder))
    files, seed = client.predict(PROMPT, seed=7, randomize_seed=False, api_name="/generate")
    assert int(seed) == 7
    first = files[0]
    return Path(first["image"] if isinstance(first, dict) else first).read_bytes()


def by_openai(server: Server) -> bytes:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none")
    answer = client.images.generate(
        prompt=PROMPT, extra_body={"seed": 7}, response_format="b64_json"
    )
    assert answer.data
    return base64.b64decode(answer.data[0].b64_json or "")


def by_http(server: Server) -> bytes:
    body = {"prompt": PROMPT, "seed": 7}
    answer = httpx.post(f"{server.url}/api/generate", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return httpx.get(server.url + answer.json()["image_url"]).content


def by_page(server: Server) -> bytes:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.goto(server.url)
        page.locator("#prompt textarea").fill(PROMPT)
        page.locator("#seed input").first.fill("7")
        # A seed typed by hand is kept: the page takes the tick away itself, and a click that came
        # at that moment would put it back.
        expect(page.get_by_label("new each time")).not_to_be_checked()
        page.locator("#generate").click()
        picture = page.locator("#live .stage.still .frame img")
        expect(picture).to_be_visible(timeout=30_000)
        data = page.request.get(server.url + (picture.get_attribute("src") or "")).body()
        browser.close()
        return data


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page was not compared")
def test_every_face_gives_the_same_pixels_and_a_row_in_history(
    server: Server, tmp_path: Path
) -> None:
    before = len(history(server))
    page = by_page(server)
    assert same(page, by_gradio(server, tmp_path))
    assert same(page, by_openai(server))
    assert same(page, by_http(server))
    rows = history(server)
    assert len(rows) == before + 4
    assert {row["seed"] for row in rows[:4]} == {7}
