"""The layers of a LoRA by their names, in every layout that trainers write; and what is no LoRA."""

import pytest

from studio.models.lora_bases import bases_of
from studio.models.lora_layers import Layer, layers_of

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
    assert layers_of([up, down]) == [Layer("unet", PLACE, down, up)]


def test_alphas_and_text_encoders_are_told_apart() -> None:
    names = [
        f"lora_te2_text_model_x.{end}" for end in ("lora_up.weight", "alpha", "lora_down.weight")
    ]
    names += [f"text_encoder.x.lora_linear_layer.{half}.weight" for half in ("down", "up")]
    second, first = layers_of(names)
    assert (second.part, second.place) == ("text_encoder_2", "text_model_x")
    assert second.alpha == "lora_te2_text_model_x.alpha"
    assert (first.part, first.place, first.alpha) == ("text_encoder", "x", "")


def test_the_oldest_form_named_the_processor() -> None:
    names = [f"unet.mid.attn1.processor.to_q_lora.{half}.weight" for half in ("down", "up")]
    assert layers_of(names)[0].place == "mid_attn1_to_q"


BOTH = ["x.lora_A.weight", "x.lora_B.weight"]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([*BOTH, "x.dora_scale"], "it is a DoRA, which this version does not paint"),
        ([*BOTH, "x.lora_magnitude_vector"], "it is a DoRA, which this version does not paint"),
        (["x.lokr_w1", "x.lokr_w2", "x.alpha"], "it is a LoKr, which this version does not paint"),
        (["x.hada_w1_a", "x.hada_w1_b"], "it is a LoHa, which this version does not paint"),
        (["x.oft_diag"], "it is an OFT, which this version does not paint"),
        (["x.on_input", "x.weight"], "it is an (IA)³, which this version does not paint"),
        ([*BOTH, "x.lora_mid.weight"], "it is a LoCon with a Tucker core, which this version"),
        ([*BOTH, "y.diff"], "it also changes weights as a whole, which this version"),
        ([*BOTH, "x.lora_B.bias"], "it also changes biases, which this version does not paint"),
        ([*BOTH, "lora_controlnet"], "it is a Control LoRA, which this version does not paint"),
        ([*BOTH, "something.else"], "it holds something.else, which is no layer of a LoRA"),
        ([*BOTH, "y.lora_A.weight"], "its layer y lacks a half; fetch it again"),
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
