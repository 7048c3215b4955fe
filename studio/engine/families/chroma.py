"""Chroma: FLUX.1 schnell rebuilt. T5 alone reads the prompt, and guidance is true: two passes."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any, ClassVar

import torch
from diffusers import ChromaImg2ImgPipeline, ChromaPipeline

from studio.engine.families.flux import Flux


class Chroma(Flux):
    """Its latents are FLUX.1's."""

    kind: ClassVar[Any] = ChromaPipeline
    redraws: ClassVar[Any] = ChromaImg2ImgPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        """Without what the mask masks: diffusers gives it on as numbers, which attention adds, so
        that nothing is masked (its issues 12116 and 13619)."""
        words, _, mask, *_ = self.pipeline.encode_prompt(
            text, do_classifier_free_guidance=False, max_sequence_length=self.card.tokens
        )
        mask = mask.bool()
        return {"prompt_embeds": words[:, mask[0]], "prompt_attention_mask": mask[:, mask[0]]}
