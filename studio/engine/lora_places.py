"""Where the layers of a LoRA belong in a loaded pipeline, whatever its trainer called them.

A name is looked up as it is, in diffusers' spelling with underscores for dots, and then by what
the makers of a model called the same layer. Theirs may be several of ours in one: their queries,
keys and values, say. Names and shapes decide; nothing is loaded here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from studio.models.lora_layers import PAINTER, Layer

# What the makers call a layer, and what we do: each of those that stand here, one of which a model
# has. Where a list stands, theirs is these in one. N is the number of the block.
_QKV, _ADDED = "attn_(to_q to_k to_v)", "attn_(add_q_proj add_k_proj add_v_proj)"
_FLUX = "transformer_blocks_N_"
THEIRS = {
    "double_blocks_N_img_attn_qkv": [_FLUX + _QKV],
    "double_blocks_N_txt_attn_qkv": [_FLUX + _ADDED],
    "double_blocks_N_img_attn_proj": [_FLUX + "attn_to_out_0"],
    "double_blocks_N_txt_attn_proj": [_FLUX + "attn_to_add_out"],
    "double_blocks_N_img_mlp_0": [_FLUX + "ff_net_0_proj", _FLUX + "ff_linear_in"],
    "double_blocks_N_img_mlp_2": [_FLUX + "ff_net_2", _FLUX + "ff_linear_out"],
    "double_blocks_N_txt_mlp_0": [_FLUX + "ff_context_net_0_proj", _FLUX + "ff_context_linear_in"],
    "double_blocks_N_txt_mlp_2": [_FLUX + "ff_context_net_2", _FLUX + "ff_context_linear_out"],
    "double_blocks_N_img_mod_lin": [_FLUX + "norm1_linear"],
    "double_blocks_N_txt_mod_lin": [_FLUX + "norm1_context_linear"],
    "single_blocks_N_linear1": [
        "single_transformer_blocks_N_(attn_to_q attn_to_k attn_to_v proj_mlp)",
        "single_transformer_blocks_N_attn_to_qkv_mlp_proj",
    ],
    "single_blocks_N_linear2": [
        "single_transformer_blocks_N_proj_out",
        "single_transformer_blocks_N_attn_to_out",
    ],
    "single_blocks_N_modulation_lin": ["single_transformer_blocks_N_norm_linear"],
    "joint_blocks_N_x_block_attn_qkv": [_FLUX + _QKV],
    "joint_blocks_N_context_block_attn_qkv": [_FLUX + _ADDED],
    "joint_blocks_N_x_block_attn_proj": [_FLUX + "attn_to_out_0"],
    "joint_blocks_N_context_block_attn_proj": [_FLUX + "attn_to_add_out"],
    "joint_blocks_N_x_block_attn2_qkv": [_FLUX + "attn2_(to_q to_k to_v)"],
    "joint_blocks_N_x_block_attn2_proj": [_FLUX + "attn2_to_out_0"],
    "joint_blocks_N_x_block_mlp_fc1": [_FLUX + "ff_net_0_proj"],
    "joint_blocks_N_x_block_mlp_fc2": [_FLUX + "ff_net_2"],
    "joint_blocks_N_context_block_mlp_fc1": [_FLUX + "ff_context_net_0_proj"],
    "joint_blocks_N_context_block_mlp_fc2": [_FLUX + "ff_context_net_2"],
    "joint_blocks_N_x_block_adaLN_modulation_1": [_FLUX + "norm1_linear"],
    "joint_blocks_N_context_block_adaLN_modulation_1": [_FLUX + "norm1_context_linear"],
    "img_in": ["x_embedder"],
    "txt_in": ["context_embedder"],
    "time_in_in_layer": [
        "time_text_embed_timestep_embedder_linear_1",
        "time_guidance_embed_timestep_embedder_linear_1",
    ],
    "time_in_out_layer": [
        "time_text_embed_timestep_embedder_linear_2",
        "time_guidance_embed_timestep_embedder_linear_2",
    ],
    "vector_in_in_layer": ["time_text_embed_text_embedder_linear_1"],
    "vector_in_out_layer": ["time_text_embed_text_embedder_linear_2"],
    "guidance_in_in_layer": ["time_text_embed_guidance_embedder_linear_1"],
    "guidance_in_out_layer": ["time_text_embed_guidance_embedder_linear_2"],
    "double_stream_modulation_img_lin": ["double_stream_modulation_img_linear"],
    "double_stream_modulation_txt_lin": ["double_stream_modulation_txt_linear"],
    "single_stream_modulation_lin": ["single_stream_modulation_linear"],
    "final_layer_linear": ["proj_out"],
    "final_layer_adaLN_modulation_1": ["norm_out_linear"],
    **{
        f"{blocks}_N_attention_{theirs}": [f"{blocks}_N_attention_{ours}"]
        for blocks in ("layers", "noise_refiner", "context_refiner")
        for theirs, ours in (("qkv", "(to_q to_k to_v)"), ("out", "to_out_0"))
    },
}
# Inside a residual block of a UNet, and around all its blocks.
RESIDUAL = {
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
AROUND = {
    "input_blocks_0_0": "conv_in",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
    "out_2": "conv_out",
}
_BLOCK = re.compile(r"(?<=_)\d+(?=_)")
_IN_ONE = re.compile(r"\((?P<names>.+)\)")


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of the model. `takes` and `gives` count its numbers; `kernel` is a convolution's."""

    component: str
    name: str
    takes: int
    gives: int
    kernel: tuple[int, ...] = ()
    groups: int = 1

    @property
    def points(self) -> tuple[int, ...]:
        """The kernel, where it is more than a point."""
        return self.kernel if any(side > 1 for side in self.kernel) else ()


class Places:
    """Of a pipeline, whatever it wears."""

    def __init__(self, pipeline: Any) -> None:
        self._painter = next(
            name for name in pipeline._lora_loadable_modules if not name.startswith("text_")
        )
        self._ours: dict[str, dict[str, Place]] = {}
        self._theirs: dict[str, str] = {}
        for component in pipeline._lora_loadable_modules:
            if (part := getattr(pipeline, component, None)) is not None:
                reading = component != self._painter
                self._ours[component] = dict(_of(component, part, reading=reading))
        painter = getattr(pipeline, self._painter)
        if hasattr(painter, "down_blocks"):
            self._theirs = dict(_renamed(painter))

    def of(self, layer: Layer) -> list[Place]:
        """Its place; several, if it is these in one; none, if this model has no such layer."""
        component = self._painter if layer.part == PAINTER else layer.part
        ours = self._ours.get(component, {})
        for name in self._spellings(layer.place):
            one = _IN_ONE.search(name)
            names = [_IN_ONE.sub(part, name) for part in one["names"].split()] if one else [name]
            if all(name in ours for name in names):
                return [ours[name] for name in names]
        return []

    def _spellings(self, place: str) -> Iterator[str]:
        yield place
        yield f"{place}_0"  # diffusers' oldest form said to_out, where to_out.0 is meant
        yield place.removeprefix("text_model_")
        block = _BLOCK.search(place)
        number = block.group() if block else ""
        for ours in THEIRS.get(_BLOCK.sub("N", place, count=1), ()):
            yield ours.replace("_N_", f"_{number}_")
        for theirs, ours in self._theirs.items():
            if place == theirs or place.startswith(f"{theirs}_"):
                rest = place.removeprefix(theirs).removeprefix("_")
                yield "_".join(filter(None, (ours, RESIDUAL.get(rest, rest))))


def turned(layer: Layer, place: Place) -> bool:
    """The makers put shift before scale where diffusers has them the other way round."""
    return layer.place.endswith("adaLN_modulation_1") and place.gives == 2 * place.takes


def _of(component: str, part: nn.Module, *, reading: bool) -> Iterator[tuple[str, Place]]:
    for name, module in part.named_modules():
        if isinstance(module, nn.Linear):
            place = Place(component, name, module.in_features, module.out_features)
        elif isinstance(module, nn.Conv2d):
            sides = (module.in_channels, module.out_channels)
            place = Place(
                component, name, *sides, kernel=tuple(module.kernel_size), groups=module.groups
            )
        else:
            continue
        flat = name.replace(".", "_")
        yield (flat.removeprefix("text_model_") if reading else flat), place


def _renamed(unet: Any) -> Iterator[tuple[str, str]]:
    """The blocks of a UNet as its makers count them: one row of steps, down and up again."""
    yield from AROUND.items()
    step = 1
    for number, block in enumerate(unet.down_blocks):
        ours = f"down_blocks_{number}"
        for index in range(len(block.resnets)):
            yield f"input_blocks_{step}_0", f"{ours}_resnets_{index}"
            yield f"input_blocks_{step}_1", f"{ours}_attentions_{index}"
            step += 1
        if block.downsamplers:
            yield f"input_blocks_{step}_0_op", f"{ours}_downsamplers_0_conv"
            step += 1
    for index, ours in enumerate(("resnets_0", "attentions_0", "resnets_1")):
        yield f"middle_block_{index}", f"mid_block_{ours}"
    step = 0
    for number, block in enumerate(unet.up_blocks):
        ours, attends = f"up_blocks_{number}", hasattr(block, "attentions")
        for index in range(len(block.resnets)):
            yield f"output_blocks_{step}_0", f"{ours}_resnets_{index}"
            if attends:
                yield f"output_blocks_{step}_1", f"{ours}_attentions_{index}"
            step += 1
        if block.upsamplers:
            yield f"output_blocks_{step - 1}_{1 + attends}_conv", f"{ours}_upsamplers_0_conv"
