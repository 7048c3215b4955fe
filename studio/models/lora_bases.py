"""Which models a LoRA is for: what its file says, held against the names and shapes of its layers.

Layers do not lie: where they fit no model that the file names, they are believed and not the file.
A table below holds how the layers of each model are called, by its makers and by diffusers, and
how wide they are. What is of no known shape is for what the file says, if it says anything.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

TITLES = {
    "stable-diffusion-xl-v1-base": "SDXL",
    "stable-diffusion-v1": "Stable Diffusion 1",
    "stable-diffusion-v2": "Stable Diffusion 2",
    "stable-diffusion-v3-medium": "Stable Diffusion 3",
    "stable-diffusion-v3.5-medium": "Stable Diffusion 3.5 medium",
    "stable-diffusion-v3.5-large": "Stable Diffusion 3.5 large",
    "flux-1": "FLUX.1",
    "chroma": "Chroma",
    "flux-2-dev": "FLUX.2 dev",
    "flux-2-klein-4b": "FLUX.2 klein 4B",
    "flux-2-klein-9b": "FLUX.2 klein 9B",
    "qwen-image": "Qwen-Image",
    "z-image": "Z-Image",
    "sana-1.5": "Sana 1.5",
    "starter": "Darkroom Starter",
}
# How files begin to name a base (ModelSpec, kohya's scripts, ai-toolkit), and how ours begin then.
_WORDS = (
    ("sdxl", "stable-diffusion-xl"),
    ("stable-diffusion-xl", "stable-diffusion-xl"),
    ("sd-v1", "stable-diffusion-v1"),
    ("sd-1", "stable-diffusion-v1"),
    ("sd1", "stable-diffusion-v1"),
    ("sd-v2", "stable-diffusion-v2"),
    ("sd-2", "stable-diffusion-v2"),
    ("stable-diffusion-v1", "stable-diffusion-v1"),
    ("stable-diffusion-v2", "stable-diffusion-v2"),
    ("stable-diffusion-v3-5", "stable-diffusion-v3.5"),
    ("stable-diffusion-3-5", "stable-diffusion-v3.5"),
    ("stable-diffusion-v3", "stable-diffusion-v3"),
    ("stable-diffusion-3", "stable-diffusion-v3"),
    ("sd3", "stable-diffusion-v3"),
    ("flux-2-klein-4b", "flux-2-klein-4b"),
    ("flux-2-klein-9b", "flux-2-klein-9b"),
    ("flux2-klein-4b", "flux-2-klein-4b"),
    ("flux2-klein-9b", "flux-2-klein-9b"),
    ("flux-2", "flux-2"),
    ("flux2", "flux-2"),
    ("flux", "flux-1"),
    ("chroma", "chroma"),
    ("qwen-image", "qwen-image"),
    ("z-image", "z-image"),
    ("zimage", "z-image"),
    ("sana", "sana"),
)
MOST_FIT = 0.5  # of its layers must be a model's for that model to be meant
_NUMBER = re.compile(r"(?<![^_])\d+(?![^_])")
Sides = tuple[int, int]  # how many numbers go into a layer, and how many come out
# By a name with # for its numbers: the first of these numbers, and what sides such a layer has.
_Shape = dict[str, dict[int, set[Sides]]]


def bases_of(layers: Iterable[tuple[str, Sides]], stated: Iterable[str]) -> tuple[str, ...]:
    """The models it may be for; none if nobody can say. `layers` are those of the painter."""
    fitting = _fitting(list(layers))
    named = dict.fromkeys(base for word in stated for base in _bases_named(word))
    both = [base for base in named if base in fitting]
    return tuple(both or fitting or named)


def title_of(base: str) -> str:
    return TITLES.get(base, base)


def _bases_named(word: str) -> list[str]:
    """The longest known beginning decides; a word that nobody knows is a base by itself."""
    plain = re.sub(r"[\s._]+", "-", word.strip().lower().rpartition("/")[2])
    for beginning, ours in sorted(_WORDS, key=lambda pair: -len(pair[0])):
        if plain.startswith(beginning):
            return [base for base in TITLES if base.startswith(ours)]
    return [word.strip()] if word.strip() else []


def _fitting(layers: list[tuple[str, Sides]]) -> list[str]:
    if not layers:
        return []
    named = [(_NUMBER.sub("#", name), _first(name), sides) for name, sides in layers]
    fits = Counter(
        base
        for base, shape in SHAPES.items()
        for name, first, sides in named
        if sides in shape.get(name, {}).get(first, ())
    )
    most = max(fits.values(), default=0)
    if most < MOST_FIT * len(layers):
        return []
    return [base for base in SHAPES if fits[base] == most]


def _first(name: str) -> int:
    found = _NUMBER.search(name)
    return int(found.group()) if found else 0


def _blocks(*kinds: tuple[str, int, Mapping[str, Sides]]) -> _Shape:
    """(how its blocks begin, how many there are, the layers in each)"""
    shape: _Shape = {}
    for beginning, count, layers in kinds:
        for name, sides in layers.items():
            firsts = shape.setdefault(f"{beginning}_#_{_NUMBER.sub('#', name)}", {})
            for first in range(count):
                firsts.setdefault(first, set()).add(sides)
    return shape


ATTENTION = ("to_q", "to_k", "to_v", "to_out_0")
BESIDE = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")  # of the words, in one attention


def _ours(wide: int) -> dict[str, Sides]:
    """Attention that picture and words share, as diffusers calls it."""
    return {f"attn_{name}": (wide, wide) for name in (*ATTENTION, *BESIDE)}


def _theirs(wide: int, streams: tuple[str, str], mlp: dict[str, Sides]) -> dict[str, Sides]:
    """The same as its makers call it, and what comes after it."""
    attention = {"attn_qkv": (wide, 3 * wide), "attn_proj": (wide, wide)}
    return {
        f"{stream}_{name}": sides for stream in streams for name, sides in (attention | mlp).items()
    }


def _mlp(wide: int, times: int, first: str, second: str) -> dict[str, Sides]:
    return {first: (wide, times * wide), second: (times * wide, wide)}


def _flux(*, modulated: bool) -> _Shape:
    wide = 3072
    ours = _ours(wide) | _mlp(wide, 4, "ff_net_0_proj", "ff_net_2")
    ours |= _mlp(wide, 4, "ff_context_net_0_proj", "ff_context_net_2")
    theirs = _theirs(wide, ("img", "txt"), _mlp(wide, 4, "mlp_0", "mlp_2"))
    one = {f"attn_{name}": (wide, wide) for name in ATTENTION[:3]}
    one |= {"proj_mlp": (wide, 4 * wide), "proj_out": (5 * wide, wide)}
    fused = {"linear1": (wide, 7 * wide), "linear2": (5 * wide, wide)}
    if modulated:
        ours |= {"norm1_linear": (wide, 6 * wide), "norm1_context_linear": (wide, 6 * wide)}
        theirs |= {"img_mod_lin": (wide, 6 * wide), "txt_mod_lin": (wide, 6 * wide)}
        one["norm_linear"] = fused["modulation_lin"] = (wide, 3 * wide)
    return _blocks(
        ("transformer_blocks", 19, ours),
        ("double_blocks", 19, theirs),
        ("single_transformer_blocks", 38, one),
        ("single_blocks", 38, fused),
    )


def _flux2(wide: int, double: int, single: int) -> _Shape:
    """Its feed-forward layers have a gate, so that what goes in is twice as wide."""
    halves = {"linear_in": (wide, 6 * wide), "linear_out": (3 * wide, wide)}
    ours = _ours(wide) | {
        f"{ff}_{name}": sides for ff in ("ff", "ff_context") for name, sides in halves.items()
    }
    mlp = {"mlp_0": halves["linear_in"], "mlp_2": halves["linear_out"]}
    one = {"to_qkv_mlp_proj": (wide, 9 * wide), "to_out": (4 * wide, wide)}
    return _blocks(
        ("transformer_blocks", double, ours),
        ("double_blocks", double, _theirs(wide, ("img", "txt"), mlp)),
        ("single_transformer_blocks", single, {f"attn_{name}": at for name, at in one.items()}),
        ("single_blocks", single, dict(zip(("linear1", "linear2"), one.values(), strict=True))),
    )


def _sd3(wide: int, blocks: int, twice: int) -> _Shape:
    """`twice`: so many of its blocks look at the picture a second time."""
    ours = _ours(wide) | _mlp(wide, 4, "ff_net_0_proj", "ff_net_2")
    ours |= _mlp(wide, 4, "ff_context_net_0_proj", "ff_context_net_2")
    mlp = _mlp(wide, 4, "mlp_fc1", "mlp_fc2")
    return _blocks(
        ("transformer_blocks", blocks, ours),
        ("joint_blocks", blocks, _theirs(wide, ("x_block", "context_block"), mlp)),
        ("transformer_blocks", twice, {f"attn2_{name}": (wide, wide) for name in ATTENTION}),
        ("joint_blocks", twice, {"x_block_attn2_qkv": (wide, 3 * wide)}),
        ("joint_blocks", twice, {"x_block_attn2_proj": (wide, wide)}),
    )


def _qwen() -> _Shape:
    wide = 3072
    layers = _ours(wide) | {"img_mod_1": (wide, 6 * wide), "txt_mod_1": (wide, 6 * wide)}
    layers |= _mlp(wide, 4, "img_mlp_net_0_proj", "img_mlp_net_2")
    return _blocks(
        ("transformer_blocks", 60, layers | _mlp(wide, 4, "txt_mlp_net_0_proj", "txt_mlp_net_2"))
    )


def _zimage() -> _Shape:
    wide, gate = 3840, 10240
    layers = {f"attention_{name}": (wide, wide) for name in (*ATTENTION, "out")}
    layers |= {"attention_qkv": (wide, 3 * wide), "adaLN_modulation_0": (256, 4 * wide)}
    layers |= {"feed_forward_w1": (wide, gate), "feed_forward_w3": (wide, gate)}
    layers |= {"feed_forward_w2": (gate, wide)}
    refining = [("noise_refiner", 2, layers), ("context_refiner", 2, layers)]
    return _blocks(("layers", 30, layers), *refining)


def _sana() -> _Shape:
    wide = 2240
    names = [f"{attention}_{name}" for attention in ("attn1", "attn2") for name in ATTENTION]
    return _blocks(("transformer_blocks", 60, dict.fromkeys(names, (wide, wide))))


def _unet(words: int, *blocks: tuple[str, int, int]) -> _Shape:
    """(which block by diffusers' or the makers' name, its number, how wide it is)"""
    shape: _Shape = {}
    for kind, number, wide in blocks:
        layers = {f"{at}_{name}": {(wide, wide)} for at in ("attn1", "attn2") for name in ATTENTION}
        layers |= {f"attn2_{name}": {(words, wide)} for name in ("to_k", "to_v")}
        layers |= {"ff_net_0_proj": {(wide, 8 * wide)}, "ff_net_2": {(4 * wide, wide)}}
        ahead = f"{kind}_#_attentions_#" if kind in ("down_blocks", "up_blocks") else f"{kind}_#_#"
        ahead = {"mid_block": "mid_block_attentions_#", "middle_block": "middle_block_#"}.get(
            kind, ahead
        )
        for name, sides in layers.items():
            whole = f"{ahead}_transformer_blocks_#_{_NUMBER.sub('#', name)}"
            shape.setdefault(whole, {}).setdefault(number, set()).update(sides)
        for name in ("proj_in", "proj_out"):
            shape.setdefault(f"{ahead}_{name}", {})[number] = {(wide, wide)}
    return shape


_SDXL = (
    *(("down_blocks", 1, 640), ("down_blocks", 2, 1280), ("mid_block", 0, 1280)),
    *(("up_blocks", 0, 1280), ("up_blocks", 1, 640), ("middle_block", 1, 1280)),
    *(("input_blocks", number, 640) for number in (4, 5)),
    *(("input_blocks", number, 1280) for number in (7, 8)),
    *(("output_blocks", number, 1280) for number in (0, 1, 2)),
    *(("output_blocks", number, 640) for number in (3, 4, 5)),
)
_SD1 = (
    *(("down_blocks", number, 320 * 2**number) for number in range(3)),
    *(("up_blocks", number, 320 * 2 ** (3 - number)) for number in range(1, 4)),
    *(("mid_block", 0, 1280), ("middle_block", 1, 1280)),
    *(("input_blocks", number, 320 * 2 ** (number // 3)) for number in (1, 2, 4, 5, 7, 8)),
    *(("output_blocks", number, 320 * 2 ** (3 - number // 3)) for number in range(3, 12)),
)
SHAPES: dict[str, _Shape] = {
    "stable-diffusion-xl-v1-base": _unet(2048, *_SDXL),
    "stable-diffusion-v1": _unet(768, *_SD1),
    "stable-diffusion-v2": _unet(1024, *_SD1),
    "stable-diffusion-v3-medium": _sd3(1536, 24, 0),
    "stable-diffusion-v3.5-medium": _sd3(1536, 24, 13),
    "stable-diffusion-v3.5-large": _sd3(2432, 38, 0),
    "flux-1": _flux(modulated=True),
    "chroma": _flux(modulated=False),
    "flux-2-dev": _flux2(6144, 8, 48),
    "flux-2-klein-4b": _flux2(3072, 5, 20),
    "flux-2-klein-9b": _flux2(4096, 8, 24),
    "qwen-image": _qwen(),
    "z-image": _zimage(),
    "sana-1.5": _sana(),
}
