"""A second network that takes away the last of the noise, as SDXL's refiner does.

It works on the same latents with the words of the second text encoder, and knows how fine a picture
is to be. The pipeline owns it, so that it lies, takes turns and rests like all other parts.
"""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from studio.engine.redraw import another_way
from studio.engine.stepping import AfterStep, run_steps

REFINER = "refiner"
# What counts against it. It was taught with an empty prompt there, not with SDXL's zeros.
AGAINST, AGAINST_POOLED = "refiner_against", "refiner_against_pooled"


class Refined(StableDiffusionXLPipeline):
    """SDXL with another network behind its own."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->image_encoder->unet->refiner->vae"

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        text_encoder_2: Any,
        tokenizer: Any,
        tokenizer_2: Any,
        unet: Any,
        scheduler: Any,
        refiner: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        force_zeros_for_empty_prompt: bool = True,
        add_watermarker: bool | None = None,
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            text_encoder_2,
            tokenizer,
            tokenizer_2,
            unet,
            scheduler,
            image_encoder,
            feature_extractor,
            force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
            add_watermarker=add_watermarker,
        )
        register: Any = self.register_modules  # type: ignore[attr-defined]
        register(refiner=refiner)


def refine(
    pipeline: Any, arguments: dict[str, Any], share: float, after_step: AfterStep
) -> torch.Tensor:
    """The finished latents; the steps of both are counted in one row."""
    against = {name: arguments.pop(name, None) for name in (AGAINST, AGAINST_POOLED)}
    taken = 0

    def count(number: int, latents: torch.Tensor) -> None:
        nonlocal taken
        taken = number
        after_step(number, latents)

    latents = run_steps(pipeline, arguments | {"denoising_end": 1 - share}, count)
    before = taken
    way = another_way(pipeline, StableDiffusionXLImg2ImgPipeline)
    way.register_modules(unet=pipeline.refiner, text_encoder=None, tokenizer=None)
    way.register_to_config(requires_aesthetics_score=True)
    width = pipeline.refiner.config.cross_attention_dim  # the second encoder's words come last
    words = {
        "prompt_embeds": arguments["prompt_embeds"][..., -width:],
        "pooled_prompt_embeds": arguments["pooled_prompt_embeds"],
    }
    if against[AGAINST] is not None:
        words["negative_prompt_embeds"] = against[AGAINST][..., -width:]
        words["negative_pooled_prompt_embeds"] = against[AGAINST_POOLED]
    same = {
        name: arguments[name] for name in ("num_inference_steps", "guidance_scale", "generator")
    }
    return run_steps(
        way,
        {**same, **words, "image": latents, "denoising_start": 1 - share},
        lambda number, latents: after_step(before + number, latents),
    )
