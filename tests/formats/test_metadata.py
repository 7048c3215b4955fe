"""What a picture says about itself, as other tools read it and as we read it back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import Refused
from studio.formats.metadata import read_recipe, recipe_text
from studio.models.card import ModelCard
from studio.models.infotext import parameters_text
from studio.request import ImageRequest

MARKS = {"darkroom": "0.1.0", "model_hash": "45dee52b12aaaa"}


def card(name: str = "photo-xl") -> ModelCard:
    return ModelCard.model_validate(
        {
            "name": name,
            "title": "Photo XL",
            "about": "",
            "family": "sdxl",
            "repo": "a/b",
            "can": ["negative"],
            "steps": 20,
            "max_steps": 50,
            "guidance": 7.0,
            "samplers": [{"name": "euler a"}],
            "sizes": {"square": {"width": 832, "height": 1216}},
            "min_side": 64,
            "max_side": 2048,
            "memory_gb": 9.0,
            "licence": "",
        }
    )


def request(**fields: object) -> ImageRequest:
    whole = {
        "prompt": "a cat,\nsitting",
        "negative_prompt": "blurry",
        "width": 832,
        "height": 1216,
        "seed": 1,
        "steps": 20,
        "guidance": 7.0,
        "sampler": "euler a",
    }
    return ImageRequest.model_validate(whole | fields)


def test_the_text_is_a1111s() -> None:
    assert parameters_text(request(), card(), MARKS, seed=5) == (
        "a cat,\nsitting\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 832x1216, "
        "Model hash: 45dee52b12, Model: photo-xl, RNG: CPU, Version: Darkroom 0.1.0"
    )


@pytest.mark.parametrize(
    ("sampler", "row"),
    [
        ("dpm++ 2m karras", "Sampler: DPM++ 2M, Schedule type: Karras, CFG"),
        ("dpm++ 2m", "Sampler: DPM++ 2M, CFG"),
        ("dpm++ sde", "Sampler: DPM++ 2M SDE, CFG"),
        ("unipc", "Sampler: UniPC, CFG"),
        ("own, with: marks", r'Sampler: "own, with: marks", CFG'),
    ],
)
def test_samplers_go_by_the_names_others_know(sampler: str, row: str) -> None:
    assert row in parameters_text(request(sampler=sampler), card(), MARKS, seed=1)


def test_what_is_not_known_is_left_out() -> None:
    text = parameters_text(request(negative_prompt="", guidance=1.5), card(), {}, seed=1)
    assert "Negative prompt" not in text
    assert "hash" not in text
    assert "CFG scale: 1.5, " in text


def test_an_enlarged_picture_says_by_how_much_and_with_what() -> None:
    marks = MARKS | {"upscaler": "starter-x2"}
    text = parameters_text(request(upscale=2), card(), marks, seed=1)
    assert ", Postprocess upscale by: 2, Postprocess upscaler: starter-x2, Version" in text
    assert "Postprocess" not in parameters_text(request(upscale=1), card(), MARKS, seed=1)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")),
        st.text(st.characters(codec="utf-8")) | st.integers() | st.none(),
    )
)
def test_a_recipe_is_read_back_as_it_was_written(more: dict[str, object]) -> None:
    recipe = {**more, "version": 1}
    assert read_recipe(recipe_text(recipe)) == recipe


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"version":2}', "[" * 100_000])
def test_what_is_no_recipe_is_refused_in_words(text: str) -> None:
    with pytest.raises(Refused, match="recipe in this picture"):
        read_recipe(text)


def test_a_recipe_is_json_for_every_reader() -> None:
    recipe = {"version": 1, "scheduler_config": {"lambda_min_clipped": -math.inf}, "x": [math.nan]}
    text = recipe_text(recipe)
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert read_recipe(text)["scheduler_config"] == {"lambda_min_clipped": "-Infinity"}
    assert read_recipe(json.dumps(recipe)) == read_recipe(text), "one of before says the same"
