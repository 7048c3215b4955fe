"""The layers of a LoRA by the names in its file: which tensors belong together, and where they go.

Trainers name the same layer in many ways: peft, kohya's scripts, and diffusers in three of its
ages. Here each becomes one `Layer`. Pure: it sees names, never a tensor.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

PAINTER = "unet"  # the network that paints, also where it is a transformer
# What stands before the name of a place, and the part of the model that it means.
_BEFORE = (
    ("lora_unet_", PAINTER),
    ("lora_transformer_", PAINTER),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("model.diffusion_model.", PAINTER),
    ("diffusion_model.", PAINTER),
    ("unet.", PAINTER),
    ("transformer.", PAINTER),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder_3.", "text_encoder_3"),
    ("text_encoders.clip_l.transformer.", "text_encoder"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2"),
    ("text_encoders.t5xxl.transformer.", "text_encoder_3"),
)
_PEFT = "base_model.model."
_HALF = re.compile(
    r"(?P<path>.+?)[._]lora(?:_linear_layer)?[._]"
    r"(?P<half>A|B|down|up)(?:\.\w+)?\.weight"
)
_DOWN = ("A", "down")
# Other kinds by a piece of a name; and what may lie beside layers, which then were painted by half.
_KINDS = (
    (".lokr_", "it is a LoKr"),
    (".hada_", "it is a LoHa"),
    (".oft_", "it is an OFT"),
    (".on_input", "it is an (IA)³"),
)
_BESIDE = (
    ("dora_scale", "it is a DoRA"),
    ("lora_magnitude_vector", "it is a DoRA"),
    ("lora_mid", "it is a LoCon with a Tucker core"),
    ("lora_controlnet", "it is a Control LoRA"),
    ("norm.scale", "it is a Control LoRA"),
    (".diff", "it also changes weights as a whole"),
    (".bias", "it also changes biases"),
    ("lora_embedding", "it also changes embeddings"),
)
_WHOLE = (  # what a file without any layer of a LoRA is instead
    (("model.diffusion_model.", "first_stage_model.", "conditioner."), "a checkpoint"),
    (("cond_stage_model.", "double_blocks.", "down_blocks."), "a checkpoint"),
    (("transformer_blocks.", "joint_blocks.", "layers."), "a checkpoint"),
    (("control_model.", "controlnet_", "input_hint_block."), "a ControlNet"),
    (("encoder.", "decoder.", "quant_conv."), "a VAE"),
    (("emb_params", "clip_g", "clip_l", "string_to_"), "a textual inversion"),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: `place` is its name with underscores for dots, the others name its tensors."""

    part: str
    place: str
    down: str
    up: str
    alpha: str = ""


def layers_of(names: Iterable[str]) -> list[Layer]:
    """In the order of the file. `ValueError` says in words what cannot be painted as it is."""
    names = list(names)
    halves: dict[str, dict[str, str]] = {}
    alphas, strange = [], []
    for name in names:
        match = _HALF.fullmatch(name)
        if match:
            side = "down" if match["half"] in _DOWN else "up"
            two = halves.setdefault(match["path"], {})
            if side in two:
                raise ValueError(f"it holds {match['path']} twice")
            two[side] = name
        elif name.endswith(".alpha"):
            alphas.append(name)
        else:
            strange.append(name)
    if strange or not halves:
        raise ValueError(_what_it_is(names, strange, bool(halves)))
    for path, two in halves.items():
        if len(two) < 2:
            raise ValueError(f"its layer {path} lacks a half; fetch it again")
    own = {name.removesuffix(".alpha"): name for name in alphas}
    stray = own.keys() - halves.keys()
    if stray:
        raise ValueError(f"its {own[min(stray)]} belongs to no layer; fetch it again")
    return [
        Layer(*_placed(path), two["down"], two["up"], own.get(path, ""))
        for path, two in halves.items()
    ]


def _placed(path: str) -> tuple[str, str]:
    path = path.removeprefix(_PEFT)
    for before, part in _BEFORE:
        if path.startswith(before):
            return part, _flat(path.removeprefix(before))
    return PAINTER, _flat(path)


def _flat(path: str) -> str:
    """diffusers' oldest form named the processor of an attention, not its layers."""
    return path.replace(".processor.to_", ".to_").replace(".", "_")


def _what_it_is(names: list[str], strange: list[str], layers: bool) -> str:
    for piece, kind in (*_KINDS, *_BESIDE) if layers else _KINDS:
        if any(piece in name for name in strange):
            return f"{kind}, which this version does not paint"
    if layers:
        return f"it holds {strange[0][:60]}, which is no layer of a LoRA"
    for beginnings, kind in _WHOLE:
        if any(name.startswith(beginnings) for name in names):
            return f"it is no LoRA but {kind}"
    return "it holds no LoRA layers"
