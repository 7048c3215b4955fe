"""What a checkpoint in one file is, told by its header: which model, and which parts of it.

Its tensors have the names that its makers' own code gave them, as Civitai's files have them.
What this studio does not paint is named all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studio.formats.safetensors import Header, read_header

NET = "model.diffusion_model."
CLIP = "text_model.embeddings.position_embedding.weight"
LONGEST_TEXT = 300  # of what a file says of itself
PAINTED = "this studio paints SDXL, FLUX.1 and Stable Diffusion 3.5 from one file"
ALONE = "it is one part of a diffusers folder; put the whole folder here"
LORAS = "put it into the folder `loras`"
UPSCALERS = "it enlarges pictures; put it into the folder `upscalers`"

# The tensors that tell that a part is in the file, as diffusers looks for them.
SDXL = {
    "unet": (NET + "input_blocks.0.0.weight",),
    "vae": ("first_stage_model.decoder.conv_in.weight",),
    "text_encoder": (f"conditioner.embedders.0.transformer.{CLIP}",),
    "text_encoder_2": ("conditioner.embedders.1.model.positional_embedding",),
}
_VAE = ("vae.decoder.conv_in.weight", "first_stage_model.decoder.conv_in.weight")
_CLIP_L = (f"text_encoders.clip_l.transformer.{CLIP}",)
_T5 = ("text_encoders.t5xxl.transformer.shared.weight",)
FLUX = {
    "transformer": tuple(p + "double_blocks.0.img_attn.qkv.weight" for p in (NET, "")),
    "vae": _VAE,
    "text_encoder": _CLIP_L,
    "text_encoder_2": _T5,
}
SD3 = {
    "transformer": tuple(p + "joint_blocks.0.x_block.attn.qkv.weight" for p in (NET, "")),
    "vae": _VAE,
    "text_encoder": _CLIP_L,
    "text_encoder_2": (f"text_encoders.clip_g.transformer.{CLIP}",),
    "text_encoder_3": _T5,
}

# How the names of all tensors of a part begin, of SDXL.
PREFIXES = {
    "text_encoder": "conditioner.embedders.0.",
    "text_encoder_2": "conditioner.embedders.1.",
    "vae": "first_stage_model.",
}

# What else lies in model folders, by a piece of a tensor's name. These could pass for a model:
DISGUISED = {
    "lora": f"it is a LoRA; {LORAS}",
    "lokr_": f"it is a LoRA of the kind LoKr; {LORAS}",
    "hada_": f"it is a LoRA of the kind LoHa; {LORAS}",
    ".absmax": "it is quantised by bitsandbytes, which is not read here",
    "scale_weight": "it is quantised with scales, which is not read here",
    "scaled_fp8": "it is quantised with scales, which is not read here",
    ".qweight": "it is quantised by GPTQ or AWQ, which is not read here",
    "control_model.": "it is a ControlNet",
    "controlnet": "it is a ControlNet",
    "zero_convs.": "it is a ControlNet",
    "time_stack.": "it is Stable Video Diffusion, for films",
    "conditioner.embedders.0.model.": "it is SDXL's refiner, which only ends what another began",
    "cond_stage_model.transformer.": "it is a Stable Diffusion 1 checkpoint",
    "cond_stage_model.model.": "it is a Stable Diffusion 2 checkpoint",
    "distilled_guidance_layer.": "it is a Chroma checkpoint",
    "double_stream_modulation_img.": "it is a FLUX.2 checkpoint",
    "txt_in.individual_token_refiner.": "it is a HunyuanVideo checkpoint, for films",
}
STRANGERS = {
    "input_blocks.0.0.weight": "it is a UNet of Stable Diffusion 1 or 2",
    "ip_adapter.": "it is an IP-Adapter",
    "motion_modules.": "it is a motion module, for films",
    "emb_params": "it is a textual inversion",
    "double_layers.0.attn.w1q.": "it is an AuraFlow checkpoint",
    "cap_embedder.": "it is a Lumina or Z-Image checkpoint",
    "txt_norm.weight": "it is a Qwen-Image checkpoint",
    "patchify_proj.": "it is an LTX checkpoint, for films",
    "head.modulation": "it is a Wan checkpoint, for films",
    "text_model.encoder.layers.": "it is a CLIP alone and paints nothing",
    "SelfAttention.q.weight": "it is a T5 alone and paints nothing",
    "self_attn.q_proj.": "it is a language model and paints nothing",
    "down_blocks.0.resnets.0.": ALONE,
    "transformer_blocks.0.": ALONE,
    "decoder.up.": "it is a VAE alone and paints nothing",
    "decoder.up_blocks.": "it is a VAE alone and paints nothing",
    "conv_first.": UPSCALERS,
    "body.0.weight": UPSCALERS,
}
INVERSION = {"clip_l", "clip_g"}  # all that a textual inversion for SDXL holds


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`architecture` is ModelSpec's word for what it is; `noise` are options of its samplers."""

    architecture: str
    parts: tuple[str, ...]
    says: Mapping[str, str]
    noise: Mapping[str, str | bool] = field(default_factory=dict)

    def told(self, what: str) -> str:
        """What the file says of itself under this word of ModelSpec."""
        return " ".join(self.says.get(f"modelspec.{what}", "").split())[:LONGEST_TEXT]


def read_checkpoint(file: Path) -> Checkpoint:
    """`ValueError` holds what it is instead, or what is wrong with it."""
    header = read_header(file)
    shapes, names = header.shapes, "\n".join(header.shapes)
    for piece, what in DISGUISED.items():
        if piece in names:
            raise ValueError(_not_painted(what))
    if NET + "label_emb.0.0.weight" in shapes:
        return _sdxl(header)
    for prefix in (NET, ""):
        if prefix + "double_blocks.0.img_attn.qkv.weight" in shapes:
            return _flux(header, prefix)
        if prefix + "joint_blocks.0.x_block.attn.qkv.weight" in shapes:
            return _sd3(header, prefix)
    what = next((what for piece, what in STRANGERS.items() if piece in names), "")
    if not what and shapes and shapes.keys() <= INVERSION:
        what = STRANGERS["emb_params"]
    stated = header.says.get("modelspec.architecture", "")[:LONGEST_TEXT]
    unknown = "it holds nothing that is known here"
    if stated:
        unknown = f"it calls itself {stated!r}, which is not known here"
    raise ValueError(_not_painted(what or unknown))


def _sdxl(header: Header) -> Checkpoint:
    inputs = _inputs(header, SDXL["unet"][0])
    if inputs == 9:
        raise ValueError(_not_painted("it is an SDXL checkpoint for inpainting alone"))
    if inputs == 8:
        raise ValueError(_not_painted("it is an SDXL checkpoint that edits, as InstructPix2Pix"))
    stated = header.says.get("modelspec.architecture", "")
    architecture = "stable-diffusion-xl-v1-base"
    if "edm_mean" in header.shapes:
        architecture = "playground-v2.5"
    elif stated.startswith("stable-diffusion-xl-turbo"):
        architecture = "stable-diffusion-xl-turbo-v1"
    noise: dict[str, str | bool] = {}
    # Two empty tensors say it, as the trainers of NoobAI began it, or ModelSpec's word.
    if "v_pred" in header.shapes or header.says.get("modelspec.prediction_type") == "v":
        noise["prediction_type"] = "v_prediction"
    if "ztsnr" in header.shapes:
        noise |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return Checkpoint(architecture, _parts(SDXL, header), header.says, noise)


def _flux(header: Header, prefix: str) -> Checkpoint:
    if _inputs(header, f"{prefix}img_in.weight") in (128, 384):
        raise ValueError(_not_painted("it is a FLUX.1 tool, as Fill, Depth or Canny"))
    guided = f"{prefix}guidance_in.in_layer.weight" in header.shapes
    parts = _parts(FLUX, header)
    return Checkpoint("flux-1-dev" if guided else "flux-1-schnell", parts, header.says)


def _sd3(header: Header, prefix: str) -> Checkpoint:
    block, size = f"{prefix}joint_blocks.0.x_block.", ""
    if f"{block}attn2.qkv.weight" in header.shapes:
        size = "medium"
    elif f"{block}attn.ln_q.weight" in header.shapes:
        size = "large"
    if not size:
        raise ValueError(_not_painted("it is a Stable Diffusion 3 checkpoint"))
    return Checkpoint(f"stable-diffusion-v3.5-{size}", _parts(SD3, header), header.says)


def _inputs(header: Header, layer: str) -> int:
    """How many channels go into it."""
    shape = header.shapes.get(layer, ())
    return shape[1] if len(shape) > 1 else 0


def _parts(known: Mapping[str, tuple[str, ...]], header: Header) -> tuple[str, ...]:
    return tuple(part for part, names in known.items() if any(n in header.shapes for n in names))


def _not_painted(what: str) -> str:
    return what if "`" in what or what is ALONE else f"{what}; {PAINTED}"
