"""Pictures of any tool at the faces for programs: read, painted again, and refused in words."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client

from studio.formats.metadata import RECIPE, recipe_text
from studio.formats.rewrite import with_text
from tests.formats.fixtures.every import FIXTURES
from tests.formats.pictures import plain, png
from tests.web.conftest import House

ROW = "Steps: 2, Sampler: DDIM, CFG scale: 2.5, Seed: 7, Size: 96x64, Model: TestPattern"
TEXT = f"a red boat\nNegative prompt: fog\n{ROW}, Hires upscale: 2, RNG: CPU, Version: v1.10.1"
PICTURE = png({"parameters": TEXT})
TOLD = {
    "tool": "A1111",
    "version": "1.10.1",
    "wish": {
        **{"prompt": "a red boat", "negative_prompt": "fog", "seed": 7, "steps": 2},
        **{"guidance": 2.5, "width": 96, "height": 64, "model": "test-pattern"},
        **{"sampler": "ddim", "upscale": 1},
    },
    "model": {
        **{"name": "TestPattern", "hash": "", "here": "test-pattern"},
        "by": "name",
        "said": "",
    },
    "loras": [],
    "translated": [],
    "not_understood": [],
    "not_honoured": ["Hires fix is not done here (Hires upscale: 2)."],
}


def url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def final(http: httpx.Client, job: str) -> dict[str, Any]:
    end = time.monotonic() + 90
    while (told := http.get(f"/api/jobs/{job}").json())["state"] not in ("done", "failed"):
        assert time.monotonic() < end, told["words"]
    return dict(told)


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[Client]:
    client = Client(house.url, verbose=False)
    yield client
    client.close()


def painted(house: House) -> dict[str, Any]:
    wish = {"prompt": "a red boat", "model": "test-pattern", "seed": 3, "steps": 2}
    return dict(house.http.post("/api/generate", json=wish).json()["images"][0])


def test_a_picture_is_read_as_a_body_as_a_data_url_and_with_the_client(
    house: House, client: Client
) -> None:
    headers = {"content-type": "image/png"}
    assert house.http.post("/api/read", content=PICTURE, headers=headers).json() == TOLD
    assert house.http.post("/api/read", json={"image": url(PICTURE)}).json() == TOLD
    assert client.predict(url(PICTURE), api_name="/read") == TOLD


def test_one_of_the_history_is_read_by_its_id(house: House, client: Client) -> None:
    picture = painted(house)
    told = house.http.post("/api/read", json={"picture": picture["id"], "hashes": True}).json()
    assert told["tool"] == "Darkroom" and told["wish"]["prompt"] == "a red boat"
    assert told["wish"]["seed"] == picture["seed"]
    assert client.predict(picture["id"], api_name="/read") == told


def test_a_picture_that_says_nothing_is_no_error(house: House) -> None:
    told = house.http.post("/api/read", json={"image": url(plain("PNG"))}).json()
    assert told["tool"] is None and told["wish"] == {}
    assert told["not_honoured"] == ["There is nothing in this picture about how it was painted."]
    kind = {"content-type": "image/png"}
    told = house.http.post("/api/read", content=b"hello", headers=kind).json()
    assert told["not_honoured"] == ["This is no PNG, JPEG or WebP, so there is nothing to read."]
    headers = {"content-type": "application/octet-stream"}
    told = house.http.post("/api/read", content=b"nothing", headers=headers).json()
    assert told["not_understood"] == [{"where": "file", "text": "this is no PNG, JPEG or WebP"}]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "image: give one of image, a data URL, and picture, an id."),
        ({"image": "x", "picture": "y"}, "image: give one of image"),
        ({"image": 7}, "image: give one of image"),
        ({"image": "not base64!"}, "'not base64!' is no picture"),
        (
            {"image": url(PICTURE), "moon": 1},
            "moon is not known here; there are image, picture, hashes.",
        ),
        ({"image": url(PICTURE), "hashes": "perhaps"}, "hashes: 'perhaps' is not true or false."),
        ({"picture": "0" * 32}, "There is no picture"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    house: House, body: dict[str, Any], sentence: str
) -> None:
    answer = house.http.post("/api/read", json=body)
    assert answer.status_code in (404, 422)
    assert sentence in answer.json()["error"]["message"]


def test_a_picture_that_comes_as_no_picture_is_told_how_it_may_come(house: House) -> None:
    for sent in ({"content": PICTURE}, {"files": {"file": PICTURE}}):
        answer = house.http.post("/api/read", **sent)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].endswith("content-type: image/png.")


def test_a_picture_of_another_tool_is_painted_again_and_compared(
    house: House, client: Client
) -> None:
    headers = {"content-type": "image/png"}
    answer = house.http.post("/api/rerun", content=PICTURE, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    told = final(house.http, answer.json()["id"])
    assert told["rerun"]["answer"] == "different"
    assert told["rerun"]["not_honoured"] == TOLD["not_honoured"]
    assert "one thing of its recipe could not be honoured" in told["rerun"]["words"]
    assert told["request"]["negative_prompt"] == "fog"
    assert TOLD["not_honoured"][0] in told["warnings"]  # type: ignore[index]
    job = client.predict(url(PICTURE), api_name="/rerun")
    assert final(house.http, job["id"])["rerun"]["answer"] == "different"


def test_the_same_key_gives_the_same_job(house: House) -> None:
    asked = {"json": {"image": url(PICTURE)}, "headers": {"idempotency-key": "again"}}
    jobs = {house.http.post("/api/rerun", **asked).json()["id"] for _ in range(2)}  # type: ignore[arg-type]
    assert len(jobs) == 1


def test_ours_is_painted_again_from_a_file_and_by_its_id(house: House, client: Client) -> None:
    picture = painted(house)
    kept = house.studio.store.picture(picture["id"])  # fake slots write no recipes
    recipe = {"version": 1, "fingerprint": {}, **kept.recipe, "seed": kept.seed, "index": 0}
    data = with_text(house.http.get(picture["url"]).content, RECIPE, recipe_text(recipe))
    for asked in ({"image": url(data)}, {"picture": picture["id"]}):
        job = house.http.post("/api/rerun", json=asked).json()["id"]
        assert final(house.http, job)["rerun"]["answer"] == "identical"
    job = client.predict(picture["id"], api_name="/rerun")["id"]
    assert final(house.http, job)["rerun"]["answer"] == "identical"
    answer = house.http.post("/api/rerun", json={"picture": picture["id"], "model": "sdxl"})
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "model"


def test_where_the_model_is_missing_another_may_be_named(house: House) -> None:
    data = FIXTURES["others: NovelAI"].data
    refused = house.http.post("/api/rerun", json={"image": url(data)})
    assert refused.status_code == 422
    assert "Name the model that is to paint it instead." in refused.json()["error"]["message"]
    headers = {"content-type": "image/png"}
    named = house.http.post("/api/rerun?model=test-pattern", content=data, headers=headers)
    assert named.status_code == 202 and named.json()["model"] == "test-pattern"
    assert final(house.http, named.json()["id"])["state"] == "done"


def test_one_that_was_brought_into_the_history_is_read_and_painted_from_its_file(
    house: House,
) -> None:
    headers = {"content-type": "image/png"}
    data = png({"parameters": TEXT.replace("TestPattern", "dreamy_8")})
    brought = house.http.post("/api/pictures/import", content=data, headers=headers).json()
    (picture,) = [one["picture"]["id"] for one in brought["pictures"]]
    told = house.http.post("/api/read", json={"picture": picture}).json()
    assert told["tool"] == "A1111" and told["not_honoured"][0].startswith("Its model 'dreamy_8'")
    refused = house.http.post("/api/rerun", json={"picture": picture})
    assert "Name the model" in refused.json()["error"]["message"]
    asked = {"picture": picture, "model": "test-pattern"}
    job = house.http.post("/api/rerun", json=asked).json()["id"]
    assert final(house.http, job)["rerun"]["answer"] == "different"


def test_the_addresses_are_listed(house: House) -> None:
    page = house.http.get("/docs").text
    assert "/api/read" in page and "/api/rerun" in page
