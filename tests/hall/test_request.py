"""The request: bounds, sentences, and a round trip through JSON."""

import json

import pytest

from studio.errors import Refused
from studio.request import MAX_PROMPT, MAX_SEED, ImageRequest, canonical, read_request

REFUSED = [
    ({"width": 0, "height": 64}, "width", "0", "least is 1"),
    ({"width": -8, "height": 64}, "width", "-8", "least is 1"),
    ({"width": 10**9, "height": 64}, "width", "1000000000", "4096"),
    ({"width": float("nan"), "height": 64}, "width", "nan", "whole number"),
    ({"seed": -2}, "seed", "-2", "0"),
    ({"seed": 2**53}, "seed", str(2**53), str(MAX_SEED)),
    ({"steps": 0}, "steps", "0", "1"),
    ({"steps": 10**6}, "steps", "1000000", "200"),
    ({"steps": True}, "steps", "True", "whole number"),
    ({"steps": "4"}, "steps", "'4'", "whole number"),
    ({"guidance": float("inf")}, "guidance", "inf", "finite"),
    ({"guidance": 31}, "guidance", "31", "30"),
    ({"count": 11}, "count", "11", "10"),
    ({"prompt": "x" * 2**20}, "prompt", "xxx", str(MAX_PROMPT)),
    ({"prompt": "a\x00b"}, "prompt", "NUL", "remove"),
    ({"prompt": "a\ud800"}, "prompt", "\\ud800", "surrogate"),
    ({"colour": "red"}, "colour", "colour", "not known"),
    ({"upscale": 3}, "upscale", "3", "1, 2 or 4"),
    ({"output_format": "gif"}, "output_format", "'gif'", "png"),
    ({"loras": [{"name": "a", "weight": 99.0}]}, "loras.0.weight", "99", "10"),
    ({"mask": "no hash"}, "mask", "no hash", "look like"),
]


@pytest.mark.parametrize(("fields", "field", "value", "limit"), REFUSED)
def test_a_bad_field_is_refused_with_its_name_value_and_limit(
    fields: dict[str, object], field: str, value: str, limit: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read_request({"prompt": "x", **fields})
    assert refusal.value.field == field
    sentence = str(refusal.value)
    assert field in sentence
    assert value in sentence
    assert limit in sentence
    assert len(sentence) < 300
    sentence.encode("utf-8")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"width": 64}, "height"),
        ({"width": 64, "height": 64, "aspect": "square"}, "not both"),
        ({"prompt": "  \n"}, "empty"),
        ({"prompt": ""}, "empty"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    fields: dict[str, object], word: str
) -> None:
    with pytest.raises(Refused, match=word):
        read_request({"prompt": "x", **fields})


def test_a_request_survives_json() -> None:
    request = read_request(
        {
            "prompt": "ein Haus 🏠 \u202e",
            "loras": [{"name": "ink", "weight": 0.5}],
            "tags": ["a", "b"],
            "seed": 7,
            "guidance": 4,
        }
    )
    assert ImageRequest.model_validate_json(request.model_dump_json()) == request
    assert read_request(json.loads(canonical(request))) == request


def test_seeds_go_up_by_one_and_wrap_at_the_end() -> None:
    request = read_request({"prompt": "x", "seed": MAX_SEED - 1, "count": 3})
    assert request.seeds() == [MAX_SEED - 1, MAX_SEED, 0]


def test_every_field_carries_its_help() -> None:
    assert all(field.description for field in ImageRequest.model_fields.values())
