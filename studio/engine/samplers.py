"""Samplers by their everyday names: which diffusers scheduler, with which options.

A model that was taught by flow matching, or as EDM has it, has samplers of its own, by the same
names.
"""

import inspect
from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from studio.engine.failures import PaintError
from studio.models.card import Sampler

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
    "dpm++ sde karras": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    # DDIM's own defaults cut latents at 1, which only suits models that paint pixels.
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "unipc": (UniPCMultistepScheduler, {"use_karras_sigmas": False}),
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
    "lcm": (LCMScheduler, {"clip_sample": False}),
}
FLOW: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (FlowMatchEulerDiscreteScheduler, {}),
}
# Their noise levels are Karras' already.
EDM: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EDMEulerScheduler, {}),
    "dpm++ 2m": (EDMDPMSolverMultistepScheduler, {}),
}
CASCADE: dict[str, tuple[Any, dict[str, Any]]] = {"ddpm": (DDPMWuerstchenScheduler, {})}
# How the name of a model's own scheduler begins, if it is none of the usual.
TABLES = {"FlowMatch": FLOW, "EDM": EDM, "DDPMWuerstchen": CASCADE}


def build_sampler(sampler: Sampler, config: dict[str, Any]) -> Any:
    """A fresh scheduler from the model's own configuration; the card's options win."""
    own = str(config.get("_class_name", ""))
    there = next((table for kind, table in TABLES.items() if own.startswith(kind)), SAMPLERS)
    if sampler.name not in there:
        known = ", ".join(there)
        raise PaintError(
            "model_invalid", f"sampler: {sampler.name!r} is not known here. There are: {known}."
        )
    kind, options = there[sampler.name]
    unknown = set(sampler.options) - set(inspect.signature(kind.__init__).parameters)
    if unknown:
        raise PaintError(
            "model_invalid",
            f"sampler: {sampler.name!r} has no option {min(unknown)!r}; correct the model's card.",
        )
    return kind.from_config(config, **{**options, **sampler.options})
