"""The file of a LoRA as tensors, with what stands in it or beside it of how they are scaled."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load

from studio.engine.failures import PaintError
from studio.models.lora_hub import source_of
from studio.models.lora_layers import FULL, Layer
from studio.models.lora_shapes import Size

DIFFUSERS = "lora_adapter_metadata"  # where diffusers keeps how its layers are to be scaled
PEFT = "base_model"  # how the names of a file of peft's begin
_PIECE = re.compile(r"\.(?:lora|lokr|hada)_")


def read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Its tensors, and how diffusers or peft say that they are to be scaled."""
    try:
        # Of whole bytes: safetensors 0.8.0 forgets two numbers for each tensor it is asked for.
        tensors = dict(sorted(load(file.read_bytes()).items()))
        with safe_open(file, "pt") as opened:
            says = json.loads((opened.metadata() or {}).get(DIFFUSERS, "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise unfit(file, f"cannot be read: {error}") from error
    if (source := source_of(file)) and source.alpha is not None:
        said = {"lora_alpha": source.alpha, "use_rslora": source.root, "r": source.rank}
        return tensors, {f"{PEFT}.{name}": value for name, value in said.items()}
    return tensors, says if isinstance(says, dict) else {}


def scale_of(
    layer: Layer, size: Size, tensors: Mapping[str, torch.Tensor], says: Mapping[str, Any]
) -> float:
    """How much of the product of its pieces is meant: alpha by rank, where there is an alpha. What
    is there as a whole is meant as it is; peft alone scales that, too."""
    if layer.form == FULL:
        return 1.0
    if alpha := layer.pieces.get("alpha"):
        return float(tensors[alpha].flatten()[0]) / size.rank if size.rank else 1.0
    name = next(iter(layer.pieces.values()))
    component = name.partition(".")[0]
    path = _PIECE.split(name.removeprefix(f"{component}."))[0]

    def told(what: str, pattern: str) -> Any:
        own = says.get(f"{component}.{pattern}") or {}
        return own.get(path, says.get(f"{component}.{what}"))

    alpha = told("lora_alpha", "alpha_pattern") or told("alpha", "alpha_pattern")
    rank = size.rank or told("r", "rank_pattern")
    if alpha is None or not rank:
        return 1.0
    root = bool(says.get(f"{component}.use_rslora"))
    return float(alpha) / (rank**0.5 if root else rank)


def unfit(file: Path, why: str) -> PaintError:
    return PaintError("model_invalid", f"loras: {file.name} {why}. Take it off, or pick another.")
