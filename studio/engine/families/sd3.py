"""Stable Diffusion 3.5: two CLIPs and T5 read the prompt, a transformer paints."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import StableDiffusion3Img2ImgPipeline, StableDiffusion3Pipeline

from studio.engine.stock import Stock


class Sd3(Stock):
    kind = StableDiffusion3Pipeline
    redraws = StableDiffusion3Img2ImgPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, _, gist, _ = self.pipeline.encode_prompt(
            text,
            None,
            None,
            do_classifier_free_guidance=False,
            max_sequence_length=self.card.tokens,
        )
        return {"prompt_embeds": words, "pooled_prompt_embeds": gist}
