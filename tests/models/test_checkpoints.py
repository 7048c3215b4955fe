"""Checkpoints in one file, told by headers as large as the real ones; no weights are needed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from studio.models.checkpoints import read_checkpoint

Shapes = Mapping[str, tuple[int, ...]]
NET = "model.diffusion_model."
CLIP = "text_model.embeddings.position_embedding.weight"


def write(file: Path, shapes: Shapes | Iterable[str], says: dict[str, str] | None = None) -> Path:
    """A file of holes: its header is true, and of its tensors the disk keeps no byte."""
    shapes = shapes if isinstance(shapes, Mapping) else dict.fromkeys(shapes, (1,))
    header: dict[str, object] = {"__metadata__": says} if says else {}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + at)
    return file


SDXL: Shapes = {
    f"{NET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{NET}label_emb.0.0.weight": (1280, 2816),
    f"{NET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    f"conditioner.embedders.0.transformer.{CLIP}": (77, 768),
    "conditioner.embedders.1.model.positional_embedding": (77, 1280),
}
FLUX: Shapes = {
    "double_blocks.0.img_attn.qkv.weight": (9216, 3072),
    "img_in.weight": (3072, 64),
    "guidance_in.in_layer.weight": (3072, 256),
}
ALL_IN_ONE: Shapes = {NET + name: shape for name, shape in FLUX.items()} | {
    "vae.decoder.conv_in.weight": (512, 16, 3, 3),
    f"text_encoders.clip_l.transformer.{CLIP}": (77, 768),
    "text_encoders.t5xxl.transformer.shared.weight": (32128, 4096),
}
SD35: Shapes = {
    f"{NET}joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536),
    f"{NET}joint_blocks.0.x_block.attn.ln_q.weight": (64,),
    "first_stage_model.decoder.conv_in.weight": (512, 16, 3, 3),
}
DUAL = {f"{NET}joint_blocks.0.x_block.attn2.qkv.weight": (4608, 1536)}


def without(shapes: Shapes, *beginnings: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not name.startswith(beginnings)}


@pytest.mark.parametrize(
    ("shapes", "architecture", "parts"),
    [
        (SDXL, "stable-diffusion-xl-v1-base", "unet vae text_encoder text_encoder_2"),
        (without(SDXL, "conditioner", "first"), "stable-diffusion-xl-v1-base", "unet"),
        (SDXL | {"edm_mean": (4,)}, "playground-v2.5", "unet vae text_encoder text_encoder_2"),
        (FLUX, "flux-1-dev", "transformer"),
        (without(FLUX, "guidance_in"), "flux-1-schnell", "transformer"),
        (ALL_IN_ONE, "flux-1-dev", "transformer vae text_encoder text_encoder_2"),
        (SD35, "stable-diffusion-v3.5-large", "transformer vae"),
        (SD35 | DUAL, "stable-diffusion-v3.5-medium", "transformer vae"),
    ],
)
def test_a_checkpoint_is_known_with_the_parts_it_holds(
    tmp_path: Path, shapes: Shapes, architecture: str, parts: str
) -> None:
    found = read_checkpoint(write(tmp_path / "a.safetensors", shapes))
    assert (found.architecture, " ".join(found.parts)) == (architecture, parts)
    assert not found.noise


def test_it_says_its_title_and_the_noise_it_was_taught_with(tmp_path: Path) -> None:
    says = {
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.title": " A\ntitle ",
        "modelspec.prediction_type": "v",
    }
    found = read_checkpoint(write(tmp_path / "a.safetensors", SDXL, says))
    assert found.told("title") == "A title" and found.told("author") == ""
    assert found.noise == {"prediction_type": "v_prediction"}
    marked: Shapes = SDXL | {"v_pred": (0,), "ztsnr": (0,)}
    assert read_checkpoint(write(tmp_path / "b.safetensors", marked)).noise == {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }
    turbo = {"modelspec.architecture": "stable-diffusion-xl-turbo-v1"}
    found = read_checkpoint(write(tmp_path / "c.safetensors", SDXL, turbo))
    assert found.architecture == "stable-diffusion-xl-turbo-v1"


UNET = f"{NET}input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ((UNET, f"cond_stage_model.transformer.{CLIP}"), "a Stable Diffusion 1 checkpoint; this"),
        ((UNET, "cond_stage_model.model.ln_final.bias"), "a Stable Diffusion 2 checkpoint; this"),
        ((UNET,), "a UNet of Stable Diffusion 1 or 2"),
        (SDXL | {UNET: (320, 9, 3, 3)}, "an SDXL checkpoint for inpainting alone"),
        (SDXL | {UNET: (320, 8, 3, 3)}, "an SDXL checkpoint that edits"),
        (
            {
                UNET: (1,),
                f"{NET}label_emb.0.0.weight": (1,),
                "conditioner.embedders.0.model.a": (1,),
            },
            "SDXL's refiner",
        ),
        (FLUX | {"img_in.weight": (3072, 384)}, "a FLUX.1 tool, as Fill"),
        (FLUX | {"double_stream_modulation_img.lin.weight": (1,)}, "a FLUX.2 checkpoint"),
        (FLUX | {"distilled_guidance_layer.in_proj.bias": (1,)}, "a Chroma checkpoint"),
        (FLUX | {"double_blocks.0.img_attn.qkv.weight.absmax": (1,)}, "quantised by bitsandbytes"),
        (FLUX | {"scaled_fp8": (2,)}, "quantised with scales"),
        (without(SD35, f"{NET}joint_blocks.0.x_block.attn.ln_q"), "a Stable Diffusion 3 check"),
        (("lora_unet_down_blocks_0.lora_up.weight",), "a LoRA; put it into the folder `loras`"),
        (("blocks.0.lokr_w1",), "a LoRA of the kind LoKr"),
        (("control_model.input_hint_block.0.weight", UNET), "a ControlNet"),
        (("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.a"), "a Control"),
        (("ip_adapter.1.to_k_ip.weight",), "an IP-Adapter"),
        (("emb_params",), "a textual inversion"),
        (("clip_l", "clip_g"), "a textual inversion"),
        (("decoder.up.0.block.0.conv1.weight",), "a VAE alone"),
        (("decoder.up_blocks.0.resnets.0.conv1.weight",), "a VAE alone"),
        (("text_model.encoder.layers.0.mlp.fc1.weight",), "a CLIP alone"),
        (("encoder.block.0.layer.0.SelfAttention.q.weight",), "a T5 alone"),
        (("model.layers.0.self_attn.q_proj.weight",), "a language model"),
        (("down_blocks.0.resnets.0.conv1.weight",), "one part of a diffusers folder; put the whol"),
        (("transformer_blocks.0.attn.to_q.weight",), "one part of a diffusers folder; put the wh"),
        (("conv_first.weight",), "it enlarges pictures; put it into the folder `upscalers`"),
        (("patchify_proj.weight",), "an LTX checkpoint, for films"),
        (("something.weight",), "it holds nothing that is known here; this studio paints SDXL"),
        ((), "it holds nothing that is known here"),
    ],
)
def test_what_is_not_painted_is_named(tmp_path: Path, shapes: Shapes, what: str) -> None:
    with pytest.raises(ValueError, match="^it ") as error:
        read_checkpoint(write(tmp_path / "a.safetensors", shapes))
    assert what in str(error.value)


def test_an_unknown_one_is_called_as_it_calls_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", ("x",), {"modelspec.architecture": "newest-v9"})
    with pytest.raises(ValueError, match="it calls itself 'newest-v9', which is not known here"):
        read_checkpoint(file)
