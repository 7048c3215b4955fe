"""Attention by the kernel that was asked for, or by torch's choice; refused where it cannot be."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from PIL import Image
from torch.nn.attention import _cur_sdpa_kernel_backends

from studio.engine.attention import MASKED, choose_attention, processors
from studio.engine.failures import PaintError
from studio.engine.job import Stopped
from studio.engine.paint import paint
from studio.engine.plan import Plan
from studio.engine.residents import Residents
from studio.errors import CannotStart
from studio.messages import Loading, Painted, Progress
from studio.models.card import ModelCard
from studio.models.memory import DENOISERS
from studio.settings import Attention, load_settings
from studio.wishes.catalog import Catalog
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.test_families import CARDS, Atelier

pytestmark = [NUMPY_COPY, pytest.mark.filterwarnings("ignore")]
PLAN = Plan("cpu", "fp32", "fp32", "none", False, "fp32 on a CPU")
ONE_EACH = (
    *("sdxl", "flux-dev", "flux2-klein-4b", "chroma", "qwen-image", "z-image-turbo"),
    *("pixart-sigma", "sana-1.5", "hunyuan-dit", "lumina-next", "sd3.5-medium"),
    "stable-cascade",
)


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)), np.int16)


def painted(models: Path, job: Job, attention: Attention) -> Painted:
    residents = Residents("cpu", models, "fp32", attention=attention)
    return paint(job(), residents, False, lambda word: None)


def chosen(catalog: Catalog, name: str, wanted: Attention = "auto") -> Plan:
    return choose_attention(
        CARDS[name].build(name), catalog.cards[name], PLAN, torch.float32, wanted
    )


@pytest.mark.parametrize("name", ONE_EACH)
def test_each_family_has_a_kernel_and_says_why(catalog: Catalog, name: str) -> None:
    plan = chosen(catalog, name)
    assert plan.attention == "native: flash"
    masked = "masked heads of" in plan.reason
    assert masked == (catalog.cards[name].family in MASKED)
    assert "attention by torch's flash, its choice here for " in plan.reason


@pytest.mark.parametrize("name", ONE_EACH)
def test_families_that_hide_padding_are_known(
    catalog: Catalog, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whether a mask reaches torch's attention while the denoiser paints, and none elsewhere."""
    seen: set[bool] = set()
    atelier = Atelier(catalog.cards[name], tmp_path_factory.mktemp(name), CARDS[name])
    residents, job = atelier.residents, atelier.job()
    painter = residents.get(atelier.card, residents.key(atelier.card, job.folder, "auto"))
    components = painter.family.pipeline.components
    denoisers = [part for name in DENOISERS if (part := components.get(name)) is not None]

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, call: Any, types: Any, given: Any = (), named: Any = None
        ) -> Any:
            named = named or {}
            if call is torch.nn.functional.scaled_dot_product_attention:
                seen.add(named.get("attn_mask", given[3] if len(given) > 3 else None) is not None)
            return call(*given, **named)

    watching = Watching()
    for denoiser in denoisers:
        denoiser.register_forward_pre_hook(lambda *_: watching.__enter__() and None)
        denoiser.register_forward_hook(lambda *_: watching.__exit__(None, None, None))
    paint(job, residents, False, lambda word: None)
    assert (True in seen) == (atelier.card.family in MASKED)


@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_the_kernel_that_was_asked_for_paints(models: Path, job: Job, kernel: Attention) -> None:
    usual, asked = painted(models, job, "auto"), painted(models, job, kernel)
    told = asked.recipe["fingerprint"]
    assert told["attention"] == f"AttnProcessor2_0 ({kernel})"
    assert f"attention by {kernel}, as asked" in told["plan"]
    assert usual.recipe["fingerprint"]["attention"] == "AttnProcessor2_0 (native: flash)"
    assert np.abs(pixels(asked) - pixels(usual)).max() <= 1


def test_only_the_denoiser_attends_so_and_only_while_it_works(models: Path, job: Job) -> None:
    residents, wish = Residents("cpu", models, "fp32", attention="math"), job()
    usual, during = _cur_sdpa_kernel_backends(), set()
    card = ModelCard.model_validate(wish.card)
    pipeline = residents.get(card, residents.key(card, "", "auto")).family.pipeline

    def looking(name: str) -> Callable[..., None]:
        return lambda *_: during.add((name, len(_cur_sdpa_kernel_backends())))

    pipeline.unet.down_blocks[0].register_forward_pre_hook(looking("unet"))
    pipeline.vae.decoder.register_forward_pre_hook(looking("vae"))
    pipeline.text_encoder.register_forward_pre_hook(looking("words"))
    paint(wish, residents, False, lambda word: None)
    assert during == {("unet", 1), ("vae", len(usual)), ("words", len(usual))}
    assert _cur_sdpa_kernel_backends() == usual


def test_a_picture_that_is_stopped_leaves_the_usual_kernels(models: Path, job: Job) -> None:
    residents, usual = (
        Residents("cpu", models, "fp32", attention="math"),
        _cur_sdpa_kernel_backends(),
    )

    def tell(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        paint(job(), residents, False, tell)
    assert _cur_sdpa_kernel_backends() == usual


@pytest.mark.parametrize(
    ("name", "wanted", "why"),
    [
        (
            "sdxl",
            "cudnn",
            "it does not compute heads of 16 in fp32: No viable backend for .* found",
        ),
        ("flux-dev", "efficient", "it does not compute heads of .* in fp32: No viable .* found"),
        ("sdxl", "flash-attn", "diffusers lets it attend by torch's kernels alone"),
        ("flux-dev", "flash-attn", "it needs flash-attn, which is not installed"),
        ("flux2-klein-4b", "sage", "it needs sageattention, which is not installed"),
        ("chroma", "xformers", "it needs xformers, which is not installed"),
    ],
)
def test_what_cannot_be_done_here_is_refused_in_a_sentence(
    catalog: Catalog, name: str, wanted: Attention, why: str
) -> None:
    with pytest.raises(
        PaintError, match=f"^attention: {wanted} cannot serve .* here: {why}"
    ) as told:
        chosen(catalog, name, wanted)
    assert told.value.code == "attention"


def test_a_model_that_was_refused_is_not_loaded_again(models: Path, job: Job) -> None:
    wish, residents = job(), Residents("cpu", models, "fp32", attention="cudnn")
    for _ in range(2):
        start = time.perf_counter()
        with pytest.raises(PaintError, match="attention: cudnn cannot serve") as told:
            paint(wish, residents, False, lambda word: None)
        assert told.value.code == "attention"
        took = time.perf_counter() - start
    assert took < 0.1  # to load it takes several times as long


def test_one_model_does_not_choose_for_another(catalog: Catalog) -> None:
    """diffusers' own way sets the kernel for the whole process."""
    chosen(catalog, "flux-dev", "math")
    assert chosen(catalog, "flux2-klein-4b").attention == "native: flash"
    assert _AttentionBackendRegistry.get_active_backend()[0] == AttentionBackendName.NATIVE


def test_a_kernel_that_nobody_knows_does_not_start() -> None:
    with pytest.raises(CannotStart, match="attention"):
        load_settings(attention="magic")


def test_the_recipe_names_the_processors(catalog: Catalog) -> None:
    said = {
        name: processors(CARDS[name].build(name), "native: flash")
        for name in ("sdxl", "flux-dev", "sana-1.5")
    }
    assert said["sdxl"] == "AttnProcessor2_0 (native: flash)"
    assert said["flux-dev"] == "FluxAttnProcessor (native: flash)"
    assert "SanaLinearAttnProcessor2_0" in said["sana-1.5"]
