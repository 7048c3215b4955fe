"""A pipeline from its folder onto the device, as the plan says: the same for every family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import adaptive_avg_pool2d

from studio.catalog import ModelCard
from studio.engine.failures import PaintError
from studio.engine.plan import Plan
from studio.engine.weights import LOCAL, variant

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SKETCH_SIDE = 16  # latents a side of a sketch that is decoded for real: a card takes 2 ms for it


def load(
    kind: Any, folder: Path, card: ModelCard, plan: Plan, whole: Sequence[str] = (), **more: Any
) -> Any:
    """`whole` names components that are never taken apart layer by layer."""
    if plan.spread:
        more["device_map"] = "balanced"
    pipeline = kind.from_pretrained(
        folder,
        dtype={"vae": DTYPES[plan.vae_dtype], "default": DTYPES[plan.dtype]},
        variant=variant(folder, card),
        **more,
        **LOCAL,
    )
    pipeline.set_progress_bar_config(disable=True)
    if plan.tiling:
        pipeline.vae.enable_tiling()
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=plan.device)
    elif plan.offload == "sequential":
        pipeline._exclude_from_cpu_offload = list(whole)
        pipeline.enable_sequential_cpu_offload(device=plan.device)
    elif not plan.spread:
        pipeline.to(plan.device)
    return pipeline


def small(latents: torch.Tensor) -> torch.Tensor:
    """Unfinished latents (n x channels x height x width), small enough to be decoded at once. What
    is left of the noise is less in the mean."""
    height, width = latents.shape[-2:]
    shrink = min(1.0, SKETCH_SIDE / max(height, width))
    return adaptive_avg_pool2d(
        latents, (max(1, round(height * shrink)), max(1, round(width * shrink)))
    )


def no_parts(card: ModelCard, parts: Mapping[str, Path]) -> None:
    for name in parts:
        raise PaintError(
            "model_invalid", f"model: {card.title}: parts.{name} cannot be replaced in this family."
        )


def too_long(card: ModelCard, tokenizer: Any, prompt: str) -> list[str]:
    """A sentence for a prompt whose end the model never reads."""
    length = len(tokenizer(prompt, truncation=False, verbose=False).input_ids)
    if length <= card.tokens:
        return []
    return [f"The prompt has {length} tokens; {card.title} reads the first {card.tokens}."]
