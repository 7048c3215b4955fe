"""What becomes of foreign recipes here: models and LoRAs found again, and each loss in words."""

import json
import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from studio.formats.foreign.notes import Named, Reading
from studio.formats.foreign.samplers import meant
from studio.formats.read import read_picture
from studio.jobs.foreign import understood
from studio.request import read_request
from studio.wishes.catalog import Catalog
from studio.wishes.honour import NOTHING, Honoured, honour
from studio.wishes.matching import Reader, find_model
from studio.wishes.routing import Here, settle_here
from tests.formats.fixtures.every import FIXTURES
from tests.formats.mutation import mutated
from tests.formats.pictures import plain
from tests.models.test_checkpoints import SDXL
from tests.models.test_checkpoints import write as write_checkpoint
from tests.models.test_loras import write as write_lora

BASE = {"prompt": "a (red:1.2) boat", "steps": 20, "guidance": 7.0, "seed": 42}
BASE |= {"width": 832, "height": 1216}
FOREIGN = Reading("A1111", fields=BASE, model=Named("sd_xl_base_1.0"), sampler="Euler a")


def told(catalog: Catalog, models: Path, instead: str = "", **changes: object) -> Honoured:
    reading = replace(FOREIGN, **changes)  # type: ignore[arg-type]
    return honour(reading, catalog, models, instead=instead)


def said(found: Honoured, words: str) -> bool:
    return any(words in sentence for sentence in found.not_honoured)


def lora(models: Path, name: str = "ink", base: str = "sdxl_base_v1-0") -> Path:
    return write_lora(models / "loras" / f"{name}.safetensors", {"ss_base_model_version": base})


def test_a_recipe_becomes_a_wish(catalog: Catalog, models: Path) -> None:
    found = told(catalog, models)
    assert found.wish == BASE | {"model": "sdxl", "sampler": "euler a", "upscale": 1}
    assert found.model and (found.model.here, found.model.by) == ("sdxl", "name")
    assert [sentence for sentence in found.not_honoured if "not whole" not in sentence] == []
    read_request(found.wish)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("sd_xl_base_1.0_0.9vae", "sdxl"),
        ("stable-diffusion-xl-base-1.0", "sdxl"),
        ("flux1-dev-fp8", "flux-dev"),
        ("flux1-schnell_fp8_e4m3fn", "flux-schnell"),
        ("sd3.5_large", "sd3.5-large"),
        ("qwen_image_fp8_e4m3fn", "qwen-image"),
        ("z_image_turbo_bf16", "z-image-turbo"),
        ("SDXL 1.0", "sdxl"),
    ],
)
def test_models_are_known_by_the_names_of_their_files(
    catalog: Catalog, models: Path, name: str, here: str
) -> None:
    assert find_model(Named(name), catalog, models, Reader(0)).here == here


def test_a_model_that_is_not_here_is_told_with_its_name_and_hash(
    catalog: Catalog, models: Path
) -> None:
    found = told(catalog, models, model=Named("dreamy_8", "879db523c3"))
    assert "model" not in found.wish
    assert said(found, "Its model 'dreamy_8' (hash 879db523c3) is not here.")
    assert said(told(catalog, models, model=None), "does not say which model")
    named = told(catalog, models, instead="sdxl", model=Named("dreamy_8"))
    assert named.wish["model"] == "sdxl"
    assert said(named, "SDXL 1.0 paints it in place of its own model.")


def test_a_checkpoint_is_found_by_its_hash_whatever_it_is_called(
    catalog: Catalog, models: Path
) -> None:
    file = write_checkpoint(models / "boats.safetensors", SDXL)
    whole = sha256(file.read_bytes()).hexdigest()
    for known in (whole[:10], whole):
        found = told(catalog, models, model=Named("renamed since", known))
        assert found.model and (found.model.here, found.model.by) == ("boats", "hash")
        assert found.wish["model"] == "boats"
    found = told(catalog, models, model=Named("boats", "0123456789"))
    assert found.model and (found.model.here, found.model.by) == ("boats", "name")


def test_large_files_are_only_read_for_their_hashes_when_that_is_asked_for(
    catalog: Catalog, models: Path
) -> None:
    file = write_checkpoint(models / "boats.safetensors", SDXL)
    named = Named("renamed", sha256(file.read_bytes()).hexdigest()[:10])
    few = file.stat().st_size - 1
    match = find_model(named, catalog, models, Reader(few))
    assert match.here == ""
    assert "1 large file is here that was not read for its hash" in match.said
    assert find_model(named, catalog, models, Reader(float("inf"))).here == "boats"
    assert find_model(named, catalog, models, Reader(few)).here == "boats"  # it is known now


def test_loras_are_found_by_each_kind_of_hash_or_by_name(catalog: Catalog, models: Path) -> None:
    data = lora(models).read_bytes()
    tensors = data[8 + int.from_bytes(data[:8], "little") :]
    hashes = [sha256(part).hexdigest() for part in (tensors, data)]
    for known in (hashes[0][:12], hashes[0], hashes[1][:10], hashes[1]):
        found = told(catalog, models, loras=(Named("other", known, 0.8, 0.5),))
        (match,) = found.loras
        assert (match.here, match.by, match.said) == ("ink", "hash", "")
        worn = {"name": "ink", "weight": 0.8, "components": {"text_encoder": 0.5}}
        assert found.wish["loras"] == [worn]
    (match,) = told(catalog, models, loras=(Named("Ink"),)).loras
    assert (match.here, match.by) == ("ink", "name")
    (match,) = told(catalog, models, loras=(Named("ink", "00112233"),)).loras
    assert match.by == "name" and "has another hash than 00112233" in match.said
    found = told(catalog, models, loras=(Named("dry", "00112233"),))
    assert "loras" not in found.wish
    assert said(found, "The LoRA 'dry' (hash 00112233) is not here.")


def test_a_lora_for_another_model_is_not_worn(catalog: Catalog, models: Path) -> None:
    lora(models, base="sd_v1")
    found = told(catalog, models, loras=(Named("ink"),))
    assert "loras" not in found.wish and said(found, "SDXL 1.0 cannot wear the LoRA 'ink'.")


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours", "sentence"),
    [
        ("Euler a", "Automatic", "euler a", ""),
        ("DPM++ 2M Karras", "", "dpm++ 2m karras", ""),
        ("dpmpp_2m", "karras", "dpm++ 2m karras", ""),
        ("dpmpp_2m_k", "", "dpm++ 2m karras", ""),
        ("euler", "simple", "euler", ""),
        ("euler", "beta", "euler", "The noise schedule 'beta' is not done here with 'euler'"),
        ("DPM++ SDE", "Karras", None, "The sampler 'DPM++ SDE' is not known here; SDXL 1.0 takes"),
        ("ddpm", "", None, "The sampler 'ddpm' is not known here; SDXL 1.0 takes 'euler'"),
        ("", "", None, ""),
    ],
)
def test_samplers_are_ours_or_are_told(
    catalog: Catalog, models: Path, sampler: str, schedule: str, ours: str | None, sentence: str
) -> None:
    found = told(catalog, models, sampler=sampler, schedule=schedule)
    assert found.wish.get("sampler") == ours
    assert not sentence or said(found, sentence)


@pytest.mark.parametrize(
    ("name", "ours", "undone"),
    [
        ("k_euler_a", "euler a", ""),
        ("k_euler_ancestral", "euler a", ""),
        ("EulerAncestral", "euler a", ""),
        ("Euler A Trailing", "euler a", "trailing"),
        ("dpmpp_2m_sde_gpu", "dpm++ sde", ""),
        ("DPM++ 2M SDE Karras", "dpm++ sde karras", ""),
        ("uni_pc_bh2", "unipc", ""),
        ("ddim_v3", "ddim", ""),
        ("LCM", "lcm", ""),
        ("euler_karras", "euler", "karras"),
        ("k_lms", None, ""),
        ("dpmpp_sde", None, ""),
        ("EulerAncestralDiscreteScheduler", "euler a", ""),
    ],
)
def test_names_of_samplers_are_known_from_everywhere(
    name: str, ours: str | None, undone: str
) -> None:
    assert meant(name, "") == (ours, undone)


def test_numbers_beyond_ours_are_told(catalog: Catalog, models: Path) -> None:
    fields = BASE | {"seed": 2**40, "guidance": 50.0, "steps": 900, "width": 9000, "height": 9001}
    found = told(catalog, models, fields=fields)
    assert {"seed", "guidance", "steps", "width", "height"} & found.wish.keys() == set()
    assert said(found, f"Seed: {2**40} is too large; the most is 4294967295.")
    assert said(found, "Guidance: 50.0 is too large") and said(found, "Steps: 900")
    assert said(found, "Width: 9000 is too large") and said(found, "Height: 9001 is too large")
    assert said(told(catalog, models, fields={"prompt": "a"}), "It says no seed")


def test_what_its_model_does_not_paint_is_moved_to_the_nearest(
    catalog: Catalog, models: Path
) -> None:
    found = told(catalog, models, fields=BASE | {"width": 400, "height": 300, "steps": 160})
    assert (found.wish["width"], found.wish["height"]) == (1152, 896)
    assert found.wish["steps"] == 150
    assert said(found, "SDXL 1.0 does not paint 400x300: ")
    assert said(found, "160 steps are too many for SDXL 1.0; it takes 150.")


def test_weights_that_a_model_does_not_read_are_told(catalog: Catalog, models: Path) -> None:
    fields = BASE | {"negative_prompt": "fog"}
    found = told(catalog, models, model=Named("flux1-dev"), sampler="euler", fields=fields)
    assert said(found, "This model reads no weights: (red:1.2) is sent as it stands.")
    assert said(found, "The negative prompt has no effect")


def test_what_is_refused_is_given_up_and_told(catalog: Catalog, models: Path) -> None:
    fields = BASE | {"prompt": " ".join("(a:1.2) b" for _ in range(101))}
    found = told(catalog, models, fields=fields)
    assert said(found, "Prompt: 101 weighted parts are too many; the most is 100.")


def test_what_looks_like_a_choice_of_ours_is_text_there(catalog: Catalog, models: Path) -> None:
    found = told(catalog, models, fields=BASE | {"prompt": "a {red|blue} boat, __x__"})
    assert found.wish["expand"] == "no"
    assert "expand" not in told(catalog, models).wish


def test_letters_that_are_none_are_left_out(catalog: Catalog, models: Path) -> None:
    found = told(catalog, models, fields=BASE | {"prompt": "a\0 boat \ud800"})
    assert found.wish["prompt"] == "a boat ?"
    assert said(found, "what is no text in it was left out")
    read_request(found.wish)


def test_an_enlarged_picture_is_enlarged_again_by_what_is_here(
    catalog: Catalog, models: Path
) -> None:
    fields = BASE | {"upscale": 2, "upscaler": "starter-x2"}
    assert told(catalog, models, fields=fields).wish["upscaler"] == "starter-x2"
    found = told(catalog, models, fields=BASE | {"upscale": 4, "upscaler": "ESRGAN"})
    assert found.wish["upscale"] == 4 and "upscaler" not in found.wish
    assert said(found, "The upscaler 'ESRGAN' is not here; another one enlarges it.")


def test_of_a_picture_that_says_nothing_that_is_said(catalog: Catalog, models: Path) -> None:
    found = honour(read_picture(plain("PNG")), catalog, models)
    assert (found.tool, found.wish, found.not_honoured) == ("", {}, (NOTHING,))


def test_of_mutated_files_an_answer_is_made_that_can_be_sent(
    catalog: Catalog, models: Path
) -> None:
    chance, here = random.Random(7), Here(catalog, models)
    for _ in range(400):
        data = mutated(chance.choice(list(FIXTURES.values())).data, chance)
        found = understood(
            read_picture(data), catalog, models, lambda wish: settle_here(wish, here)
        )
        json.dumps(found.told(), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", FIXTURES)
def test_whatever_is_read_becomes_a_wish_that_could_be_asked_for(
    catalog: Catalog, models: Path, name: str
) -> None:
    found = honour(read_picture(FIXTURES[name].data), catalog, models, instead="sdxl")
    if found.tool == "Darkroom":  # which is painted from its recipe
        assert found.wish["model"] == "starter"
    elif "prompt" in found.wish:
        assert read_request(found.wish).model == "sdxl"
    else:
        assert "It does not say what it should show." in found.not_honoured
