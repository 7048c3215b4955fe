"""What pictures say of themselves when they are given out: chosen each time, or by the setting."""

import base64
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

import app
from studio.formats.carried import carried
from studio.formats.metadata import PARAMETERS, RECIPE
from studio.formats.rewrite import with_text
from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.slot import Gone
from studio.jobs.studio import Studio
from studio.messages import FromWorker, Paint, Painted
from studio.settings import Settings
from studio.web.quiet import prepare
from studio.web.site import serve
from tests.web.conftest import House

WISH = {"prompt": "a red boat", "model": "test-pattern", "seed": 3, "steps": 2}
SAID = {"all": {PARAMETERS, RECIPE}, "parameters": {PARAMETERS}, "none": set[str]()}


def speaking(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
    """The fake painter, whose pictures say something of themselves as real ones do."""
    for word in fake.paint(message, cancelled):
        if isinstance(word, Painted):
            told = [
                replace(one, data=with_text(with_text(one.data, RECIPE, "{}"), PARAMETERS, "é"))
                for one in word.pictures
            ]
            word = replace(word, pictures=tuple(told))
        yield word


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One that gives out the text that other tools read, if nobody says otherwise."""
    data = tmp_path_factory.mktemp("given")
    settings = Settings(data=data, port=0, drain_seconds=0.2, metadata="parameters")
    prepare(settings)
    studio = Studio.open(
        settings, Fleet([(fake.FakeSlot("fake", speaking), "for tests")], fake.widen)
    )
    site = serve(studio, block=False)
    with httpx.Client(base_url=site.url, timeout=30) as http:
        yield House(studio, site.page, site.url, http)
    site.close()
    studio.close()


def texts(data: bytes) -> set[str]:
    return set(carried(data).texts)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_picture_says_what_was_asked_for_with_the_same_pixels(house: House) -> None:
    picture = house.http.post("/api/generate", json=WISH).json()["images"][0]
    kept = house.studio.store.file(house.studio.store.picture(picture["id"])).read_bytes()
    assert texts(kept) == SAID["all"]
    for said, wanted in SAID.items():
        answer = house.http.get(picture["url"], params={"metadata": said, "download": 1})
        assert texts(answer.content) == wanted
        assert answer.headers["content-type"] == "image/png"
        assert "attachment" in answer.headers["content-disposition"]
        assert "immutable" in answer.headers["cache-control"]
        assert np.array_equal(pixels(answer.content), pixels(kept))
    usual = house.http.get(picture["url"])
    assert texts(usual.content) == SAID["parameters"]
    assert usual.headers["cache-control"] == "private, no-cache"  # it may be another tomorrow
    answer = house.http.get(picture["url"], params={"metadata": "some"})
    assert answer.status_code == 422
    told = answer.json()["error"]
    assert told["message"] == "metadata: 'some' is not one of all, parameters, none."


def test_every_face_gives_out_what_is_usual(house: House, tmp_path: Path) -> None:
    wish = {**WISH, "seed": 4}
    image = house.http.post("/api/generate", json=wish).json()["image"]
    assert texts(base64.b64decode(image.partition(",")[2])) == SAID["parameters"]
    openai = {"prompt": "a red boat", "model": "test-pattern", "seed": 5}
    datum = house.http.post("/v1/images/generations", json=openai).json()["data"][0]
    assert texts(base64.b64decode(datum["b64_json"])) == SAID["parameters"]
    client = Client(house.url, verbose=False, token=False, download_files=tmp_path)
    files, _ = client.predict("a red boat", model="test-pattern", api_name="/generate")
    client.close()
    (file,) = files
    path = file["path"] if isinstance(file, dict) else file
    assert texts(Path(path).read_bytes()) == SAID["parameters"]


def test_the_command_line_gives_out_what_is_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_METADATA", "none")
    out = tmp_path / "boat.png"
    command = ["paint", "a red boat", "--model", "test-pattern", "--steps", "1", "--out", str(out)]
    assert app.main([*command, "--data", str(tmp_path / "data")]) == 0
    assert texts(out.read_bytes()) == SAID["none"]
    (kept,) = (tmp_path / "data" / "pictures").rglob("*.png")
    assert texts(kept.read_bytes()) == SAID["all"]
