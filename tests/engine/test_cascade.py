"""Stable Cascade: two networks from two repositories, painting one after the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    StableCascadeDecoderPipeline,
    StableCascadePriorPipeline,
    StableCascadeUNet,
)

from studio.engine.encode import to_image
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.plan import Plan, lower
from studio.engine.residents import Residents
from studio.errors import Refused
from studio.messages import Progress
from studio.models.card import ModelCard
from studio.models.memory import tiles
from studio.models.weights import absent
from studio.wishes.catalog import Catalog
from tests.engine.conftest import NUMPY_COPY
from tests.engine.test_families import Atelier, pixels
from tests.engine.tiny import cascade

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def small(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atelier]:
    models = tmp_path_factory.mktemp("models")
    atelier = Atelier(catalog.cards["stable-cascade"], models, cascade)
    yield atelier
    atelier.residents.clear()


def own(atelier: Atelier) -> Path:
    return Path(atelier.card.parts["prior"].repo) / "prior"


@torch.no_grad()
def test_the_picture_is_the_one_that_two_plain_pipelines_paint_together(small: Atelier) -> None:
    """As Stability's page has it: guidance for the first alone, one set of dice for both."""
    decoder: Any = StableCascadeDecoderPipeline.from_pretrained(small.folder)
    prior: Any = StableCascadePriorPipeline(
        tokenizer=decoder.tokenizer,
        text_encoder=decoder.text_encoder,
        prior=StableCascadeUNet.from_pretrained(own(small)),
        scheduler=decoder.scheduler,
    )
    dice = torch.Generator("cpu").manual_seed(7)
    words = {"prompt": "a red boat", "negative_prompt": "snow", "generator": dice}
    composed = prior(
        **words, width=small.side, height=small.side, num_inference_steps=4, guidance_scale=4.0
    ).image_embeddings
    drawn = decoder(
        composed, **words, num_inference_steps=2, guidance_scale=0.0, output_type="pt"
    ).images
    plain = np.asarray(to_image(drawn * 2 - 1), np.int16)
    ours = pixels(small.paint(steps=6, guidance=4.0, negative_prompt="snow"))
    assert plain.std() > 1
    assert np.abs(ours - plain).max() <= 1


def test_the_steps_of_both_are_those_of_the_wish(small: Atelier) -> None:
    for steps in (2, 5):
        told: list[tuple[int, int]] = []

        def hear(word: Any, told: list[tuple[int, int]] = told) -> None:
            if isinstance(word, Progress) and word.step:
                told.append((word.step, word.steps))

        small.paint(hear, steps=steps)
        assert told == [(step, steps) for step in range(1, steps + 1)]
    with pytest.raises(Refused, match=r"steps: 1 is too few for Stable Cascade; the least is 2"):
        small.job(steps=1)


def test_repositories_name_the_vqgan_by_its_old_place(small: Atelier) -> None:
    index = json.loads((small.folder / "model_index.json").read_text())
    assert index["vqgan"] == ["wuerstchen", "PaellaVQModel"]


def test_both_networks_are_stored_in_fp8(small: Atelier) -> None:
    file = {"prior": own(small) / "diffusion_pytorch_model.safetensors"}
    plan = Plan("cpu", "fp32", "fp32", "none", False, "by hand", quant="fp8")
    residents = Residents("cpu", small.folder.parent, "fp32")
    painter = Painter(small.card, small.folder, file, plan, "CPU")
    residents._painters[residents.key(small.card, str(small.folder), "auto")] = painter
    painted = paint(small.job(), residents, False, lambda word: None)
    near = np.abs(pixels(painted) - pixels(small.paint())).mean()
    assert 0 < near < 0.5 * pixels(painted).std()
    for network in (painter.family.pipeline.prior, painter.family.pipeline.decoder):
        assert torch.float8_e4m3fn in {weight.dtype for weight in network.parameters()}


def test_its_vqgan_has_no_tiles_so_memory_is_saved_otherwise(catalog: Catalog) -> None:
    card: ModelCard = catalog.cards["stable-cascade"]
    assert not tiles(card) and tiles(catalog.cards["sdxl"])
    plan = Plan("cuda:0", "bf16", "bf16", "none", False, "by hand", tiles=False)
    lowered = lower(plan)
    assert lowered and not lowered[0].tiling and lowered[0].offload == "model"


def test_without_the_first_network_it_is_not_here(catalog: Catalog, tmp_path: Path) -> None:
    atelier = Atelier(catalog.cards["stable-cascade"], tmp_path, cascade)
    (own(atelier) / "config.json").unlink()
    assert "is not whole" in absent(atelier.card, tmp_path)
    with pytest.raises(PaintError, match="is not whole") as refusal:
        atelier.paint()
    assert refusal.value.code == "model_missing"
