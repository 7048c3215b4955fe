"""Cards and how a wish is made whole for one."""

from pathlib import Path

import pytest

from studio.errors import CannotStart, Refused
from studio.request import MAX_PROMPT, ImageRequest, read_request
from studio.settings import Settings
from studio.wishes.catalog import NOT_YET, Catalog
from studio.wishes.filling import sampler_of
from studio.wishes.presets import load_catalog
from tests.pace import within

PRESETS = Settings().presets


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(PRESETS, "test-pattern")


def wish(**fields: object) -> ImageRequest:
    return read_request({"prompt": "a red car"} | fields)


def test_the_old_systems_names_find_their_cards(catalog: Catalog) -> None:
    for alias, name in {
        "lightning": "sdxl-lightning",
        "realvis_fast": "realvis-fast",
        "realvis_quality": "realvis-quality",
        "": "test-pattern",
    }.items():
        assert catalog.find(alias).name == name


def test_a_wish_is_made_whole(catalog: Catalog) -> None:
    request = catalog.settle(wish()).request
    assert (request.model, request.width, request.height) == ("test-pattern", 256, 256)
    assert (request.steps, request.guidance, request.sampler) == (8, 5.0, "euler")
    assert request.seed is not None


def test_a_sampler_that_wants_a_lora_and_few_steps_says_so(catalog: Catalog) -> None:
    lone = catalog.settle(wish(model="sdxl", sampler="lcm", steps=4))
    assert lone.warnings == ("lcm paints well only with a LoRA distilled for it; none is worn.",)
    assert sampler_of(wish(sampler="lcm"), catalog.cards["sdxl"], 4, loras=True) == ("lcm", [])
    with pytest.raises(Refused, match="steps: 51 is too many for lcm; the most is 50"):
        catalog.settle(wish(model="sdxl", sampler="lcm", steps=51))


@pytest.mark.parametrize("look", ["neon", "pencil", "pixel-art"])
def test_looks_made_for_the_starter_use_words_it_knows(catalog: Catalog, look: str) -> None:
    assert catalog.settle(wish(model="starter", look=look)).warnings == ()


def test_settling_what_is_settled_changes_nothing(catalog: Catalog) -> None:
    once = catalog.settle(wish(look="film", aspect="tall", quality="draft", count=3)).request
    assert catalog.settle(once).request == once


def test_an_unset_wish_to_enlarge_is_the_cards(catalog: Catalog) -> None:
    assert catalog.settle(wish()).request.upscale == 1
    twice = Catalog([catalog.default.model_copy(update={"upscale": 2})], [])
    settled = twice.settle(wish()).request
    assert (settled.upscale, settled.width) == (2, 256)
    assert twice.settle(settled).request == settled
    assert twice.settle(wish(upscale=1)).request.upscale == 1
    assert twice.settle(wish(upscale=4)).request.upscale == 4


def test_a_picture_is_never_enlarged_beyond_what_fits(catalog: Catalog) -> None:
    card = catalog.cards["sdxl"].model_copy(update={"max_side": 4096})
    large = Catalog([card], [])
    fits = wish(width=2048, height=512, upscale=4)
    assert large.settle(fits).request.upscale == 4
    with pytest.raises(Refused, match="^upscale: 2056 pixels enlarged 4 times are 8224; the most"):
        large.settle(wish(width=512, height=2056, upscale=4))


def test_each_unset_seed_is_drawn_anew(catalog: Catalog) -> None:
    assert len({catalog.settle(wish()).request.seed for _ in range(20)}) == 20


def test_a_look_dresses_the_prompt_and_the_wish_keeps_the_words(catalog: Catalog) -> None:
    settled = catalog.settle(wish(look="film", negative_prompt="people"))
    assert settled.wish.prompt == "a red car"
    assert settled.request.prompt.startswith("a red car, 35mm")
    assert settled.request.negative_prompt == "people, digital, oversharpened"


def test_what_will_have_no_effect_is_said(catalog: Catalog) -> None:
    warnings = catalog.settle(wish(model="lightning", guidance=7.5, negative_prompt="x")).warnings
    assert any("7.5 has no effect" in warning for warning in warnings)
    assert any("negative prompt has no effect" in warning for warning in warnings)
    assert catalog.settle(wish(negative_prompt="x", guidance=1)).warnings
    assert not catalog.settle(wish(negative_prompt="x")).warnings


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"model": "lighting"}, "model", "lightning"),
        ({"sampler": "magic"}, "sampler", "euler"),
        ({"aspect": "cube"}, "aspect", "square"),
        ({"width": 1024, "height": 256}, "width", "512"),
        ({"width": 256, "height": 1024}, "height", "512"),
        ({"look": "blurry"}, "look", "film"),
        ({"steps": 150}, "steps", "100"),
        ({"precision": "fp4"}, "precision", "bf16"),
        ({"prompt": "[a] b " * 200}, "prompt", "the most is 100"),
    ],
)
def test_the_impossible_is_refused_with_what_is_possible(
    catalog: Catalog, fields: dict[str, object], field: str, word: str
) -> None:
    with pytest.raises(Refused, match=word) as refusal:
        catalog.settle(wish(**fields))
    assert refusal.value.field == field


ASKING = {
    "upload_urls": ["https://example.com/put"],
}


@pytest.mark.parametrize("field", NOT_YET)
def test_what_no_engine_does_yet_is_refused_not_swallowed(catalog: Catalog, field: str) -> None:
    with pytest.raises(Refused, match="yet"):
        catalog.settle(wish(**{field: ASKING[field]}))


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("a (red:1.3) boat, [Boat]\nBREAK red", None),
        ("a photorealistic zebra", "'photorealistic' and 'zebra'"),
        ("two boats", "'two' and 'boats'"),
        ("zebra, Zebra, (zebra:2)", "'zebra'"),
        (
            "ein rotes Boot: 赤い船 e\u0301tude 🛶",
            "'ein', 'rotes', 'boot', '赤い船', 'e\u0301tude' and 1 more",
        ),
        ("a b c d e f g h i", "'b', 'c', 'd', 'e', 'f' and 3 more"),
        ("z" * 50, f"'{'z' * 30}...'"),
    ],
)
def test_words_a_model_was_never_taught_are_named(
    catalog: Catalog, prompt: str, sentence: str | None
) -> None:
    warnings = limited(catalog).settle(wish(prompt=prompt)).warnings
    whole = f"Painter does not know {sentence}; it paints the rest."
    assert warnings == ((whole,) if sentence else ())


def test_words_of_a_negative_prompt_count_where_it_does(catalog: Catalog) -> None:
    asked = wish(prompt="a boat", negative_prompt="fog")
    assert limited(catalog).settle(asked).warnings == (
        "Painter does not know 'fog'; it paints the rest.",
    )
    deaf = limited(catalog).settle(wish(prompt="a boat", negative_prompt="fog", guidance=1))
    assert len(deaf.warnings) == 1 and "no effect" in deaf.warnings[0]


def test_a_long_prompt_is_looked_through_in_linear_time(catalog: Catalog) -> None:
    few = limited(catalog)
    for word in ("a", "ab ", "é", "e\u0301", "a1é "):
        for _ in within(1):
            few.settle(wish(prompt=(word * MAX_PROMPT)[:MAX_PROMPT]))


def limited(catalog: Catalog) -> Catalog:
    card = catalog.default.model_copy(
        update={"title": "Painter", "words": ("a", "boat", "red"), "examples": ("a red boat",)}
    )
    return Catalog([card], [])


def broken(tmp_path: Path, text: str) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "sizes.toml").write_text((PRESETS / "sizes.toml").read_text())
    good = (PRESETS / "models" / "test-pattern.toml").read_text()
    (tmp_path / "models" / "mine.toml").write_text(good.replace(*text.split(" => ")))
    return tmp_path


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("steps = 8 => steps = 0", "steps"),
        ("guidance = 5.0 => guidence = 5.0", "guidence|guidance"),
        ('sizes = "small" => sizes = "huge"', "sizes"),
        ("max_side = 512 => max_side = 300", "sizes"),
        ('family = "sdxl" => family = 3', "family"),
        ("memory_gb = 0.1 => memory_gb = .", "line 13"),
        ("steps = 8 => words = ['Zebra']\nsteps = 8", r"words\.0"),
    ],
)
def test_a_broken_card_names_its_file_and_key(tmp_path: Path, change: str, key: str) -> None:
    with pytest.raises(CannotStart, match=rf"mine\.toml.*({key})"):
        load_catalog(broken(tmp_path, change))


def test_a_setting_names_the_model_that_paints_unasked() -> None:
    assert load_catalog(PRESETS, "realvis_fast").default.name == "realvis-fast"
    with pytest.raises(CannotStart, match="^Setting default_model: .*Did you mean 'sdxl'"):
        load_catalog(PRESETS, "sdxk")


def test_two_cards_cannot_share_a_name(tmp_path: Path) -> None:
    folder = broken(tmp_path, "steps = 8 => aliases = ['other']\nsteps = 8")
    other = (folder / "models" / "mine.toml").read_text()
    (folder / "models" / "other.toml").write_text(other.replace("aliases = ['other']", ""))
    with pytest.raises(CannotStart, match="other"):
        load_catalog(folder)


def test_where_weights_cost_nothing_many_brackets_are_no_matter(catalog: Catalog) -> None:
    many = "(x) " * 101
    with pytest.raises(Refused, match="101 weighted parts are too many"):
        catalog.settle(wish(prompt=many))
    assert catalog.settle(wish(prompt=many, model="flux-schnell")).request.prompt == many


def test_a_model_of_fixed_sizes_paints_no_other(catalog: Catalog) -> None:
    card = catalog.cards["test-pattern"].model_copy(update={"only_sizes": True})
    fixed = Catalog([card], [])
    assert fixed.settle(wish(width=320, height=192)).request.width == 320
    with pytest.raises(Refused, match="^width: 256x192 is not one of 256x256, 320x192"):
        fixed.settle(wish(width=256, height=192))
