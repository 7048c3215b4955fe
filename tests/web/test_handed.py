"""Pictures handed in at every face: as a body, an id, a data URL, a file of OpenAI's client."""

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import openai
import pytest
from gradio_client import Client
from PIL import Image

from studio.jobs import fake
from studio.messages import Paint
from studio.settings import Settings
from studio.store.rows import Picture
from studio.store.store import Store
from studio.web import handed
from studio.web.handed import Hands
from tests.formats.test_picture import COLOURED, UNFIT, clear_left, drawn, saved
from tests.web.conftest import House

PNG = COLOURED["png"]
WISH = {"prompt": "a red car", "steps": 5, "model": "test-pattern"}
SIDE = (64, 64)


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def hand_in(house: House, data: bytes = PNG) -> str:
    answer = house.http.post("/api/inputs", content=data, headers={"content-type": "image/png"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def asked(house: House) -> Paint:
    """What the workers were told last."""
    slots = [seat.slot for seat in house.studio.pool._seats]
    told = [paint for slot in slots if isinstance(slot, fake.FakeSlot) for paint in slot.asked]
    newest = house.studio.store.jobs(limit=1)[0].id
    return next(paint for paint in told if paint.job == newest)


def test_a_picture_is_handed_in_and_looked_at(house: House) -> None:
    answer = house.http.post(
        "/api/inputs", content=COLOURED["animated png"], headers={"content-type": "image/png"}
    )
    told = answer.json()
    assert answer.status_code == 201 and (told["width"], told["height"]) == (48, 32)
    assert told["warnings"] == ["It holds 2 pictures; the first was taken."]
    assert answer.headers["location"] == told["url"] == f"/inputs/{told['id']}"
    seen = house.http.get(told["url"])
    assert seen.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(seen.content)).size == (48, 32)
    assert house.http.post("/api/inputs", json={"image": url(PNG)}).json()["id"] == hand_in(house)
    assert house.http.get(f"/inputs/{'0' * 64}").status_code == 404
    assert house.http.get("/inputs/..%2F..%2Fetc%2Fpasswd").status_code == 404


def test_many_may_hand_in_at_once_and_hold_up_nobody(house: House) -> None:
    with ThreadPoolExecutor(8) as crowd:
        given = [crowd.submit(hand_in, house) for _ in range(8)]
        began = time.monotonic()
        assert house.http.get("/api/queue/status").status_code == 200
        looked = time.monotonic() - began
        assert len({one.result() for one in given}) == 1
    assert looked < (time.monotonic() - began) / 2


@pytest.mark.parametrize("name", ["gif", "bomb", "cut png", "png and zip", "nothing"])
def test_what_does_not_fit_is_refused_at_the_door(house: House, name: str) -> None:
    data, words = UNFIT[name]
    answer = house.http.post("/api/inputs", content=data, headers={"content-type": "image/png"})
    error = answer.json()["error"]
    assert answer.status_code == 422 and error["field"] == "image"
    assert words in error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"image": "http://example.com/a.png"}, "is no picture; give"),
        ({"image": 3}, "as a data URL, and nothing else"),
        ({"image": url(PNG), "name": "x"}, "as a data URL, and nothing else"),
        ({}, "as a data URL, and nothing else"),
    ],
)
def test_what_is_no_picture_is_refused(house: House, body: dict[str, object], words: str) -> None:
    answer = house.http.post("/api/inputs", json=body)
    assert answer.status_code == 422 and words in answer.json()["error"]["message"]


def test_a_start_image_may_be_given_in_any_form_and_crosses_as_bytes(house: House) -> None:
    kept = hand_in(house)
    first = house.http.post("/api/generate", json=WISH | {"start_image": kept}).json()
    assert first["success"] and "landscape is the nearest" in first["warnings"][0]
    assert (first["width"], first["height"]) == (320, 192)
    message = asked(house)
    assert message.request["start_image"] == kept
    assert message.inputs == {kept: house.studio.store.input(kept)}
    for given in (url(PNG), base64.b64encode(PNG).decode(), url(COLOURED["with sRGB profile"])):
        house.http.post("/api/generate", json=WISH | {"start_image": given})
        assert asked(house).request["start_image"] == kept


def test_a_picture_of_the_history_may_be_begun_from(house: House) -> None:
    picture = house.http.post("/api/generate", json=WISH).json()["images"][0]["id"]
    for given in (picture, {"picture": picture}):
        told = house.http.post("/api/generate", json=WISH | {"start_image": given}).json()
        assert told["success"]
        (data,) = asked(house).inputs.values()
        assert Image.open(io.BytesIO(data)).size == (256, 256)
    answer = house.http.post("/api/jobs", json=WISH | {"start_image": {"picture": "0" * 32}})
    assert answer.status_code == 422 and "no picture" in answer.json()["error"]["message"]


def test_what_there_is_to_say_of_a_picture_is_said_by_its_job(house: House) -> None:
    given = {"start_image": url(COLOURED["animated webp"], "webp"), "mask": url(PNG)}
    told = house.http.post("/api/generate", json=WISH | given).json()
    assert told["warnings"][0] == "start_image: It holds 2 pictures; the first was taken."


def test_progress_counts_the_steps_that_are_taken(house: House, door: Event) -> None:
    body = {**WISH, "prompt": "held", "start_image": hand_in(house), "strength": 0.4}
    job = house.http.post("/api/jobs", json=body).json()["id"]
    while not (told := house.http.get(f"/api/jobs/{job}").json())["step"]:
        assert told["state"] in ("queued", "running")
    assert told["steps"] == 2 and told["request"]["steps"] == 5
    door.set()
    house.studio.line.wait(job, 60)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"start_image": "x"}, "start_image", "'x' is no picture; give the id"),
        ({"start_image": 3}, "start_image", "give the id"),
        ({"start_image": "0" * 64}, "start_image", "hand it in first"),
        ({"start_image": {"picture": "x"}}, "start_image", "no id of the history"),
        ({"start_image": url(UNFIT["gif"][0])}, "start_image", "it is a GIF"),
        ({"mask": url(PNG)}, "mask", "needs a start image"),
        ({"start_image": url(PNG), "mask": {"transparent": url(PNG)}}, "mask", "nowhere transp"),
        ({"references": [url(PNG)]}, "references", "takes no reference pictures"),
        ({"references": [{"image": url(PNG), "id": "x"}]}, "references.0", "one of id, picture"),
        ({"references": "x"}, "references", "'x'"),
        ({"strength": 2.0, "start_image": url(PNG)}, "strength", "the most is 1"),
        ({"fit": "stretch", "start_image": url(PNG)}, "fit", "cover"),
    ],
)
def test_bad_pictures_of_a_wish_are_refused_in_words(
    house: House, fields: dict[str, object], field: str, words: str
) -> None:
    before = house.studio.store.counts()
    answer = house.http.post("/api/jobs", json=WISH | fields)
    error = answer.json()["error"]
    assert answer.status_code == 422 and error["field"] == field
    assert words in error["message"] and error["message"].startswith(f"{field}: ")
    assert house.studio.store.counts() == before


def test_one_call_hands_in_only_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed, "MOST_HANDED", 2)
    files = [saved(drawn(size=(16, 16 + number))) for number in range(3)]
    body = {"prompts": [WISH | {"start_image": url(file)} for file in files]}
    answer = house.http.post("/api/generate/batch", json=body)
    assert answer.status_code == 422 and "more than 2 pictures" in answer.json()["error"]["message"]


class Counting(Store):
    """The same store; it counts how often a file is looked for."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(store.database, store._shelf, store._clock, settings, store._closing)
        self.read = 0

    def file(self, picture: Picture) -> Path:
        self.read += 1
        return super().file(picture)


def test_what_one_call_says_often_is_read_once(house: House) -> None:
    painted = house.http.post("/api/generate", json=WISH | {"seed": 5}).json()["images"][0]["id"]
    store = Counting(house.studio.store, house.studio.settings)
    hands = Hands(store)
    for start in (painted, {"picture": painted}):
        fields, _ = hands.settle({"start_image": start, "references": [painted, painted]})
        assert fields["references"] == [{"id": fields["start_image"]}] * 2
    assert store.read == 1


def test_gradio_client_hands_in_too(house: House) -> None:
    client = Client(house.url, verbose=False, token=False)
    files, _ = client.predict(
        "", start_image=url(PNG), mask=url(PNG), strength=0.5, model="test-pattern", upscale=1,
        api_name="/generate",
    )  # fmt: skip
    client.close()
    assert len(files) == 1 and len(asked(house).inputs) == 1  # the same picture is kept once
    assert asked(house).request["mask"] == asked(house).request["start_image"]


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_official_client_edits(house: House, client: openai.OpenAI) -> None:
    answer = client.images.edit(
        image=("boat.png", PNG, "image/png"),
        mask=("mask.png", saved(clear_left()), "image/png"),
        prompt="a red car",
        model="test-pattern",
        size="256x256",
        quality="low",
        extra_body={"seed": 7, "num_inference_steps": 3},
    )
    assert answer.data and answer.size == "256x256"
    request = asked(house).request
    assert (request["seed"], request["steps"], request["strength"]) == (7, 3, 1)
    mask = Image.open(io.BytesIO(asked(house).inputs[request["mask"]]))
    assert mask.getpixel((4, 20)) == 255 and mask.getpixel((40, 20)) == 0  # theirs turned round


def test_several_pictures_are_references_where_the_model_takes_them(
    house: House, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="takes one picture; 2 were given"):
        client.images.edit(image=[PNG, COLOURED["jpeg"]], prompt="x", model="test-pattern")
    with pytest.raises(openai.BadRequestError, match="FLUX.2 klein 4B is not whole"):
        client.images.edit(image=[saved(drawn(size=SIDE))] * 2, prompt="x", model="flux2")


def test_its_json_edits_as_well(house: House) -> None:
    for given in (
        {"image": url(PNG)},
        {"image": [url(PNG)]},
        {"images": [{"image_url": url(PNG)}]},
    ):
        body = WISH | given | {"strength": 0.5}
        told = house.http.post("/v1/images/edits", json=body).json()
        assert told["data"][0]["b64_json"], told


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({}, "images", "at least one picture"),
        ({"image": url(UNFIT["gif"][0])}, "image", "it is a GIF"),
        ({"image": "https://example.com/a.png"}, "image", "is no picture"),
        ({"image": [url(PNG)] * 17}, "image", "17 are too many"),
        ({"image": url(PNG), "model": "sana-1.5"}, "model", "edits no pictures"),
        ({"image": url(PNG), "input_fidelity": "high"}, "input_fidelity", "not done here"),
        ({"image": url(PNG), "mask": url(PNG)}, "mask", "nowhere transparent"),
        ({"image": url(PNG), "references": [url(PNG)]}, "image", "leave references out"),
        ({"image": url(PNG), "start_image": url(PNG)}, "image", "leave start_image out"),
    ],
)
def test_what_cannot_be_edited_is_refused_in_its_words(
    house: House, fields: dict[str, object], param: str, words: str
) -> None:
    answer = house.http.post("/v1/images/edits", json=WISH | fields)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["param"] == param
    assert words in error["message"] and error["message"].startswith(param)


def test_a_form_that_is_none_is_refused(house: House) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = house.http.post("/v1/images/edits", content=b"nonsense", headers=kind)
    assert answer.status_code == 400
    files = [("image", ("a.png", PNG, "image/png"))] * 2
    answer = house.http.post("/v1/images/edits", files=files, data={"prompt": "x"})
    assert "say it once" in answer.json()["error"]["message"]
