"""The layers of a LoRA by the names in its file: which tensors belong together, and where they go.

Trainers name the same layer in many ways: peft, kohya's scripts, LyCORIS, and diffusers in three of
its ages. Here each becomes one `Layer`, of one of the forms in which a change of weights is
written. Pure: it sees names, never a tensor.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PAINTER = "unet"  # the network that paints, also where it is a transformer
LORA, LOHA, LOKR, FULL = "LoRA", "LoHa", "LoKr", "whole weights"
# What stands before the name of a place, and the part of the model that it means.
_BEFORE = (
    ("lora_unet_", PAINTER),
    ("lora_transformer_", PAINTER),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("lycoris_", PAINTER),
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
# What else a layer is written in, by LyCORIS and by peft.
_PIECE = re.compile(
    r"(?P<path>.+)\.(?P<piece>hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2|lora_mid|"
    r"dora_scale|lora_magnitude_vector(?:\.(?!weight)\w+)?|diff_b|diff|alpha)(?:\.weight)?"
)
# What makes a DoRA of it, by peft and by LyCORIS.
PEFTS = "lora_magnitude_vector"
MAGNITUDES = (PEFTS, "dora_scale")
# The pieces of each form; those in the second place may be missing, together.
_FORMS = (
    (LORA, ("down", "up"), ("lora_mid",)),
    (LOHA, ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), ("hada_t1", "hada_t2")),
    (LOKR, ("lokr_w1", "lokr_w2"), ()),
    (LOKR, ("lokr_w1_a", "lokr_w1_b", "lokr_w2"), ()),
    (LOKR, ("lokr_w1", "lokr_w2_a", "lokr_w2_b"), ("lokr_t2",)),
    (LOKR, ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"), ("lokr_t2",)),
    (FULL, ("diff",), ()),
    (FULL, ("diff_b",), ()),
)
# Other kinds by a piece of a name; and what may lie beside layers, which then were painted by half.
_KINDS = (
    (".oft_", "it is an OFT"),
    (".boft_", "it is a BOFT"),
    (".a1.weight", "it is a GLoRA"),
    (".on_input", "it is an (IA)³"),
    (".ia3_l", "it is an (IA)³"),
)
_BESIDE = (
    ("lora_controlnet", "it is a Control LoRA"),
    ("norm.scale", "it is a Control LoRA"),
    ("w_norm", "it also changes norms"),
    ("b_norm", "it also changes norms"),
    (".set_weight", "it also replaces weights"),
    (".reshape_weight", "it also makes layers larger"),
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
    """One layer: `place` is its name with underscores for dots, `pieces` name its tensors."""

    part: str
    place: str
    form: str
    pieces: Mapping[str, str]

    @property
    def magnitude(self) -> str:
        """The tensor that makes it a DoRA."""
        return next((self.pieces[name] for name in MAGNITUDES if name in self.pieces), "")

    @property
    def kind(self) -> str:
        if not self.magnitude:
            return self.form
        return "DoRA" if self.form == LORA else f"{self.form} with DoRA"


def layers_of(names: Iterable[str]) -> list[Layer]:
    """In the order of the file. `ValueError` says in words what cannot be painted as it is."""
    names = list(names)
    pieces: dict[str, dict[str, str]] = {}
    strange = []
    for name in names:
        path, piece = _read(name)
        if not path:
            strange.append(name)
        elif piece in pieces.setdefault(path, {}):
            raise ValueError(f"it holds {path} twice")
        else:
            pieces[path][piece] = name
    layered = any(there.keys() - {"alpha"} for there in pieces.values())
    if strange or not layered:
        raise ValueError(_what_it_is(names, strange, layered))
    return [Layer(*_placed(path), _form(path, there), there) for path, there in pieces.items()]


def kind_of(layers: Iterable[Layer]) -> str:
    """Of a whole file, in words."""
    kinds = sorted({layer.kind for layer in layers})
    return " and ".join(filter(None, (", ".join(kinds[:-1]), *kinds[-1:])))


def _read(name: str) -> tuple[str, str]:
    """The layer that a tensor belongs to, and which of its pieces it is."""
    if match := _HALF.fullmatch(name):
        return match["path"], "down" if match["half"] in _DOWN else "up"
    if match := _PIECE.fullmatch(name):
        return match["path"], PEFTS if PEFTS in match["piece"] else match["piece"]
    return "", ""


def _form(path: str, pieces: Mapping[str, str]) -> str:
    own = set(pieces) - {"alpha", *MAGNITUDES}
    own = own - {"diff_b"} or own
    if not own or (own == {"diff_b"} and len(pieces) > 1):
        one = min(name for piece, name in pieces.items() if piece != "diff_b")
        raise ValueError(f"its {one} belongs to no layer; fetch it again")
    for form, needed, more in _FORMS:
        if own in ({*needed}, {*needed, *more}):
            return form
    near = list(dict.fromkeys(form for form, *some in _FORMS if own & {*some[0], *some[1]}))
    if len(near) > 1:
        raise ValueError(f"its layer {path} is a {' and a '.join(near)} at once")
    raise ValueError(f"the pieces of its layer {path} do not make a {near[0]}; fetch it again")


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
