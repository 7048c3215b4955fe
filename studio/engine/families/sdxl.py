"""SDXL and what was tuned or distilled from it: loading, prompts, decoding. One stock pipeline."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.flux.pipeline_flux_img2img import retrieve_latents
from diffusers.utils.torch_utils import get_module_execution_device, randn_tensor
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from studio.engine.conditioning import Encoders
from studio.engine.inputs import Inputs
from studio.engine.parts import load_network
from studio.engine.placing import load, read_as
from studio.engine.plan import Plan
from studio.engine.redraw import MARGIN, another_way, begin, redraw, strength
from studio.engine.refining import (
    AGAINST,
    AGAINST_POOLED,
    REFINER,
    Refined,
    refine,
)
from studio.engine.stepping import AfterStep, run_steps
from studio.models.card import ModelCard
from studio.request import ImageRequest

TINY_VAE = 5_000_000  # parameters up to which a sketch is decoded for real
SKETCH_SIDE = 8  # latents a side of such a sketch; a CPU core takes 8 ms for it

SDXL_SCALE = 0.13025  # of latents as its UNet sees them
# From each latent channel to red, green and blue, as in the diffusers guide to callbacks.
TO_RGB = ((60, 60, 60), (-60, -5, 10), (25, 15, -5), (-70, -50, -37))
GREY = (150, 140, 130)


class _Redraws(StableDiffusionXLImg2ImgPipeline):
    """It takes the start image as latents, of as many channels as there are."""

    scheduler: Any

    def prepare_latents(
        self,
        image: torch.Tensor,
        timestep: torch.Tensor,
        batch_size: int,
        num_images_per_prompt: int,
        dtype: torch.dtype,
        device: torch.device,
        generator: Any = None,
        add_noise: bool = True,
    ) -> torch.Tensor:
        image = image.to(device, dtype)
        noise = randn_tensor(image.shape, generator=generator, device=device, dtype=dtype)
        noised: torch.Tensor = self.scheduler.add_noise(image, noise, timestep)
        return noised


class Sdxl:
    """A loaded pipeline, placed as the plan says. `parts` replace components of the folder."""

    def __init__(
        self,
        folder: Path,
        card: ModelCard,
        parts: Mapping[str, Path],
        plan: Plan,
        lent: Mapping[str, Any],
    ) -> None:
        self.pipeline: Any = _load(folder, card, parts, plan, lent)
        self._refined = card.parts[REFINER].share if REFINER in parts else 0.0
        self._encoders = Encoders(self.pipeline, plan.device)

    def condition(self, request: ImageRequest, between: Callable[[], None]) -> dict[str, Any]:
        words = self._encoders.encode(request.prompt, between)
        arguments = {"prompt_embeds": words.tokens, "pooled_prompt_embeds": words.pooled}
        # SDXL was trained with zeros for an empty negative; the pipeline puts them there itself.
        zeros = not request.negative_prompt and self.pipeline.config.force_zeros_for_empty_prompt
        if (zeros and not self._refined) or (request.guidance or 0) <= 1:
            return arguments
        against = self._encoders.encode(request.negative_prompt, between)
        length = max(words.tokens.shape[1], against.tokens.shape[1])
        tokens = self._encoders.pad(against.tokens, length)
        arguments["prompt_embeds"] = self._encoders.pad(words.tokens, length)
        if self._refined:
            arguments |= {AGAINST: tokens, AGAINST_POOLED: against.pooled}
        if not zeros:
            arguments |= {
                "negative_prompt_embeds": tokens,
                "negative_pooled_prompt_embeds": against.pooled,
            }
        return arguments

    def begin(self, start: Image.Image, free: Image.Image | None) -> dict[str, torch.Tensor]:
        return begin(self.pipeline, self._latents, start, free)

    def paint(
        self, arguments: dict[str, Any], inputs: Inputs, request: ImageRequest, tell: AfterStep
    ) -> torch.Tensor:
        start, free = arguments.pop("start", None), arguments.pop("free", None)
        if self._refined:  # its card knows no start image
            return refine(self.pipeline, arguments, self._refined, tell)
        if start is None:
            return run_steps(self.pipeline, arguments, tell)
        # A little more: how much is to be done it rounds down.
        arguments["strength"] = strength(request, MARGIN)
        del arguments["width"], arguments["height"]  # they are those of the start image
        way = another_way(self.pipeline, _Redraws)
        return redraw(way, arguments, start, free, tell, lambda latents: latents)

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return {
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }

    def decode(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        pixels = self._pixels(latents)
        self.pipeline.maybe_free_model_hooks()  # where parts take turns, the next needs the room
        return pixels

    def sketch(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """Unfinished latents are as large as their noise; scaled down they look like finished."""
        latents = latents / latents.std().clamp(min=1)
        if self.pipeline.vae.num_parameters() <= TINY_VAE:
            height, width = latents.shape[-2:]
            shrink = min(1.0, SKETCH_SIDE / max(height, width))
            small = (max(1, round(height * shrink)), max(1, round(width * shrink)))
            return self._pixels(adaptive_avg_pool2d(latents, small))
        latents = self._natural(latents).float().cpu() * SDXL_SCALE
        pixels = torch.einsum("bchw,cr->brhw", latents, torch.tensor(TO_RGB, dtype=torch.float32))
        return (pixels + _channels(GREY, pixels)) / 127.5 - 1

    @torch.no_grad()
    def _pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        pixels: torch.Tensor = vae.decode(self._natural(latents.to(vae.dtype)), return_dict=False)[
            0
        ]
        return pixels

    @torch.no_grad()
    def _latents(self, pixels: torch.Tensor) -> torch.Tensor:
        """As the VAE means them: no dice are thrown."""
        vae = self.pipeline.vae
        pixels = pixels.to(get_module_execution_device(vae), vae.dtype)
        latents: torch.Tensor = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        mean, spread = vae.config.get("latents_mean"), vae.config.get("latents_std")
        if mean is not None and spread is not None:
            latents = (latents - _channels(mean, latents)) / _channels(spread, latents)
        latents = latents * vae.config.scaling_factor
        return latents

    def _natural(self, latents: torch.Tensor) -> torch.Tensor:
        """As the VAE made them, before they were scaled for the UNet."""
        config = self.pipeline.vae.config
        latents = latents / config.scaling_factor
        mean, spread = config.get("latents_mean"), config.get("latents_std")
        if mean is None or spread is None:
            return latents
        return latents * _channels(spread, latents) + _channels(mean, latents)


def _load(
    folder: Path,
    card: ModelCard,
    parts: Mapping[str, Path],
    plan: Plan,
    lent: Mapping[str, Any],
) -> Any:
    # compel asks an encoder for its device; one that is spread out has none.
    whole = ("text_encoder", "text_encoder_2")
    kind: Any = StableDiffusionXLPipeline
    more: dict[str, Any] = {}
    if REFINER in parts:
        parts = dict(parts)
        dtype = read_as(folder, card, plan)
        refiner = load_network(UNet2DConditionModel, card, REFINER, parts.pop(REFINER), dtype)
        more[REFINER] = refiner.to(memory_format=torch.channels_last)
        kind = Refined
    pipeline = load(kind, folder, card, parts, plan, lent, whole, add_watermarker=False, **more)
    # The convolutions' favourite order: a sixth off a VAE on a CPU, and never slower.
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


def _channels(values: Any, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
