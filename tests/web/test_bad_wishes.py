"""One table of what cannot be painted, at every face: a sentence with field, value and limit."""

import json

import pytest
from gradio_client import Client

from studio.web.answers import BadBody, _once
from tests.pace import within
from tests.web.conftest import House

# outside name, JSON of the value, what the sentence must hold
BAD = [
    ("filename", '"a\\ud83d"', ["surrogate"]),
    ("tags", '["\\ud83d"]', ["surrogate"]),
    ("\\ud83d", "1", []),
    ("width", "0", ["width", "0", "least is 1"]),
    ("width", "-8", ["width", "-8", "least is 1"]),
    ("width", "1000000000", ["width", "1000000000", "4096"]),
    ("width", "257", ["width", "257", "8"]),
    ("width", "NaN", ["NaN"]),
    ("guidance_scale", "NaN", ["NaN"]),
    ("guidance_scale", "1e999", ["guidance_scale", "inf"]),
    ("guidance_scale", '"much"', ["guidance_scale", "much", "number"]),
    ("seed", "-2", ["seed", "-2", "0"]),
    ("seed", "9007199254740992", ["seed", "9007199254740992", "4294967295"]),
    ("seed", "1.5", ["seed", "1.5", "whole"]),
    ("num_inference_steps", "0", ["num_inference_steps", "0", "1"]),
    ("num_inference_steps", "1000000", ["num_inference_steps", "1000000", "200"]),
    ("num_inference_steps", "150", ["num_inference_steps", "150", "100"]),
    ("prompt", '""', ["prompt", "empty"]),
    ("prompt", '"   "', ["prompt", "empty"]),
    ("prompt", '"a\\u0000b"', ["prompt", "NUL"]),
    ("prompt", '"\\ud800"', ["prompt", "surrogate"]),
    ("prompt", '"%s"' % ("x" * 1_000_000), ["prompt", "32768"]),
    ("model", '"nope"', ["model", "nope", "test-pattern"]),
    ("sampler", '"nope"', ["sampler", "nope", "euler"]),
    ("unheard_of", "1", ["unheard_of", "not known"]),
    ("tags", '"one"', ["tags", "one"]),
    ("loras", '["ink"]', ["loras.0", "'ink'", "not an object"]),
    ("seed", '1, "seed": 2', ["seed", "twice"]),
    ("steps", '8, "num_inference_steps": 9', ["steps", "once"]),
]
NAMES = [f"{name}={value[:24]}" for name, value, _ in BAD]


def body(name: str, value: str) -> str:
    wish = {"prompt": '"x"', "width": "64", "height": "64"} | {name: value}
    return "{" + ", ".join(f'"{key}": {text}' for key, text in wish.items()) + "}"


@pytest.mark.parametrize("address", ["/api/generate", "/api/jobs", "/v1/images/generations"])
@pytest.mark.parametrize(("name", "value", "words"), BAD, ids=NAMES)
def test_http_refuses_in_a_sentence(
    house: House, address: str, name: str, value: str, words: list[str]
) -> None:
    before = house.studio.store.counts()
    answer = house.http.post(address, content=body(name, value))
    assert answer.status_code in (400, 422)
    message = answer.json()["error"]["message"]
    assert all(word in message for word in words), message
    assert len(message) < 400 and "Traceback" not in message
    assert house.studio.store.counts() == before


@pytest.mark.parametrize("address", ["/api/jobs", "/v1/images/generations"])
def test_what_breaks_inside_is_told_to_the_log_alone(
    house: House,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F46"""

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://bob:s3cret@10.0.0.7/x at 0x7f00")

    monkeypatch.setattr(house.studio.store, "submit", breaks)
    answer = house.http.post(address, json={"prompt": "x", "width": 64, "height": 64})
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == (
        "Something broke here; the log of the studio says what."
    )
    for inside in ("s3cret", "10.0.0.7", "0x7f", "RuntimeError", "Traceback", ".py"):
        assert inside not in answer.text + str(answer.headers)
    assert "s3cret" in caplog.text and "Traceback" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", "null", '"x"', "{", '{"prompt": "x"} x', "[" * 9999])
def test_what_is_not_an_object_is_refused(house: House, content: str) -> None:
    answer = house.http.post("/api/jobs", content=content)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_body"


def test_what_is_given_twice_is_found_at_once_in_however_many() -> None:
    for _ in within(0.05):
        with pytest.raises(BadBody, match="^a9999 is given twice"):
            _once([*((f"a{number}", 1) for number in range(10_000)), ("a9999", 2)])


def test_an_empty_key_is_refused(house: House) -> None:
    answer = house.http.post("/api/jobs", json={"prompt": "x"}, headers={"Idempotency-Key": ""})
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "Idempotency-Key"


def test_a_precision_that_the_worker_refuses_is_the_wish_at_fault(house: House) -> None:
    answer = house.http.post("/api/generate", json={"prompt": "coarse", "width": 64, "height": 64})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "precision")


def test_a_bad_query_is_refused(house: House) -> None:
    for query in ("limit=0", "limit=x", "limit=1000", "limit=-1"):
        answer = house.http.get(f"/api/history?{query}")
        assert answer.status_code == 422 and answer.json()["error"]["field"] == "limit"


def test_gradio_refuses_in_the_same_sentences(house: House) -> None:
    client = Client(house.url, verbose=False, token=False)
    cannot = (
        'prompt="\\ud800"',
        "unheard_of=1",
        "\\ud83d=1",
    )  # its own client stops these, and NaN
    for name, value, words in BAD:
        if "NaN" in value or "," in value or "1e999" in value or f"{name}={value}" in cannot:
            continue
        given = {"prompt": "x", "width": 64, "height": 64} | {name: json.loads(value)}
        with pytest.raises(Exception) as refused:  # noqa: PT011 - whatever the client raises
            client.predict(**given, api_name="/submit")
        assert all(word in str(refused.value) for word in words), (name, str(refused.value))
    client.close()
