"""Every example in docs/bulk.md is read without a problem, settled for its model, and counted."""

import re
from pathlib import Path

import pytest

from studio.formats.bulk.fields import ALIASES, NAMES
from studio.formats.bulk.read import read
from studio.formats.bulk.sheet import wish_of
from studio.models.loras import find_loras
from studio.request import ImageRequest
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

DOCS = (Path(__file__).parents[3] / "docs" / "bulk.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^(`{3,})(\w+) example=(\d+)\n(.*?)^\1$", re.S | re.M)
ENDINGS = {"markdown": "x.md", "csv": "x.csv", "jsonl": "x.jsonl", "text": "x.txt"}
EXAMPLES = [(form, int(count), text) for _, form, count, text in FENCE.findall(DOCS)]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


def read_example(form: str, text: str) -> list[ImageRequest]:
    sheet = read(text, ENDINGS[form])
    assert not sheet.remarks
    found = [wish_of(entry) for entry in sheet.entries]
    assert not [wrong for _, wrong in found if wrong]
    return [wish for wish, _ in found if wish]


def test_there_are_examples_of_every_form() -> None:
    assert {form for form, _, _ in EXAMPLES} == set(ENDINGS) and len(EXAMPLES) == 7


@pytest.mark.parametrize(("form", "count", "text"), EXAMPLES)
def test_an_example_is_what_the_text_around_it_says(
    form: str, count: int, text: str, catalog: Catalog, tmp_path: Path
) -> None:
    wishes = read_example(form, text)
    assert sum(wish.count for wish in wishes) == count
    for wish in wishes:
        sound = wish.model_copy(update={"loras": ()})  # it was made for the starter
        assert catalog.settle(sound, find_loras(tmp_path)).request.prompt


def test_the_first_example_says_what_the_text_says_of_it() -> None:
    lighthouse, boat, umbrella, leaves = read_example(*(EXAMPLES[0][0], EXAMPLES[0][2]))
    assert (lighthouse.seed, lighthouse.aspect, lighthouse.tags) == (
        7,
        "portrait",
        ("Autumn walk",),
    )
    assert (boat.aspect, boat.negative_prompt, boat.filename) == (
        "landscape",
        "people, text",
        "boat",
    )
    assert umbrella.sampler == "ddim" and umbrella.tags == ("Autumn walk", "In the rain")
    assert leaves.prompt == "wet leaves, {red|yellow}, close by" and leaves.count == 2


def test_the_line_of_another_tool_says_the_same_here() -> None:
    *_, hat = read_example("text", next(text for form, _, text in EXAMPLES if form == "text"))
    assert (hat.prompt, hat.negative_prompt, hat.steps) == ("a hat on a chair", "people", 20)
    assert (hat.guidance, hat.width, hat.height, hat.sampler) == (7.0, 192, 320, "euler a")


def test_every_setting_and_every_other_name_for_one_is_told_there() -> None:
    told = set(re.findall(r"`(\w+)`", DOCS))
    assert {*NAMES} - {"prompt", "enlarged_from", "upload_urls", "nth"} <= told
    assert {"neg", "not", "cfg", "sampler_name", "n", "style", "shape"} <= told & {*ALIASES}
