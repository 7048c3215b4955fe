"""Lumina-Next: Gemma reads the prompt with a mask, a flow-matching transformer paints."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import LuminaPipeline
from torch.nn.functional import pad

from studio.engine.stock import Stock
from studio.request import ImageRequest


class Lumina(Stock):
    kind = LuminaPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        """Each by itself: the pipeline would cut a negative prompt to the prompt's length. All are
        filled up to one length with what the mask hides."""
        self.pipeline.max_sequence_length = self.card.tokens
        words, mask, _, _ = self.pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        missing = self.card.tokens - mask.shape[1]
        return {
            "prompt_embeds": pad(words, (0, 0, 0, missing)),
            "prompt_attention_mask": pad(mask, (0, missing)),
        }

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return super().arguments(request) | {"clean_caption": False}
