"""Weights in fewer bits, as the plan says: stored in fp8, quantised while they are read, or as
their makers did it.

The libraries beside diffusers are imported here, and only where a plan wants them.
"""

# mypy: disable-error-code="no-untyped-call"
# ruff: noqa: PLC0415 - a library that is not installed must not be missed
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate.utils import align_module_device
from diffusers.hooks.layerwise_casting import apply_layerwise_casting
from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig
from peft.utils.integrations import dequantize_module_weight

from studio.engine.parts import denoisers
from studio.engine.plan import Plan
from studio.models.memory import DENOISERS
from studio.models.weights import read_index

FP8 = torch.float8_e4m3fn
# Of an encoder: what may be a vocabulary by another name; what T5 asks for the format to compute
# in; and the eyes of Qwen2.5-VL, which are asked for it first. Else a vocabulary is.
KEPT = (r"lm_head$", r"\.wo$", r"\bvisual\b")


def on_the_way(names: Sequence[str], plan: Plan, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` is told, so that weights become fewer bits while they are read."""
    if plan.quant not in ("int8", "nf4"):
        return {}
    parts = [name for name in names if name in DENOISERS]
    if plan.encoders:
        parts += [name for name in names if name.startswith("text_encoder")]
    mapping = {name: _config(plan.quant, name in DENOISERS, dtype) for name in parts}
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping=mapping)}


def _config(quant: str, denoiser: bool, dtype: torch.dtype) -> Any:
    """diffusers and transformers have classes of their own for the same thing."""
    kind: Any = diffusers if denoiser else transformers
    if quant == "int8":
        from torchao.quantization import Int8WeightOnlyConfig

        # What torchao sets for the compiler would hold for the other models of the process, too.
        return kind.TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))
    return kind.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def store_in_fp8(pipeline: Any, plan: Plan, dtype: torch.dtype) -> None:
    """Each layer's weights become `dtype` while it computes, and fp8 again."""
    for denoiser in denoisers(pipeline):
        denoiser.enable_layerwise_casting(storage_dtype=FP8, compute_dtype=dtype)
    if plan.encoders:
        for name in pipeline.components:
            if name.startswith("text_encoder"):
                store_encoder(getattr(pipeline, name), dtype)
    if dtype == torch.float32:  # it was read in half of it
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                for weight in (*part.parameters(), *part.buffers()):
                    if weight.is_floating_point() and weight.dtype != FP8:
                        weight.data = weight.data.to(dtype)


def store_encoder(encoder: torch.nn.Module, dtype: torch.dtype) -> None:
    apply_layerwise_casting(encoder, FP8, dtype, KEPT, (torch.nn.Embedding,))


def as_numbers(layer: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The weights of a layer as they count, wherever they lie and however few bits they have, and
    its bias."""
    with align_module_device(layer), torch.no_grad():
        if type(layer.weight).__name__ == "GGUFParameter":  # nf4's has a quant_type, too
            from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

            whole = dequantize_gguf_tensor(layer.weight)
        else:
            whole = dequantize_module_weight(layer)
        bias = None if layer.bias is None else layer.bias.detach().float()
        return whole.detach().float(), bias


def read_denoiser(folder: Path, file: Path, plan: Plan, dtype: torch.dtype) -> Any:
    """A transformer that its makers stored in fewer bits, in the shape that the folder says."""
    if plan.quant == "svdq":
        from nunchaku import NunchakuFluxTransformer2dModel

        return NunchakuFluxTransformer2dModel.from_pretrained(str(file), torch_dtype=dtype)
    index = read_index(folder) or {}
    return getattr(diffusers, index["transformer"][1]).from_single_file(
        str(file),
        config=str(folder),
        subfolder="transformer",
        torch_dtype=dtype,
        local_files_only=True,
        quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
    )
