"""A picture is enlarged alone: one of the history or one from outside, at every face, as a job."""

import base64
import io
import sys

import pytest
from gradio_client import Client
from PIL import Image

from studio.jobs import fake
from studio.models import hub
from studio.web.desk import Desk
from studio.web.library import draw
from tests.jobs.test_pool import until
from tests.networks import compact
from tests.web.conftest import House

WISH = {"prompt": "a red car", "seed": 7, "steps": 2, "model": "test-pattern"}


@pytest.fixture(autouse=True)
def x4(house: House) -> str:
    compact(house.studio.settings.model_folder / "upscalers" / "x4.safetensors", scale=4)
    return "x4"


@pytest.fixture
def painted(house: House) -> str:
    """The id of a picture of 64 x 64."""
    body = WISH | {"width": 64, "height": 64}
    return str(house.http.post("/api/generate", json=body).json()["images"][0]["id"])


def data_url(size: tuple[int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def ended(house: House, job: str) -> dict[str, object]:
    house.studio.line.wait(job, 60)
    told: dict[str, object] = house.http.get(f"/api/jobs/{job}").json()
    assert told["state"] == "done", told
    return told


def test_a_picture_of_the_history_is_enlarged_and_knows_where_it_came_from(
    house: House, painted: str
) -> None:
    answer = house.http.post("/api/upscale", json={"picture": painted, "times": 4})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{told['id']}"
    request = told["request"]
    assert (request["model"], request["upscaler"], request["upscale"]) == ("enlarge", "x4", 4)
    assert (request["enlarged_from"], request["width"], request["strength"]) == (painted, 64, 0)
    (picture,) = ended(house, told["id"])["pictures"]  # type: ignore[misc]
    assert (picture["width"], picture["prompt"], picture["seed"]) == (256, "a red car", 7)
    slots = [seat.slot for seat in house.studio.pool._seats]
    asked = [one for slot in slots if isinstance(slot, fake.FakeSlot) for one in slot.asked]
    (paint,) = (one for one in asked if one.job == told["id"])
    assert paint.upscaler.endswith("x4.safetensors") and paint.folder == ""
    assert list(paint.inputs) == [request["start_image"]]


def test_a_picture_from_outside_of_any_size_is_enlarged(house: House) -> None:
    body = {"image": data_url((33, 21)), "times": 2, "upscaler": "x4", "output_format": "webp"}
    told = house.http.post("/api/upscale", json=body).json()
    assert told["warnings"] == ["x4 enlarges 4 times; that is made 2 times smaller."]
    (picture,) = ended(house, told["id"])["pictures"]  # type: ignore[misc]
    assert (picture["width"], picture["height"]) == (66, 42)
    handed = house.http.post("/api/inputs", json={"image": data_url((33, 21))}).json()["id"]
    again = house.http.post("/api/upscale", json={"image": handed, "times": 2}).json()
    assert again["request"]["start_image"] == told["request"]["start_image"]


def test_the_same_key_gives_the_same_job(house: House) -> None:
    body, headers = {"image": data_url((20, 20)), "times": 2}, {"Idempotency-Key": "once"}
    first, second = (house.http.post("/api/upscale", json=body, headers=headers) for _ in "ab")
    assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize(
    ("body", "said", "field"),
    [
        ({"times": 2}, "picture: give one of picture and image.", "picture"),
        ({"picture": "0" * 32, "image": "x"}, "picture: give one of picture and image.", "picture"),
        ({"image": "no!", "times": 3}, "image: 'no!' is no picture", "image"),
        ({"image": data_url((20, 20)), "times": 3}, "times: 3 is not one of 1, 2 or 4.", "times"),
        (
            {"image": data_url((20, 20)), "times": 1},
            "times: 1 leaves the picture",
            "times",
        ),
        ({"image": data_url((4000, 500)), "times": 4}, "times: 4000 pixels enlarged 4", "times"),
        ({"image": data_url((20, 20)), "upscaler": "x5"}, "upscaler: there is no 'x5'", "upscaler"),
        ({"image": data_url((20, 20)), "model": "sdxl"}, "model is not known here.", "model"),
        ({"image": data_url((20, 20)), "colour": 1}, "colour is not known here.", "colour"),
    ],
)
def test_what_cannot_be_is_refused_in_its_own_words(
    house: House, body: dict[str, object], said: str, field: str
) -> None:
    answer = house.http.post("/api/upscale", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["message"].startswith(said) and error["field"] == field
    assert house.http.post("/api/upscale", json={"picture": "0" * 32}).status_code == 404


def test_it_is_a_wish_like_any_other(house: House, painted: str) -> None:
    start = {"picture": painted}
    body = {"model": "enlarge", "prompt": "", "start_image": start, "upscale": 2, "steps": 9}
    told = house.http.post("/api/jobs", json=body).json()
    assert "Nothing is painted, so these have no effect: steps." in told["warnings"]
    assert told["request"]["steps"] == 1
    lone = house.http.post("/api/jobs", json={"model": "enlarge", "prompt": "a boat"})
    assert lone.json()["error"]["message"] == "start_image: enlarging needs a picture. Give one."
    wrong = house.http.post("/api/jobs", json=WISH | {"enlarged_from": painted})
    assert "only the model 'enlarge' enlarges alone" in wrong.json()["error"]["message"]
    assert "enlarge" not in {one["name"] for one in house.http.get("/api/models").json()["models"]}


def test_gradios_client_enlarges_too(house: House, painted: str) -> None:
    client = Client(house.url, verbose=False)
    job = client.predict(painted, 2, api_name="/upscale")
    assert job["request"]["enlarged_from"] == painted
    job = client.predict(data_url((16, 16)), api_name="/upscale")
    assert job["request"]["upscale"] == 4
    listed = house.http.get("/api/upscalers").json()["upscalers"]
    here = {one["name"]: one["scale"] for one in listed if one["here"]}
    assert here == {"x4": 4, "starter-x2": 2}


def test_an_upscaler_and_a_checker_are_fetched_and_stopped_by_their_names(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(house.studio.fetching, "_command", slow)
    monkeypatch.setattr(hub, "whole_checker", lambda card, token: 1000)
    for name, address in (("realesrgan-x4plus", "upscalers"), ("falconsai", "checkers")):
        asked = house.http.post(f"/api/models/{name}/pull")
        assert (asked.status_code, asked.json()["name"]) == (202, name)
        listed = {one["name"]: one for one in house.http.get(f"/api/{address}").json()[address]}
        assert not listed[name]["here"] and listed[name]["fetching"]["state"] != "failed"
        drawn = draw(house.studio)
        assert drawn.index("On their way") < drawn.index(listed[name]["title"])
        assert house.http.delete(f"/api/models/{name}/pull").status_code == 202
        until(lambda: not house.studio.fetching.views())
        assert house.http.delete(f"/api/models/{name}/pull").status_code == 422
    assert house.http.post("/api/models/starter-x2/pull").status_code == 422
    assert house.http.post("/api/models/falconsai/load").status_code == 422


class Clicked:
    def __init__(self, **said: object) -> None:
        self.__dict__ |= said


def test_the_frame_of_a_finished_picture_enlarges_it(house: House, painted: str) -> None:
    page, store = Desk(house.studio), house.studio.store
    state = {"jobs": [store.picture(painted).job]}
    shown = str(page.show(state)[1])
    assert f'data-enlarge="{painted}" data-times="2"' in shown and 'data-times="4"' in shown
    state, note, *_ = page.enlarge(Clicked(id=painted, times=4), state)  # type: ignore[arg-type]
    job = state["jobs"][-1]  # type: ignore[index]
    assert note == ""
    ended(house, job)
    shown = str(page.show(state)[1])
    assert "Enlarging" in shown and "256 × 256" in shown and "4× by x4" in shown
    assert "steps</span>" not in shown and "data-reuse" in shown
    (larger,) = store.pictures(job=job)
    again = page.reuse(Clicked(id=larger.id), None)  # type: ignore[arg-type]
    assert again == page.reuse(Clicked(id=painted), None)  # type: ignore[arg-type]
    assert page.enlarge(Clicked(id="gone", times=2), state)[1]  # type: ignore[arg-type]
