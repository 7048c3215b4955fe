"""FLUX.1: T5 reads the prompt and CLIP its gist, a transformer paints latents that are packed."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxPipeline

from studio.catalog import ModelCard
from studio.engine.placing import load, no_parts, small, too_long
from studio.engine.plan import Plan
from studio.request import ImageRequest


class Flux:
    def __init__(
        self, folder: Path, card: ModelCard, parts: Mapping[str, Path], plan: Plan
    ) -> None:
        no_parts(card, parts)
        self.pipeline: Any = load(FluxPipeline, folder, card, plan)
        self._card, self._quick = card, plan.device != "cpu" and plan.offload == "none"

    @torch.no_grad()
    def condition(self, request: ImageRequest, between: Callable[[], None]) -> dict[str, Any]:
        words, gist, _ = self.pipeline.encode_prompt(
            request.prompt, None, max_sequence_length=self._card.tokens
        )
        return {"prompt_embeds": words, "pooled_prompt_embeds": gist}

    def notes(self, request: ImageRequest) -> list[str]:
        return too_long(self._card, self.pipeline.tokenizer_2, request.prompt)

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return {
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }

    def decode(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        pixels = self._pixels(self._unpacked(latents, request))
        self.pipeline.maybe_free_model_hooks()
        return pixels

    def sketch(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor | None:
        return self._pixels(small(self._unpacked(latents, request))) if self._quick else None

    def _unpacked(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        unpacked: torch.Tensor = self.pipeline._unpack_latents(
            latents, request.height, request.width, self.pipeline.vae_scale_factor
        )
        return unpacked

    @torch.no_grad()
    def _pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents = latents.to(vae.dtype) / vae.config.scaling_factor + vae.config.shift_factor
        pixels: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return pixels
