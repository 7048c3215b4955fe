"""What is written into pictures is read back equal: our recipe to the letter, and by the text that
other tools read all that such a text can hold. And a file says less without a pixel changed."""

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from studio.formats.carried import EXIF, carried
from studio.formats.exif import write_exif
from studio.formats.foreign.a1111 import read_a1111
from studio.formats.foreign.samplers import WRITTEN, meant
from studio.formats.metadata import PARAMETERS, RECIPE, recipe_text
from studio.formats.read import own_recipe, read_picture
from studio.formats.rewrite import Said, saying, with_text
from studio.models.card import ModelCard
from studio.models.infotext import parameters_text
from tests.formats.pictures import plain
from tests.formats.test_metadata import card, request

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=60)
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)
WEIGHTS = st.floats(-10, 10).map(lambda number: round(number, 6) + 0.0)
ABOUT = {"version": 1, "seed": 7, "request": {"prompt": "é 舟"}, "fingerprint": {"torch": "2"}}


def of_one_file() -> ModelCard:
    fields = card().model_dump() | {
        "beside": "sdxl",
        "parts": {"unet": {"repo": "", "file": "boatsXL_v2.safetensors"}},
    }
    return ModelCard.model_validate(fields)


@given(
    prompt=TEXTS.filter(str.strip),
    negative=TEXTS,
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 200),
    guidance=st.floats(0, 30),
    sampler=st.sampled_from(list(WRITTEN)),
    loras=st.lists(st.tuples(NAMES, WEIGHTS, WEIGHTS), max_size=3, unique_by=lambda worn: worn[0]),
    distilled=st.booleans(),
)
def test_all_that_a_text_can_hold_is_read_back_from_it(
    prompt: str,
    negative: str,
    seed: int,
    steps: int,
    guidance: float,
    sampler: str,
    loras: list[tuple[str, float, float]],
    distilled: bool,
) -> None:
    if any("Negative prompt:" in text or "<lora" in text.lower() for text in (prompt, negative)):
        return  # which such a text has no way to tell apart
    wish = request(
        prompt=prompt,
        negative_prompt=negative,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        loras=[
            {"name": name, "weight": weight, "components": {"text_encoder": reading}}
            for name, weight, reading in loras
        ],
    )
    made = card()
    if distilled:
        made = made.model_copy(update={"can": frozenset({"guidance"})})
    found = read_a1111(parameters_text(wish, made, {"model_hash": "ab" * 32}, seed))
    assert found is not None and found.tool == "Darkroom"
    assert found.fields == {
        **{"prompt": wish.prompt, "steps": steps, "guidance": guidance, "seed": seed},
        **{"width": 832, "height": 1216},
        **({"negative_prompt": negative} if negative else {}),
    }
    assert meant(found.sampler, found.schedule) == (sampler, "")
    assert [(one.name, one.weight) for one in found.loras] == [(n, w) for n, w, _ in loras]
    read = [one.weight if one.reading is None else one.reading for one in found.loras]
    assert read == [reading for *_, reading in loras]
    assert (found.unread, found.beyond) == ((), ())


@given(st.dictionaries(TEXTS, TEXTS | st.integers() | st.none()), TEXTS)
def test_our_recipe_is_read_back_equal_from_every_kind_of_file(
    more: dict[str, object], prompt: str
) -> None:
    recipe = {**ABOUT, "request": {"prompt": prompt, "more": more}}
    assert own_recipe(with_text(PLAIN["PNG"], RECIPE, recipe_text(recipe))) == recipe
    tiff = write_exif("text", f"{RECIPE}\0{recipe_text(recipe)}")
    segment = EXIF + tiff
    jpeg = PLAIN["JPEG"][:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment
    assert own_recipe(jpeg + PLAIN["JPEG"][2:]) == recipe


PLAIN = {kind: plain(kind) for kind in ("PNG", "JPEG", "WEBP")}


def whole(kind: str) -> bytes:
    """As the studio writes it."""
    if kind == "PNG":
        return with_text(with_text(PLAIN["PNG"], RECIPE, recipe_text(ABOUT)), PARAMETERS, "é: 舟")
    exif = EXIF + write_exif("é: 舟", f"{RECIPE}\0{recipe_text(ABOUT)}")
    return plain(kind, exif=exif)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_says_all_the_text_alone_or_nothing_with_the_same_pixels(kind: str) -> None:
    data = whole(kind)
    name = PARAMETERS if kind == "PNG" else "exif:UserComment"
    said: dict[Said, set[str]] = {
        "all": {name, RECIPE if kind == "PNG" else "exif:MakerNote"},
        "parameters": {name},
        "none": set(),
    }
    for much, texts in said.items():
        made = saying(data, much)
        found = carried(made)
        assert set(found.texts) == texts
        assert found.texts.get(name, "é: 舟") == "é: 舟"
        assert np.array_equal(pixels(made), pixels(data))
        assert (b"darkroom" in made) == (much == "all")
        assert saying(made, much) == made
    assert saying(data, "all") == data


def test_more_than_ours_is_taken_out() -> None:
    """Somebody's program may have added to it; the profile of colours stays with the pixels."""
    profile = b"x" * 200
    data = plain("JPEG", exif=EXIF + write_exif("a", "b"), comment=b"secret", icc_profile=profile)
    made = saying(data, "none")
    assert b"secret" not in made
    with Image.open(io.BytesIO(made)) as image:
        assert image.info["icc_profile"] == profile
        assert not image.getexif()
    webp = plain("WEBP", exif=EXIF + write_exif("a", "b"), xmp=b"secret", icc_profile=profile)
    assert b"secret" not in saying(webp, "parameters")
    with Image.open(io.BytesIO(saying(webp, "parameters"))) as image:
        image.load()
        assert image.info["icc_profile"] == profile and image.getexif()


def test_pillow_and_exif_agree_on_what_is_written() -> None:
    with Image.open(io.BytesIO(whole("JPEG"))) as image:
        camera = image.getexif().get_ifd(0x8769)
    assert camera[0x9286] == b"UNICODE\0" + "é: 舟".encode("utf-16-be")
    assert camera[0x927C].startswith(b"darkroom\0{")


def test_a_file_of_one_model_goes_by_its_own_name_and_civitai_finds_its_hashes() -> None:
    marks = {
        "model_hash": "45dee52b12" + "0" * 54,
        "loras": [{"name": "ink", "autov3": "aabbccddeeff", "sha256": "0123456789" + "f" * 54}],
    }
    worn = request(loras=[{"name": "ink", "weight": 0.8}])
    text = parameters_text(worn, of_one_file(), marks, seed=1)
    assert text.startswith("a cat,\nsitting <lora:ink:0.8>\nNegative prompt: blurry\n")
    assert ', Model hash: 45dee52b12, Model: boatsXL_v2, Lora hashes: "ink: aabbccddeeff"' in text
    found = re.search(r", Hashes:\s*({[^}]+})$", text)  # as Civitai looks for it
    assert found and json.loads(found[1]) == {"model": "45dee52b12", "lora:ink": "0123456789"}


def test_a_model_of_many_files_has_no_hash_that_civitai_would_look_up() -> None:
    assert "Hashes" not in parameters_text(request(), card(), {"model_hash": "ab" * 32}, seed=1)


def test_a_distilled_model_takes_guidance_as_a_number() -> None:
    made = card().model_copy(update={"can": frozenset({"guidance"})})
    text = parameters_text(request(guidance=3.5, negative_prompt=""), made, {}, seed=1)
    assert "CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 1" in text


def test_the_text_of_ours_without_the_recipe_is_told_to_be_ours() -> None:
    data = saying(with_text(whole("PNG"), PARAMETERS, ""), "parameters")
    assert read_picture(data).tool == ""  # "é: 舟" is no row of settings
    text = parameters_text(request(), card(), {"darkroom": "0.1.0"}, seed=5)
    found = read_picture(with_text(PLAIN["PNG"], PARAMETERS, text))
    assert (found.tool, found.version, found.fields["seed"]) == ("Darkroom", "0.1.0", 5)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
