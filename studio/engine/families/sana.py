"""Sana: Gemma reads the prompt behind an instruction, latents are 32 pixels a side."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import SanaPipeline

from studio.engine.reading import SANA_INSTRUCTION
from studio.engine.stock import Stock
from studio.formats.prompt import unescaped
from studio.request import ImageRequest


class Sana(Stock):
    kind = SanaPipeline

    @torch.no_grad()
    def condition(self, request: ImageRequest, between: Any) -> dict[str, Any]:
        """Both at once: what is against it is read without the instruction."""
        guided = (request.guidance or 0) > 1
        words, mask, against, against_mask = self.pipeline.encode_prompt(
            unescaped(request.prompt),
            guided,
            unescaped(request.negative_prompt),
            max_sequence_length=self.card.tokens,
            complex_human_instruction=list(SANA_INSTRUCTION),
        )
        arguments = {"prompt_embeds": words, "prompt_attention_mask": mask}
        if not guided:
            return arguments
        return arguments | {
            "negative_prompt_embeds": against,
            "negative_prompt_attention_mask": against_mask,
        }

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return super().arguments(request) | {
            "negative_prompt": None,  # its default, "", is refused beside embeddings
            "use_resolution_binning": False,  # it would paint another size and cut it
        }
