"""Small models as one file, their tensors named as their makers' own code names them.

The way back from diffusers' names, written here anew, so that diffusers' own way can be wrong.
"""

# mypy: disable-error-code="no-untyped-call"
import re
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from studio.engine import embedded
from tests.engine.tiny.parts import seeded

WIDE = 48  # of the second encoder: by its width diffusers tells which of two a tensor is for
Tensors = dict[str, torch.Tensor]
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "add_embedding.linear_1.": "label_emb.0.0.",
    "add_embedding.linear_2.": "label_emb.0.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.": "ln_final.",
    "text_model.encoder.layers.": "transformer.resblocks.",
    "layer_norm": "ln_",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.": "attn.",
}
SD3 = {
    "pos_embed.proj.": "x_embedder.proj.",
    "pos_embed.pos_embed": "pos_embed",
    "time_text_embed.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
    "time_text_embed.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
    "time_text_embed.text_embedder.linear_1.": "y_embedder.mlp.0.",
    "time_text_embed.text_embedder.linear_2.": "y_embedder.mlp.2.",
    "norm_out.linear.": "final_layer.adaLN_modulation.1.",
    "proj_out.": "final_layer.linear.",
    "norm1_context.linear.": "context_block.adaLN_modulation.1.",
    "norm1.linear.": "x_block.adaLN_modulation.1.",
    "ff_context.net.0.proj.": "context_block.mlp.fc1.",
    "ff_context.net.2.": "context_block.mlp.fc2.",
    "ff.net.0.proj.": "x_block.mlp.fc1.",
    "ff.net.2.": "x_block.mlp.fc2.",
    "attn.norm_added_": "context_block.attn.ln_",
    "attn.norm_": "x_block.attn.ln_",
    "attn2.norm_": "x_block.attn2.ln_",
    "attn.to_add_out.": "context_block.attn.proj.",
    "attn.to_out.0.": "x_block.attn.proj.",
    "attn2.to_out.0.": "x_block.attn2.proj.",
    "attn.qkv.": "x_block.attn.qkv.",
    "attn2.qkv.": "x_block.attn2.qkv.",
    "attn.add_qkv.": "context_block.attn.qkv.",
}

FLUX = {
    "time_text_embed.timestep_embedder.linear_1.": "time_in.in_layer.",
    "time_text_embed.timestep_embedder.linear_2.": "time_in.out_layer.",
    "time_text_embed.text_embedder.linear_1.": "vector_in.in_layer.",
    "time_text_embed.text_embedder.linear_2.": "vector_in.out_layer.",
    "time_text_embed.guidance_embedder.linear_1.": "guidance_in.in_layer.",
    "time_text_embed.guidance_embedder.linear_2.": "guidance_in.out_layer.",
    "context_embedder.": "txt_in.",
    "x_embedder.": "img_in.",
    "norm_out.linear.": "final_layer.adaLN_modulation.1.",
    "proj_out.": "final_layer.linear.",
}
FLUX_DOUBLE = {
    "norm1.linear.": "img_mod.lin.",
    "norm1_context.linear.": "txt_mod.lin.",
    "attn.qkv.": "img_attn.qkv.",
    "attn.add_qkv.": "txt_attn.qkv.",
    "attn.norm_q.weight": "img_attn.norm.query_norm.scale",
    "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
    "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
    "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
    "attn.to_out.0.": "img_attn.proj.",
    "attn.to_add_out.": "txt_attn.proj.",
    "ff.net.0.proj.": "img_mlp.0.",
    "ff.net.2.": "img_mlp.2.",
    "ff_context.net.0.proj.": "txt_mlp.0.",
    "ff_context.net.2.": "txt_mlp.2.",
}
FLUX_SINGLE = {
    "norm.linear.": "modulation.lin.",
    "attn.norm_q.weight": "norm.query_norm.scale",
    "attn.norm_k.weight": "norm.key_norm.scale",
    "proj_out.": "linear2.",
}


def sdxl() -> Any:
    """The test pattern with encoders of two widths, as SDXL has them."""
    pipeline = embedded.build()
    narrow = pipeline.text_encoder_2.config
    config = CLIPTextConfig.from_dict(
        narrow.to_dict() | {"hidden_size": WIDE, "projection_dim": WIDE, "intermediate_size": 96}
    )
    shape = dict(pipeline.unet.config) | {
        "cross_attention_dim": embedded.WIDTH + WIDE,
        "projection_class_embeddings_input_dim": WIDE + 6 * 8,
    }
    pipeline.text_encoder_2 = seeded(CLIPTextModelWithProjection(config)).eval()
    pipeline.unet = seeded(UNet2DConditionModel.from_config(shape)).eval()
    return pipeline


def sdxl_tensors(pipeline: Any) -> Tensors:
    clip_l = {
        f"text_model.{name.removeprefix('text_model.')}": tensor
        for name, tensor in pipeline.text_encoder.state_dict().items()
    }
    return {
        **_named("model.diffusion_model.", _unet(pipeline.unet)),
        **_named("first_stage_model.", vae_tensors(pipeline.vae)),
        **_named("conditioner.embedders.0.transformer.", clip_l),
        **_named("conditioner.embedders.1.model.", _open_clip(pipeline.text_encoder_2)),
    }


def sd3_tensors(pipeline: Any) -> Tensors:
    """The transformer, the VAE and T5, as all-in-one files hold them."""
    t5 = dict(pipeline.text_encoder_3.state_dict())
    t5.pop("encoder.embed_tokens.weight", None)  # the same tensor once more
    return {
        **_named("model.diffusion_model.", _sd3(pipeline.transformer)),
        **_named("first_stage_model.", vae_tensors(pipeline.vae)),
        **_named("text_encoders.t5xxl.transformer.", t5),
    }


def flux_tensors(transformer: Any) -> tuple[Tensors, Tensors]:
    """Of a transformer without numbers: a file's tensors, each row of one number, and the numbers
    of the rows by the names of diffusers."""
    shapes = {name: value.shape for name, value in transformer.state_dict().items()}
    rows = {
        name: ((torch.arange(shape[0]) * 7 + number) % 256).to(torch.bfloat16)
        for number, (name, shape) in enumerate(shapes.items())
    }
    widths = {name: tuple(shape[1:]) for name, shape in shapes.items()}
    found: Tensors = {}
    state = _joined(_joined(rows, "attn.to_{}.", "attn.qkv."), "attn.add_{}_proj.", "attn.add_qkv.")
    for name, row in state.items():
        first = name.replace("qkv", "to_q").replace("add_to_q", "add_q_proj")
        width = widths[first]
        if name.startswith("norm_out."):
            row = torch.cat(row.chunk(2)[::-1])
        if "single" in name and "attn.qkv." in name:
            row = torch.cat([row, rows[name.replace("attn.qkv.", "proj_mlp.")]])
        if ".proj_mlp." not in name:
            found[_flux_name(name)] = row.reshape(-1, *([1] * len(width))).expand(-1, *width)
    return {name: tensor.contiguous() for name, tensor in found.items()}, rows


def _flux_name(name: str) -> str:
    block = re.match(r"(single_)?transformer_blocks\.(\d+)\.", name)
    if not block:
        return _renamed(name, FLUX)
    rest = name[block.end() :].replace("attn.qkv.", "linear1." if block[1] else "attn.qkv.")
    kind = "single" if block[1] else "double"
    return f"{kind}_blocks.{block[2]}." + _renamed(rest, FLUX_SINGLE if block[1] else FLUX_DOUBLE)


def vae_tensors(vae: Any) -> Tensors:
    blocks, found = len(vae.config.up_block_types), {}
    for name, tensor in vae.state_dict().items():
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
        if up := re.match(r"decoder\.up_blocks\.(\d+)\.", name):
            name = f"decoder.up.{blocks - 1 - int(up[1])}." + name[up.end() :]
        name = name.replace("resnets.", "block.").replace("upsamplers.0.", "upsample.")
        name = re.sub(r"mid_block\.block\.(\d)", lambda n: f"mid.block_{int(n[1]) + 1}", name)
        if "mid_block.attentions.0." in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1")
            for ours, theirs in ATTENTION.items():
                name = name.replace(f".{ours}.", f".{theirs}.")
            if tensor.ndim == 2:
                tensor = tensor[:, :, None, None]
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        found[name] = tensor
    return found


def _unet(unet: Any) -> Tensors:
    deep, found = unet.config.layers_per_block + 1, {}
    for name, tensor in unet.state_dict().items():
        for ours, theirs in UNET.items():
            if name.startswith(ours):
                name = theirs + name[len(ours) :]
        if at := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.", name):
            way, kind, rest = at[1], at[3], name[at.end() :]
            place = int(at[2]) * deep + int(at[4]) + (way == "down")
            if kind == "downsamplers":
                place, inner, rest = place + deep - 1, "0", rest.replace("conv", "op")
            elif kind == "upsamplers":
                attends = "CrossAttn" in unet.config.up_block_types[int(at[2])]
                place, inner = place + deep - 1, "2" if attends else "1"
            else:
                inner = "0" if kind == "resnets" else "1"
            name = f"{'input' if way == 'down' else 'output'}_blocks.{place}.{inner}."
            name += _resnet(rest) if kind == "resnets" else rest
        if at := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.", name):
            rest = name[at.end() :]
            resnet = at[1] == "resnets"
            name = f"middle_block.{2 * int(at[2]) if resnet else 1}."
            name += _resnet(rest) if resnet else rest
        found[name] = tensor
    return found


def _resnet(rest: str) -> str:
    layer, _, what = rest.partition(".")
    return f"{RESNET[layer]}.{what}"


def _open_clip(encoder: Any) -> Tensors:
    state = dict(encoder.state_dict())
    found = {"text_projection": state.pop("text_projection.weight").T.contiguous()}
    for name, tensor in _joined(state, "self_attn.{}_proj.", "self_attn.in_proj_").items():
        found[_renamed(name, OPEN_CLIP)] = tensor
    return found


def _sd3(transformer: Any) -> Tensors:
    state = _joined(transformer.state_dict(), "attn.to_{}.", "attn.qkv.")
    state = _joined(state, "attn2.to_{}.", "attn2.qkv.")
    state = _joined(state, "attn.add_{}_proj.", "attn.add_qkv.")
    last = f"transformer_blocks.{transformer.config.num_layers - 1}.norm1_context."
    found = {}
    for name, tensor in state.items():
        if name.startswith((last, "norm_out.")):  # shift and scale stand the other way round
            tensor = torch.cat(tensor.chunk(2)[::-1])
        block = re.match(r"transformer_blocks\.(\d+)\.", name)
        rest = name[block.end() :] if block else name
        found[(f"joint_blocks.{block[1]}." if block else "") + _renamed(rest, SD3)] = tensor
    return found


def _joined(state: Tensors, apart: str, whole: str) -> Tensors:
    """Queries, keys and values of an attention in one tensor."""
    found = dict(state)
    query = apart.format("q")
    for name in [name for name in state if query in name]:
        three = [found.pop(name.replace(query, apart.format(letter))) for letter in "qkv"]
        found[name.replace(query, whole)] = torch.cat(three)
    return found


def _renamed(name: str, table: dict[str, str]) -> str:
    """By the first of the table that it begins with; Open CLIP's names by each that is in them."""
    if table is OPEN_CLIP:
        for ours, theirs in table.items():
            name = name.replace(ours, theirs)
        return name
    ours = next((ours for ours in table if name.startswith(ours)), "")
    return table.get(ours, "") + name.removeprefix(ours)


def _named(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor.clone().contiguous() for name, tensor in tensors.items()}
