"""Z-Image: Qwen3 reads the prompt as a message of a chat, one transformer takes words and picture
alike."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import ZImageImg2ImgPipeline, ZImagePipeline

from studio.engine.stock import Stock
from studio.request import ImageRequest


class _Pipeline(ZImagePipeline):
    """It takes words as one tensor, where the stock one wants a list."""

    def __call__(
        self, *, prompt_embeds: torch.Tensor, callback_on_step_end: Any, **more: Any
    ) -> Any:
        return super().__call__(  # type: ignore[misc]
            prompt_embeds=list(prompt_embeds), callback_on_step_end=callback_on_step_end, **more
        )


class _Redraws(ZImageImg2ImgPipeline):
    def __call__(
        self, *, prompt_embeds: torch.Tensor, callback_on_step_end: Any, **more: Any
    ) -> Any:
        return super().__call__(  # type: ignore[misc]
            prompt_embeds=list(prompt_embeds), callback_on_step_end=callback_on_step_end, **more
        )


class ZImage(Stock):
    kind = _Pipeline
    redraws = _Redraws

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, _ = self.pipeline.encode_prompt(
            text, do_classifier_free_guidance=False, max_sequence_length=self.card.tokens
        )
        return {"prompt_embeds": words[0][None]}

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        # Above 0 the pipeline guides, and asks for a negative prompt.
        return super().arguments(request) | {"guidance_scale": 0}
