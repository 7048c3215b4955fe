"""Stable Cascade: a first network draws the picture in very small, a second one draws it out, and a
VQGAN makes pixels of that. CLIP reads the prompt for both.

The first lies in a repository of its own, so it is a part of the card.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    StableCascadeDecoderPipeline,
    StableCascadePriorPipeline,
    pipelines,
)
from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from diffusers.pipelines.deprecated import wuerstchen
from diffusers.utils.torch_utils import get_module_execution_device
from torch.nn.functional import adaptive_avg_pool2d

from studio.engine.inputs import Inputs
from studio.engine.parts import load_network
from studio.engine.placing import read_as
from studio.engine.plan import Plan
from studio.engine.redraw import another_way
from studio.engine.stepping import AfterStep, run_steps
from studio.engine.stock import SKETCH_SIDE, Stock
from studio.models.card import ModelCard
from studio.request import ImageRequest

PRIOR = "prior"

# diffusers has moved the VQGAN's code; every repository still names it by its old place.
setattr(pipelines, "wuerstchen", wuerstchen)  # noqa: B010 — the module declares no such name


class Both(StableCascadeDecoderPipeline):
    """The decoder with the network before it, so that they lie and rest like all other parts."""

    model_cpu_offload_seq = "text_encoder->prior->decoder->vqgan"

    def __init__(
        self,
        decoder: Any,
        tokenizer: Any,
        text_encoder: Any,
        scheduler: Any,
        vqgan: Any,
        prior: Any,
        latent_dim_scale: float = 10.67,
    ) -> None:
        super().__init__(decoder, tokenizer, text_encoder, scheduler, vqgan, latent_dim_scale)
        register: Any = self.register_modules  # type: ignore[attr-defined]
        register(prior=prior)


class Cascade(Stock):
    kind = Both

    def __init__(
        self,
        folder: Path,
        card: ModelCard,
        parts: Mapping[str, Path],
        plan: Plan,
        lent: Mapping[str, Any],
    ) -> None:
        dtype = read_as(folder, card, plan)
        prior = load_network(StableCascadeUNet, card, PRIOR, parts[PRIOR], dtype)
        # Its pipeline takes the number format of its first layer for the one that it computes in.
        prior._skip_layerwise_casting_patterns = ["clip_txt_pooled_mapper"]
        super().__init__(folder, card, {}, plan, lent, prior=prior)

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        device = self.pipeline._execution_device
        words, pooled, _, _ = self.pipeline.encode_prompt(device, 1, 1, False, text)
        return {"prompt_embeds": words, "prompt_embeds_pooled": pooled}

    def paint(
        self, arguments: dict[str, Any], inputs: Inputs, request: ImageRequest, tell: AfterStep
    ) -> torch.Tensor:
        """The steps of both are counted in one row; guidance is the first one's alone."""
        steps = arguments.pop("num_inference_steps")
        first = min(max(1, round(steps * self.card.parts[PRIOR].share)), steps - 1)
        way = another_way(self.pipeline, StableCascadePriorPipeline)
        small = run_steps(way, arguments | {"num_inference_steps": first}, tell)
        same = ("prompt_embeds", "prompt_embeds_pooled", "generator")
        return run_steps(
            self.pipeline,
            {
                **{name: arguments[name] for name in same},
                "image_embeddings": small,
                "num_inference_steps": steps - first,
                "guidance_scale": 0.0,
            },
            lambda step, latents: tell(first + step, latents),
        )

    def sketch(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor | None:
        """Of the second network's work: what the first one draws no quick decoder reads."""
        if not self.quick or latents.shape[1] != self.pipeline.vqgan.config.latent_channels:
            return None
        height, width = (max(1, min(side, SKETCH_SIDE)) for side in latents.shape[-2:])
        return self.pixels(adaptive_avg_pool2d(latents, (height, width)))

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vqgan = self.pipeline.vqgan
        latents = latents.to(get_module_execution_device(vqgan), vqgan.dtype)
        pixels: torch.Tensor = vqgan.decode(latents * vqgan.config.scale_factor).sample
        return pixels.clamp(0, 1) * 2 - 1
