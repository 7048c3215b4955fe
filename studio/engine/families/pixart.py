"""PixArt-Sigma: T5 reads the prompt with a mask, a small transformer paints."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import PixArtSigmaPipeline

from studio.engine.stock import Stock
from studio.request import ImageRequest


class PixArt(Stock):
    kind = PixArtSigmaPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, mask, *_ = self.pipeline.encode_prompt(
            text, False, max_sequence_length=self.card.tokens
        )
        return {"prompt_embeds": words, "prompt_attention_mask": mask}

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return super().arguments(request) | {
            "negative_prompt": None,  # its default, "", is refused beside embeddings
            "clean_caption": False,
            "use_resolution_binning": False,  # it would paint another size and cut it
        }

    def unfinished(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """Some samplers keep them as large as their noise."""
        return latents / latents.std().clamp(min=1)
