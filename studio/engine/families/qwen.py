"""Qwen-Image: Qwen2.5-VL reads the prompt, a transformer paints latents that are packed; its VAE
was made for films, and a picture is one frame."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import QwenImagePipeline
from diffusers.utils.torch_utils import get_module_execution_device

from studio.engine.stock import Stock
from studio.request import ImageRequest

NOTHING = " "  # the negative prompt of those who have none, as its page says


class Qwen(Stock):
    kind = QwenImagePipeline

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        """Words, and which of them count: all. The pipeline would miss a mask in its log."""
        words, _ = self.pipeline.encode_prompt(
            text or NOTHING, max_sequence_length=self.card.tokens
        )
        read = torch.ones(words.shape[:2], dtype=torch.long, device=words.device)
        return {"prompt_embeds": words, "prompt_embeds_mask": read}

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        given = super().arguments(request)
        given["true_cfg_scale"] = given.pop("guidance_scale")
        return given | {"max_sequence_length": self.card.tokens}

    def unpacked(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        film: torch.Tensor = self.pipeline._unpack_latents(
            latents, request.height, request.width, self.pipeline.vae_scale_factor
        )
        return film[:, :, 0]

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        film = latents.to(get_module_execution_device(vae), vae.dtype)[:, :, None]
        mean, spread = (
            torch.tensor(values, dtype=film.dtype, device=film.device).view(1, -1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        pixels: torch.Tensor = vae.decode(film * spread + mean, return_dict=False)[0][:, :, 0]
        return pixels
