"""FLUX.1: T5 reads the prompt and CLIP its gist, a transformer paints latents that are packed."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any, ClassVar

import torch
from diffusers import FluxImg2ImgPipeline, FluxPipeline

from studio.engine.stock import Stock
from studio.request import ImageRequest


class Flux(Stock):
    kind: ClassVar[Any] = FluxPipeline
    redraws: ClassVar[Any] = FluxImg2ImgPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, gist, _ = self.pipeline.encode_prompt(
            text, None, max_sequence_length=self.card.tokens
        )
        return {"prompt_embeds": words, "pooled_prompt_embeds": gist}

    def packed(self, latents: torch.Tensor) -> torch.Tensor:
        whole: torch.Tensor = self.pipeline._pack_latents(
            latents, len(latents), *latents.shape[-3:]
        )
        return whole

    def unpacked(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        whole: torch.Tensor = self.pipeline._unpack_latents(
            latents, request.height, request.width, self.pipeline.vae_scale_factor
        )
        return whole
