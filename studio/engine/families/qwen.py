"""Qwen-Image: Qwen2.5-VL reads the prompt, a transformer paints latents that are packed; its VAE
was made for films, and a picture is one frame."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import QwenImageImg2ImgPipeline, QwenImagePipeline
from diffusers.pipelines.flux.pipeline_flux_img2img import retrieve_latents
from diffusers.utils.torch_utils import get_module_execution_device

from studio.engine.stock import Stock
from studio.request import ImageRequest

NOTHING = " "  # the negative prompt of those who have none, as its page says


class Qwen(Stock):
    kind = QwenImagePipeline
    redraws = QwenImageImg2ImgPipeline

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

    def packed(self, latents: torch.Tensor) -> torch.Tensor:
        whole: torch.Tensor = self.pipeline._pack_latents(
            latents, len(latents), *latents.shape[-3:]
        )
        return whole

    def unpacked(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        film: torch.Tensor = self.pipeline._unpack_latents(
            latents, request.height, request.width, self.pipeline.vae_scale_factor
        )
        return film[:, :, 0]

    @torch.no_grad()
    def latents(self, pixels: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        film = pixels.to(get_module_execution_device(vae), vae.dtype)[:, :, None]
        film = retrieve_latents(vae.encode(film), sample_mode="argmax")
        mean, spread = self._scale(film)
        latents: torch.Tensor = ((film - mean) / spread)[:, :, 0]
        return latents

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        film = latents.to(get_module_execution_device(vae), vae.dtype)[:, :, None]
        mean, spread = self._scale(film)
        pixels: torch.Tensor = vae.decode(film * spread + mean, return_dict=False)[0][:, :, 0]
        return pixels

    def _scale(self, film: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        config = self.pipeline.vae.config
        mean, spread = (
            torch.tensor(values, dtype=film.dtype, device=film.device).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, spread
