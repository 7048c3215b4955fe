"""A pipeline from its folder onto the device, as the plan says: the same for every family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import dispatch_model

from studio.engine.parts import load_parts, refuse_gaps
from studio.engine.plan import Plan
from studio.engine.quantise import on_the_way, read_denoiser, store_in_fp8
from studio.engine.weights import LOCAL
from studio.models.card import ModelCard
from studio.models.hashes import variant
from studio.models.weights import read_index

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def read_as(folder: Path, card: ModelCard, plan: Plan) -> torch.dtype:
    """What becomes fp8 is never there in fp32: for that there may be no room."""
    if plan.quant == "fp8" and plan.dtype == "fp32":
        return DTYPES.get(variant(folder, card) or "", DTYPES[card.half])
    return DTYPES[plan.dtype]


def load(
    kind: Any,
    folder: Path,
    card: ModelCard,
    parts: Mapping[str, Path],
    plan: Plan,
    lent: Mapping[str, Any],
    whole: Sequence[str] = (),
    **more: Any,
) -> Any:
    """`parts` are components that come out of files of their own, `lent` those that are in memory
    already; `whole` names those that are never taken apart layer by layer."""
    dtype = DTYPES[plan.dtype]
    dtypes = {"vae": DTYPES[plan.vae_dtype], "default": read_as(folder, card, plan)}
    if plan.quant in ("gguf", "svdq"):
        replaced = {name: read_denoiser(folder, file, plan, dtype) for name, file in parts.items()}
    else:
        replaced = load_parts(folder, card, parts, dtypes, lent) | dict(lent)
    if plan.spread:
        more["device_map"] = "balanced"
    pipeline = kind.from_pretrained(
        folder,
        dtype=dtypes,
        variant=variant(folder, card),
        **replaced,
        **on_the_way(list(read_index(folder) or ()), plan, dtype),
        **more,
        **LOCAL,
    )
    for name, part in pipeline.components.items():
        refuse_gaps(card, folder, name, part)
    pipeline.set_progress_bar_config(disable=True)
    if plan.quant == "fp8":
        store_in_fp8(pipeline, plan, dtype)  # before it goes to the card
    if plan.tiling:
        pipeline.vae.enable_tiling()
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=plan.device)
    elif plan.offload == "sequential":
        pipeline._exclude_from_cpu_offload = list(whole)
        pipeline.enable_sequential_cpu_offload(device=plan.device)
    elif plan.spread:
        for name, part in replaced.items():  # as diffusers does with those that it loads itself
            place, skipped = {"": pipeline.hf_device_map[name]}, getattr(part, "_skip_keys", None)
            dispatch_model(part, place, skip_keys=skipped, force_hooks=True)
    else:
        pipeline.to(plan.device)
    return pipeline
