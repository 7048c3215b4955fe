"""A quality may be painted by a relative of the model, where that is here and can do it."""

from pathlib import Path
from shutil import copytree

import pytest

from studio.errors import CannotStart, Refused
from studio.request import ImageRequest, read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from studio.wishes.routing import route

PRESETS = Settings().presets
HASH = "a" * 64


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(PRESETS)


def wish(**fields: object) -> ImageRequest:
    return read_request({"prompt": "a red car"} | fields)


def painted_by(catalog: Catalog, *absent: str, **fields: object) -> str:
    passed_on, said = route(wish(**fields), catalog, lambda card: card.name not in absent)
    settled = catalog.settle(passed_on)
    assert bool(said) == (settled.card.name != catalog.find(str(fields["model"])).name)
    return settled.card.name


def test_a_draft_of_a_full_model_is_painted_by_its_quick_one_and_the_best_by_the_full(
    catalog: Catalog,
) -> None:
    draft, said = route(wish(model="realvis-quality", quality="draft"), catalog, lambda card: True)
    assert said == "Quality draft of RealVisXL V5.0 is painted by RealVisXL V5.0 Lightning."
    settled = catalog.settle(draft)
    assert (settled.request.steps, settled.request.guidance) == (5, 1.5)
    assert not settled.warnings
    assert route(settled.request, catalog, lambda card: True) == (settled.request, "")
    best, said = route(wish(model="realvis_fast", quality="best"), catalog, lambda card: True)
    settled = catalog.settle(best)
    assert (settled.card.name, settled.request.steps) == ("realvis-quality", 40)
    assert settled.request.precision == "full"


def test_it_is_not_where_it_is_absent_or_where_the_wish_says_otherwise(catalog: Catalog) -> None:
    full = {"model": "realvis-quality", "quality": "draft"}
    assert painted_by(catalog, **full) == "realvis-fast"
    assert painted_by(catalog, "realvis-fast", **full) == "realvis-quality"
    for own in ({"steps": 9}, {"guidance": 7.0}, {"sampler": "euler"}):
        assert painted_by(catalog, **full, **own) == "realvis-quality"
    assert painted_by(catalog, **full, width=2048, height=2048) == "realvis-quality"
    for quality in ("balanced", "best", None):
        assert painted_by(catalog, model="realvis-quality", quality=quality) == "realvis-quality"


def test_what_the_page_fills_in_from_the_card_is_left_to_it(catalog: Catalog) -> None:
    filled = {"steps": 15, "guidance": 5.0, "sampler": "dpm++ 2m karras", "negative_prompt": ""}
    assert painted_by(catalog, model="realvis-quality", quality="draft", **filled) == "realvis-fast"


def test_a_relative_must_be_able_to_do_what_is_wished_for(catalog: Catalog) -> None:
    assert painted_by(catalog, model="sdxl", quality="draft") == "sdxl-lightning"
    assert painted_by(catalog, model="sdxl", quality="draft", negative_prompt="cats") == "sdxl"
    assert painted_by(catalog, model="flux-dev", quality="draft") == "flux-schnell"
    worn = wish(model="flux-dev", quality="draft", prompt="a car <lora:mine:0.8>")
    assert route(worn, catalog, lambda card: True)[0].model == "flux-schnell"
    strange = catalog.cards["flux-schnell"].model_copy(update={"lora_base": "another"})
    apart = Catalog([catalog.cards["flux-dev"], strange], [])
    assert route(worn, apart, lambda card: True) == (worn, "")


def test_the_best_is_never_stored_in_fewer_bits_unless_asked(catalog: Catalog) -> None:
    for quality, precision, settled in (
        ("best", "auto", "full"),
        ("best", "fp8", "fp8"),
        ("balanced", "auto", "auto"),
        (None, "auto", "auto"),
    ):
        request = catalog.settle(wish(quality=quality, precision=precision)).request
        assert request.precision == settled
        assert catalog.settle(request).request == request


def test_fp4_is_for_weights_that_were_made_in_it(catalog: Catalog) -> None:
    with pytest.raises(Refused, match="made in it beforehand.* It has: auto, full, fp32"):
        catalog.settle(wish(model="flux-dev", precision="fp4"))
    part = {"repo": "someone/flux", "file": "svdq-int4_r32-flux.1-dev.safetensors"}
    card = catalog.cards["flux-dev"].model_dump() | {"parts": {"transformer": part}}
    made = Catalog([type(catalog.default).model_validate(card)], [])
    assert made.settle(wish(precision="fp4")).request.precision == "fp4"
    assert made.settle(wish(quality="best")).request.precision == "auto"
    with pytest.raises(Refused, match="its weights are fp4 already"):
        made.settle(wish(precision="int8"))


def test_a_relative_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    presets = copytree(PRESETS, tmp_path / "presets")
    card = presets / "models" / "sdxl.toml"
    card.write_text(card.read_text().replace('draft = "sdxl-lightning"', 'draft = "sdxl-flash"'))
    with pytest.raises(CannotStart, match="variants.draft: there is no card 'sdxl-flash'"):
        load_catalog(presets)


def test_the_best_of_sdxl_is_refined_where_the_refiner_can_do_it(catalog: Catalog) -> None:
    best = {"model": "sdxl", "quality": "best"}
    assert painted_by(catalog, **best, negative_prompt="cats") == "sdxl-refined"
    assert painted_by(catalog, "sdxl-refined", **best) == "sdxl"
    for more in (
        {"prompt": "a car <lora:mine:0.8>"},
        {"start_image": HASH},
        {"start_image": HASH, "mask": HASH},
    ):
        assert route(wish(**best, **more), catalog, lambda card: True)[0].model == "sdxl"
    passed_on, said = route(wish(**best), catalog, lambda card: True)
    assert said == "Quality best of SDXL 1.0 is painted by SDXL 1.0 refined."
    assert catalog.settle(passed_on).request.steps == 50


def test_lightning_has_a_file_for_each_number_of_steps(catalog: Catalog) -> None:
    for quality, steps in (("draft", 2), (None, 4), ("balanced", 4), ("best", 8)):
        passed_on, _ = route(wish(model="lightning", quality=quality), catalog, lambda card: True)
        settled = catalog.settle(passed_on)
        assert settled.request.steps == steps
        assert settled.card.parts["unet"].file == f"sdxl_lightning_{steps}step_unet.safetensors"
        assert settled.card.parts["unet"].repo == "ByteDance/SDXL-Lightning"
