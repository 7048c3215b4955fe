"""FLUX.2 klein: layers of a Qwen3 read the prompt, a transformer paints latents that are packed
and normalised."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import Flux2KleinPipeline
from diffusers.utils.torch_utils import get_module_execution_device

from studio.engine.stock import Stock
from studio.request import ImageRequest

PATCH = 16  # pixels a side of one packed latent


class Flux2(Stock):
    kind = Flux2KleinPipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, _ = self.pipeline.encode_prompt(text, max_sequence_length=self.card.tokens)
        return {"prompt_embeds": words}

    def read(self, text: str) -> str:
        """What frames the prompt in its chat takes room too."""
        chat = [{"role": "user", "content": text}]
        framed: str = self.pipeline.tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return framed

    def unfinished(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """What the pipeline itself does after its last step."""
        assert request.width and request.height  # settled
        shape = (request.height // PATCH, request.width // PATCH)
        latents = latents.transpose(1, 2).unflatten(2, shape)
        vae = self.pipeline.vae
        spread = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt()
        latents = latents * _channels(spread, latents) + _channels(vae.bn.running_mean, latents)
        unpacked: torch.Tensor = self.pipeline._unpatchify_latents(latents)
        return unpacked

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents = latents.to(get_module_execution_device(vae), vae.dtype)
        pixels: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return pixels


def _channels(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like).view(1, -1, 1, 1)
