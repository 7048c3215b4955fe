"""Many pictures as one ZIP over HTTP: whole, named, and no further than somebody takes it."""

import asyncio
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from studio.web.zipping import ENOUGH, Stream
from tests.web.conftest import House, OpenPage, ask

WISH = {"prompt": "a red car", "width": 64, "height": 64, "num_inference_steps": 2}


@pytest.fixture(scope="module")
def painted(house: House) -> dict[str, Any]:
    told: dict[str, Any] = house.http.post("/api/generate", json=WISH | {"count": 3}).json()
    return told


def test_a_job_comes_as_a_zip_and_so_do_ids_in_every_form(
    house: House, painted: dict[str, Any]
) -> None:
    ids = [one["id"] for one in painted["images"]]
    where, name = "/api/pictures/zip", "{index}-{seed}"
    answers = [
        house.http.get(where, params={"job": painted["job_id"], "name": name}),
        house.http.get(where, params={"ids": ",".join(ids), "name": name}),
        house.http.post(where, json={"ids": ids, "name": name}),
        house.http.post(where, data={"ids": ",".join(ids), "name": name}),
        house.http.get(where, params={"ids": ids, "name": name}),  # as many clients write a list
        house.http.post(where, data={"ids": ids, "name": name}),
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"].endswith('.zip"')
        with zipfile.ZipFile(io.BytesIO(answer.content)) as read:
            told = json.loads(read.read("manifest.json"))
            assert [one["id"] for one in told["pictures"]] == ids
            assert read.namelist()[0] == f"0-{painted['seed']}.png"
            assert read.read(read.namelist()[1]) == house.http.get(f"/pictures/{ids[1]}").content
            assert told["pictures"][0]["recipe"]["request"]["prompt"] == "a red car"


def test_all_that_a_search_finds_comes_as_a_zip(house: House) -> None:
    told = house.http.post("/api/generate", json=WISH | {"prompt": "zebra crossing"}).json()
    for asked in ({"q": "zebra"}, {"q": "zebra seed:<9999999999"}):
        answer = house.http.get("/api/pictures/zip", params=asked)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as read:
            manifest = json.loads(read.read("manifest.json"))
        assert [one["id"] for one in manifest["pictures"]] == [told["images"][0]["id"]]


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"ids": ["x"]}, 404, "ids: there is no picture 'x'."),
        ({"ids": 7}, 422, "ids: give a list of ids, or one text with commas."),
        ({"ids": []}, 422, "ids: name at least one picture."),
        ({"job": 7}, 422, "job: give text."),
        (
            {"colour": "red"},
            422,
            "colour is not known here; there are ids, job, batch, q, name, metadata.",
        ),
        ({"job": "x", "name": "{artist}"}, 422, "name: {artist} is not known; there are date"),
        ({"q": "modle:x"}, 422, "q, character 1: there is no field 'modle'."),
        ({}, 422, "Say which pictures: ids, a job, a batch or q"),
    ],
)
def test_what_cannot_be_packed_is_said_before_anything_is_sent(
    house: House, asked: dict[str, object], status: int, words: str
) -> None:
    answer = house.http.post("/api/pictures/zip", json=asked)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(words)


def test_a_form_that_cannot_be_read_is_the_fault_of_who_sent_it(house: House) -> None:
    answer = house.http.post("/api/pictures/zip", data={str(n): "" for n in range(2000)})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The form cannot be read: ")


def test_who_hangs_up_ends_it() -> None:
    """Uvicorn's way: sending goes on without a word, and the hanging up is heard of."""
    asked_for, closed = [0], threading.Event()

    def source() -> Iterator[bytes]:
        try:
            while True:
                asked_for[0] += 1
                yield bytes(ENOUGH)
        finally:
            closed.set()

    async def talk() -> int:
        gone, sent = asyncio.Event(), 0

        async def send(message: dict[str, Any]) -> None:
            nonlocal sent
            sent += bool(message.get("body"))
            if sent == 3:
                gone.set()
                await asyncio.Event().wait()  # nobody takes any more

        async def receive() -> dict[str, str]:
            await gone.wait()
            return {"type": "http.disconnect"}

        with ThreadPoolExecutor(1) as readers:
            await Stream(source(), readers, "attachment")({"type": "http"}, receive, send)  # type: ignore[arg-type]
            assert await asyncio.to_thread(closed.wait, 10)
        return sent

    assert asyncio.run(asyncio.wait_for(talk(), 20)) == 3
    assert asked_for[0] == 3  # no piece was made ahead


def test_gradio_client_gets_it_as_a_file(
    house: House, painted: dict[str, Any], tmp_path: Path
) -> None:
    client = Client(house.url, verbose=False, token=False, download_files=tmp_path)
    file = client.predict(job=painted["job_id"], name="{counter}", api_name="/zip")
    with zipfile.ZipFile(file) as read:
        assert read.namelist()[:3] == ["00001.png", "00002.png", "00003.png"]
    client.close()


@pytest.mark.browser
def test_all_pictures_of_one_wish_are_downloaded_at_once(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#count input").click()
    page.get_by_role("option", name="×3").click()
    ask(page, "three boats")
    every = page.get_by_role("link", name="Download all 3")
    expect(every).to_be_visible()
    with page.expect_download() as download:
        every.click()
    with zipfile.ZipFile(download.value.path()) as read:
        assert len(read.namelist()) == 5
    assert download.value.suggested_filename.startswith("darkroom-")
