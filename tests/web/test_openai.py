"""`/v1` as OpenAI's own client speaks it."""

import base64
import io
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from PIL import Image

from tests.web.conftest import House


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_official_client_paints(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="test-pattern",
        prompt="a red car",
        n=2,
        size="64x64",
        quality="low",
        user="ann",
        extra_body={"seed": 7, "negative_prompt": "people", "num_inference_steps": 1},
    )
    assert answer.data and len(answer.data) == 2
    picture = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or "")))
    assert picture.size == (64, 64)
    assert answer.size == "64x64" and answer.output_format == "png"


def test_an_address_can_be_had_instead_of_the_picture(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a red car", size="64x64", response_format="url")
    assert answer.data and answer.data[0].url
    assert httpx.get(answer.data[0].url).content.startswith(b"\x89PNG")


def test_the_models_are_listed_and_found_by_alias(client: openai.OpenAI) -> None:
    assert "test-pattern" in {model.id for model in client.models.list()}
    assert client.models.retrieve("lightning").id == "sdxl-lightning"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("dall-e-9")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", "transparent"),
        ("stream", True),
        ("partial_images", 2),
        ("size", "1000000x8"),
        ("size", "big"),
        ("response_format", "bmp"),
        ("quality", "superb"),
        ("style", "vivid"),
        ("n", 11),
        ("moderation", "none"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    house: House, field: str, value: object
) -> None:
    answer = house.http.post("/v1/images/generations", json={"prompt": "x", field: value})
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "invalid_request_error"
    named = {"n": ("count", "n")}.get(field, (field,))
    assert error["param"] in named
    assert any(name in error["message"] for name in named)


@pytest.mark.parametrize("prompt", ["boom", "a picture that is stopped, crawl"])
def test_its_client_sends_nothing_again_that_has_ended(house: House, prompt: str) -> None:
    before = house.studio.store.jobs(limit=200)

    def stop() -> None:
        while house.studio.store.jobs(limit=1)[0].state != "running":
            time.sleep(0.01)
        house.http.delete(f"/api/jobs/{house.studio.store.jobs(limit=1)[0].id}")

    if "boom" not in prompt:
        threading.Timer(0.3, stop).start()
    usual = openai.OpenAI(base_url=f"{house.url}/v1", api_key="none")
    with usual, pytest.raises(openai.APIStatusError):
        usual.images.generate(prompt=prompt, size="64x64", extra_body={"steps": 40})
    assert len(house.studio.store.jobs(limit=200)) == len(before) + 1


def test_a_number_is_said_once(house: House) -> None:
    wish = {"prompt": "x", "n": 2, "count": 3}
    answer = house.http.post("/v1/images/generations", json=wish)
    assert answer.status_code == 400 and "say it once" in answer.json()["error"]["message"]


def test_warnings_travel_with_the_answer(house: House) -> None:
    body = {"prompt": "x", "size": "64x64", "guidance": 1, "negative_prompt": "y"}
    told = house.http.post("/v1/images/generations", json=body).json()
    assert any("no effect" in warning for warning in told["warnings"])
