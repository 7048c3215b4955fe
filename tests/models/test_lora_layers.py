"""The layers of a LoRA by their names, in every layout that trainers write; and what is no LoRA."""

from typing import Any

import pytest

from studio.models.lora_bases import bases_of
from studio.models.lora_layers import Layer, kind_of, layers_of
from studio.models.lora_shapes import Size, size_of

PLACE = "double_blocks_0_img_attn_proj"
DOTTED = "double_blocks.0.img_attn.proj"


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (f"transformer.{DOTTED}.lora_A.weight", f"transformer.{DOTTED}.lora_B.weight"),
        (f"base_model.model.{DOTTED}.lora_A.weight", f"base_model.model.{DOTTED}.lora_B.weight"),
        (f"diffusion_model.{DOTTED}.lora_A.weight", f"diffusion_model.{DOTTED}.lora_B.weight"),
        (f"{DOTTED}.lora_A.default.weight", f"{DOTTED}.lora_B.default.weight"),
        (f"lora_unet_{PLACE}.lora_down.weight", f"lora_unet_{PLACE}.lora_up.weight"),
        (f"unet.{DOTTED}.lora.down.weight", f"unet.{DOTTED}.lora.up.weight"),
        (f"unet.{DOTTED}_lora.down.weight", f"unet.{DOTTED}_lora.up.weight"),
    ],
)
def test_every_layout_names_the_same_layer(down: str, up: str) -> None:
    assert layers_of([up, down]) == [Layer("unet", PLACE, "LoRA", {"down": down, "up": up})]


def test_alphas_and_text_encoders_are_told_apart() -> None:
    names = [
        f"lora_te2_text_model_x.{end}" for end in ("lora_up.weight", "alpha", "lora_down.weight")
    ]
    names += [f"text_encoder.x.lora_linear_layer.{half}.weight" for half in ("down", "up")]
    second, first = layers_of(names)
    assert (second.part, second.place) == ("text_encoder_2", "text_model_x")
    assert second.pieces["alpha"] == "lora_te2_text_model_x.alpha"
    assert (first.part, first.place, sorted(first.pieces)) == ("text_encoder", "x", ["down", "up"])


def test_the_oldest_form_named_the_processor() -> None:
    names = [f"unet.mid.attn1.processor.to_q_lora.{half}.weight" for half in ("down", "up")]
    assert layers_of(names)[0].place == "mid_attn1_to_q"


BOTH = ["x.lora_A.weight", "x.lora_B.weight"]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["x.oft_diag"], "it is an OFT, which this version does not paint"),
        (["x.oft_blocks", "x.alpha"], "it is an OFT, which this version does not paint"),
        (["x.a1.weight", "x.b1.weight"], "it is a GLoRA, which this version does not paint"),
        (["x.on_input", "x.weight"], "it is an (IA)³, which this version does not paint"),
        ([*BOTH, "y.w_norm"], "it also changes norms, which this version does not paint"),
        (["x.lokr_w1", "x.lokr_w2", "y.b_norm"], "it also changes norms, which this version"),
        ([*BOTH, "y.set_weight"], "it also replaces weights, which this version does not paint"),
        ([*BOTH, "x.lora_B.bias"], "it also changes biases, which this version does not paint"),
        ([*BOTH, "lora_controlnet"], "it is a Control LoRA, which this version does not paint"),
        ([*BOTH, "something.else"], "it holds something.else, which is no layer of a LoRA"),
        (
            [*BOTH, "y.lora_A.weight"],
            "the pieces of its layer y do not make a LoRA; fetch it again",
        ),
        (["y.hada_w1_a", "y.hada_w1_b"], "the pieces of its layer y do not make a LoHa"),
        (["y.lokr_w1", "y.lokr_w2_a"], "the pieces of its layer y do not make a LoKr"),
        (["y.lokr_w1", "y.lokr_w1_a", "y.lokr_w2"], "the pieces of its layer y do not make a LoKr"),
        ([*BOTH, "x.lokr_w1", "x.lokr_w2"], "its layer x is a LoRA and a LoKr at once"),
        ([*BOTH, "y.dora_scale"], "its y.dora_scale belongs to no layer; fetch it again"),
        (["x.diff_b", "x.dora_scale"], "its x.dora_scale belongs to no layer; fetch it again"),
        ([*BOTH, "x.lora_down.weight"], "it holds x twice"),
        ([*BOTH, "y.alpha"], "its y.alpha belongs to no layer; fetch it again"),
        (["model.diffusion_model.x.weight"], "it is no LoRA but a checkpoint"),
        (["double_blocks.0.img_attn.norm.query_norm.scale"], "it is no LoRA but a checkpoint"),
        (["encoder.conv_in.weight", "decoder.x.bias"], "it is no LoRA but a VAE"),
        (["emb_params"], "it is no LoRA but a textual inversion"),
        (["control_model.x.weight"], "it is no LoRA but a ControlNet"),
        (["x"], "it holds no LoRA layers"),
    ],
)
def test_what_would_be_painted_by_half_is_refused_by_its_name(names: list[str], why: str) -> None:
    with pytest.raises(ValueError) as refusal:
        layers_of(names)
    assert str(refusal.value).startswith(why)


HADA = [f"x.hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")]


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (BOTH, "LoRA"),
        ([*BOTH, "x.lora_mid.weight"], "LoRA"),
        ([*BOTH, "x.diff_b"], "LoRA"),
        ([*BOTH, "x.dora_scale"], "DoRA"),
        ([*BOTH, "x.lora_magnitude_vector"], "DoRA"),
        ([*BOTH, "x.lora_magnitude_vector.default.weight"], "DoRA"),
        ([*BOTH, "x.lora_magnitude_vector.weight"], "DoRA"),
        (HADA, "LoHa"),
        ([*HADA, "x.hada_t1", "x.hada_t2", "x.alpha"], "LoHa"),
        ([*HADA, "x.dora_scale"], "LoHa with DoRA"),
        (["x.lokr_w1", "x.lokr_w2", "x.alpha"], "LoKr"),
        (["x.lokr_w1_a", "x.lokr_w1_b", "x.lokr_w2"], "LoKr"),
        (["x.lokr_w1", "x.lokr_w2_a", "x.lokr_w2_b", "x.lokr_t2"], "LoKr"),
        (["x.lokr_w1_a", "x.lokr_w1_b", "x.lokr_w2_a", "x.lokr_w2_b"], "LoKr"),
        (["x.diff", "x.diff_b"], "whole weights"),
        (["y.lokr_w1", "y.lokr_w2", *BOTH, "z.diff"], "LoKr, LoRA and whole weights"),
    ],
)
def test_every_form_is_known_by_its_pieces(names: list[str], kind: str) -> None:
    layers = layers_of(names)
    assert kind_of(layers) == kind
    assert sum(len(layer.pieces) for layer in layers) == len(names)


def test_lycoris_has_a_prefix_of_its_own() -> None:
    names = [f"lycoris_{PLACE}.lokr_w{number}" for number in (1, 2)]
    (layer,) = layers_of(names)
    assert (layer.part, layer.place, layer.form) == ("unet", PLACE, "LoKr")


def sized(**shapes: tuple[int, ...]) -> Size:
    named = {f"x.{piece.replace('__', '.')}": shape for piece, shape in shapes.items()}
    (layer,) = layers_of(named)
    return size_of(layer, named)


HALVES = {"hada_w1_a": (6, 2), "hada_w1_b": (2, 8), "hada_w2_a": (6, 2), "hada_w2_b": (2, 8)}
CORES = {"hada_t1": (2, 2, 3, 3), "hada_t2": (2, 2, 3, 3)}


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ({"lora_A__weight": (2, 8), "lora_B__weight": (6, 2)}, Size(6, 8, (), 2)),
        ({"lora_A__weight": (2, 8, 3, 3), "lora_B__weight": (6, 2, 1, 1)}, Size(6, 72, (3, 3), 2)),
        (
            {"lora_A__weight": (2, 8, 1, 1), "lora_B__weight": (6, 4), "lora_mid": (4, 2, 3, 3)},
            Size(6, 72, (3, 3), 2),
        ),
        (HALVES, Size(6, 8, None, 2)),
        (
            {name: shape[::-1] if "a" in name[-1] else shape for name, shape in HALVES.items()}
            | CORES,
            Size(6, 72, (3, 3), 2),
        ),
        ({"lokr_w1": (2, 4), "lokr_w2": (3, 2)}, Size(6, 8, (), None)),
        ({"lokr_w1": (2, 4), "lokr_w2": (3, 2, 3, 3)}, Size(6, 72, (3, 3), None)),
        ({"lokr_w1_a": (2, 5), "lokr_w1_b": (5, 4), "lokr_w2": (3, 2)}, Size(6, 8, (), 5)),
        ({"lokr_w1": (2, 4), "lokr_w2_a": (3, 5), "lokr_w2_b": (5, 18)}, Size(6, 72, None, 5)),
        (
            {"lokr_w1": (2, 4), "lokr_w2_a": (5, 3), "lokr_w2_b": (5, 2), "lokr_t2": (5, 5, 3, 3)},
            Size(6, 72, (3, 3), 5),
        ),
        ({"diff": (6, 8), "diff_b": (6,)}, Size(6, 8, (), None)),
        ({"diff_b": (6,)}, Size(6, 0, None, None)),
    ],
)
def test_shapes_tell_how_large_the_change_is(shapes: dict[str, Any], size: Size) -> None:
    assert sized(**shapes) == size


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"lora_A__weight": (2, 8), "lora_B__weight": (6, 3)}, "the pieces of its layer x do not"),
        ({"lora_A__weight": (0, 8), "lora_B__weight": (6, 0)}, "the pieces of its layer x do not"),
        (HALVES | {"hada_w2_b": (2, 9)}, "the pieces of its layer x do not fit together"),
        (HALVES | {"hada_w2_a": (6, 3)}, "the pieces of its layer x do not fit together"),
        (HALVES | CORES, "the pieces of its layer x do not fit together"),
        ({"diff": (6, 8), "diff_b": (7,)}, "the pieces of its layer x do not fit together"),
        ({"diff": (6,)}, "its layer x is no matrix"),
        ({"lokr_w1": (2, 4), "lokr_w2": (3,)}, "its layer x is no matrix"),
        ({"lora_A__weight": (513, 8), "lora_B__weight": (6, 513)}, "its rank is 513; the most is"),
        (
            {"lokr_w1": (2, 4), "lokr_w2_a": (3, 600), "lokr_w2_b": (600, 2)},
            "its rank is 600; the most is 512",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_its_shapes(
    shapes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        sized(**shapes)


SDXL = ("down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", (2048, 640))
FLUX = ("single_transformer_blocks_37_proj_out", (15360, 3072))
KLEIN = ("single_blocks_19_linear1", (3072, 27648))
SHARED = ("double_blocks_0_img_attn_proj", (3072, 3072))


@pytest.mark.parametrize(
    ("layer", "stated", "bases"),
    [
        (SDXL, [], ["stable-diffusion-xl-v1-base"]),
        (FLUX, [], ["flux-1", "chroma"]),
        (FLUX, ["flux-1-dev"], ["flux-1"]),
        (FLUX, ["chroma"], ["chroma"]),
        (FLUX, ["sdxl_base_v1-0"], ["flux-1", "chroma"]),  # layers do not lie
        (KLEIN, ["flux2"], ["flux-2-klein-4b"]),
        (SHARED, [], ["flux-1", "chroma", "flux-2-klein-4b"]),
        (SHARED, ["flux2_klein_4b"], ["flux-2-klein-4b"]),
        (("up_blocks_1_x", (7, 7)), ["pony"], ["pony"]),
        (("double_blocks_19_img_attn_proj", (3072, 3072)), [], []),  # there is no such block
    ],
)
def test_layers_are_asked_which_model_they_are_for(
    layer: tuple[str, tuple[int, int]], stated: list[str], bases: list[str]
) -> None:
    assert list(bases_of([layer], stated)) == bases
