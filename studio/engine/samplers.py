"""Samplers by their everyday names: which diffusers scheduler, with which options."""

import inspect
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from studio.catalog import Sampler
from studio.engine.failures import PaintError

# Noise levels are named each time, for a model's own configuration may ask for Karras'.
SAMPLERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {"use_karras_sigmas": False}),
    "euler a": (EulerAncestralDiscreteScheduler, {}),
    "dpm++ 2m": (DPMSolverMultistepScheduler, {"use_karras_sigmas": False}),
    "dpm++ 2m karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    # The multistep form: the one that k-diffusion calls so needs torchsde, another dependency.
    "dpm++ sde": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": False},
    ),
    # DDIM's own defaults cut latents at 1, which only suits models that paint pixels.
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "unipc": (UniPCMultistepScheduler, {"use_karras_sigmas": False}),
}


def build_sampler(sampler: Sampler, config: dict[str, Any]) -> Any:
    """A fresh scheduler from the model's own configuration; the card's options win."""
    if sampler.name not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        raise PaintError(
            "model_invalid", f"sampler: {sampler.name!r} is not known here. There are: {known}."
        )
    kind, options = SAMPLERS[sampler.name]
    unknown = set(sampler.options) - set(inspect.signature(kind.__init__).parameters)
    if unknown:
        raise PaintError(
            "model_invalid",
            f"sampler: {sampler.name!r} has no option {min(unknown)!r}; correct the model's card.",
        )
    return kind.from_config(config, **{**options, **sampler.options})
