"""SDXL's refiner: a second network that takes the last steps, from the card to the recipe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file

from studio.engine.encode import to_image
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.plan import Plan
from studio.engine.residents import Residents
from studio.errors import Refused
from studio.messages import Progress
from studio.models.weights import absent
from studio.wishes.catalog import Catalog
from tests.engine.conftest import NUMPY_COPY
from tests.engine.test_families import SIDE, Atelier, pixels
from tests.engine.tiny import sdxl

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def refined(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atelier]:
    atelier = Atelier(catalog.cards["sdxl-refined"], tmp_path_factory.mktemp("models"), sdxl)
    yield atelier
    atelier.residents.clear()


@pytest.fixture
def spoilt(catalog: Catalog, tmp_path: Path) -> Atelier:
    return Atelier(catalog.cards["sdxl-refined"], tmp_path / "models", sdxl)


def own(atelier: Atelier) -> Path:
    return Path(atelier.card.parts["refiner"].repo) / "unet"


@torch.no_grad()
def test_the_picture_is_the_one_that_two_plain_pipelines_paint_together(refined: Atelier) -> None:
    """As Stability's page has it: an ensemble of experts, cut at 0.8."""
    base: Any = StableDiffusionXLPipeline.from_pretrained(refined.folder, add_watermarker=False)
    second: Any = StableDiffusionXLImg2ImgPipeline(
        vae=base.vae,
        text_encoder=None,
        text_encoder_2=base.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.tokenizer_2,
        unet=UNet2DConditionModel.from_pretrained(own(refined)),
        scheduler=EulerDiscreteScheduler.from_config(base.scheduler.config),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    usual: dict[str, Any] = {"prompt": "a red boat", "num_inference_steps": 6}
    usual |= {"guidance_scale": 4.0, "output_type": "latent"}
    dice = torch.Generator("cpu").manual_seed(7)
    noisy = base(**usual, width=SIDE, height=SIDE, denoising_end=0.8, generator=dice).images
    latents = second(**usual, image=noisy, denoising_start=0.8, generator=dice).images
    decoded = base.vae.decode(latents / base.vae.config.scaling_factor).sample
    plain = np.asarray(to_image(decoded), np.int16)
    ours = pixels(refined.paint(steps=6, guidance=4.0, sampler="euler"))
    assert plain.std() > 1
    assert np.abs(ours - plain).max() <= 1


def test_with_every_sampler_the_steps_of_both_are_those_of_the_wish(refined: Atelier) -> None:
    for sampler in refined.card.samplers:
        for steps in (2, 5):
            told: list[tuple[int, int]] = []

            def hear(word: Any, told: list[tuple[int, int]] = told) -> None:
                if isinstance(word, Progress) and word.step:
                    told.append((word.step, word.steps))

            refined.paint(hear, sampler=sampler.name, steps=steps)
            assert told == [(step, steps) for step in range(1, steps + 1)]


def test_one_step_cannot_be_shared(refined: Atelier) -> None:
    with pytest.raises(Refused, match=r"steps: 1 is too few for SDXL 1.0 refined; the least is 2"):
        refined.job(steps=1)


def test_the_recipe_says_its_share_and_which_weights_it_had(spoilt: Atelier) -> None:
    before = spoilt.paint()
    tensors = load_file(own(spoilt) / FILE)
    save_file({name: tensor * 1.1 for name, tensor in tensors.items()}, own(spoilt) / FILE)
    spoilt.residents = Residents("cpu", spoilt.folder.parent, "fp32")
    after = spoilt.paint()
    assert not np.array_equal(pixels(before), pixels(after))
    was, now = (painted.recipe["fingerprint"] for painted in (before, after))
    assert was["refiner"]["share"] == now["refiner"]["share"] == 0.2
    assert was["refiner"]["hash"] != now["refiner"]["hash"]
    assert was["model_hash"] != now["model_hash"]


def test_one_with_gaps_or_without_its_configuration_is_refused(spoilt: Atelier) -> None:
    tensors = load_file(own(spoilt) / FILE)
    save_file({name: tensors[name] for name in list(tensors)[1:]}, own(spoilt) / FILE)
    with pytest.raises(PaintError, match="lacks tensors of its refiner") as refusal:
        spoilt.paint()
    assert refusal.value.code == "model_invalid"
    (own(spoilt) / "config.json").unlink()
    assert "is not whole" in absent(spoilt.card, spoilt.folder.parent)
    with pytest.raises(PaintError, match="is not whole") as refusal:
        Residents("cpu", spoilt.folder.parent, "fp32").get(
            spoilt.card, spoilt.residents.key(spoilt.card, str(spoilt.folder), "auto")
        )
    assert refusal.value.code == "model_missing"


def test_it_is_stored_in_fp8_like_the_network_before_it(refined: Atelier) -> None:
    file = {"refiner": own(refined) / FILE}
    plan = Plan("cpu", "fp32", "fp32", "none", False, "by hand", quant="fp8")
    residents = Residents("cpu", refined.folder.parent, "fp32")
    painter = Painter(refined.card, refined.folder, file, plan, "CPU")
    residents._painters[residents.key(refined.card, str(refined.folder), "auto")] = painter
    painted = paint(refined.job(), residents, False, lambda word: None)
    near = np.abs(pixels(painted) - pixels(refined.paint())).mean()
    assert 0 < near < 0.5 * pixels(painted).std()
    formats = {weight.dtype for weight in painter.family.pipeline.refiner.parameters()}
    assert torch.float8_e4m3fn in formats


def test_a_folder_of_its_own_in_the_model_folder_is_it(catalog: Catalog, tmp_path: Path) -> None:
    card = catalog.cards["sdxl-refined"]
    part = card.parts["refiner"]
    for name in (card.name, "stable-diffusion-xl-refiner-1.0"):
        for file in ("model_index.json", part.file, part.config):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"unet": ["diffusers", "UNet2DConditionModel"]}))
    assert absent(card, tmp_path) == ""
    (tmp_path / "stable-diffusion-xl-refiner-1.0" / part.config).unlink()
    assert "models pull sdxl-refined" in absent(card, tmp_path)
