"""Hunyuan-DiT: a bilingual CLIP and mT5 read the prompt in English or Chinese."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import HunyuanDiTPipeline

from studio.engine.reading import CLIP_TOKENS
from studio.engine.stock import Stock
from studio.request import ImageRequest


class Hunyuan(Stock):
    kind = HunyuanDiTPipeline
    options = {"requires_safety_checker": False}

    def encode(self, text: str) -> dict[str, Any]:
        by_clip = self._encode(text, 0, CLIP_TOKENS)
        by_t5 = self._encode(text, 1, self.card.tokens)
        return by_clip | {f"{name}_2": value for name, value in by_t5.items()}

    @torch.no_grad()
    def _encode(self, text: str, encoder: int, length: int) -> dict[str, Any]:
        words, _, mask, _ = self.pipeline.encode_prompt(
            text,
            dtype=self.pipeline.transformer.dtype,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            text_encoder_index=encoder,
        )
        return {"prompt_embeds": words, "prompt_attention_mask": mask}

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        # The card lists the sizes it was taught.
        return super().arguments(request) | {"use_resolution_binning": False}

    def unfinished(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """Some samplers keep them as large as their noise."""
        return latents / latents.std().clamp(min=1)
