"""Large models as their makers shaped them, with random weights: nothing has to be fetched.

Speed and memory are those of the real ones; the pictures are noise. `tiny` is the same in small.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from studio.engine.embedded import END, MERGES, START, scheduler, tokenizer, vocabulary

Given = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Denoiser:
    """`given` is what one step at 1024 x 1024 is called with."""

    build: Callable[[], nn.Module]
    given: Callable[[str], Given]
    channels_last: bool = False


@contextmanager
def on(device: str, dtype: torch.dtype) -> Iterator[None]:
    """What is built in here lies there from the start: on a CPU it would take minutes."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(usual)


def denoisers(tiny: bool) -> dict[str, Denoiser]:
    side = 8 if tiny else 64  # of the picture, in patches of 16 pixels
    return {
        "sdxl": Denoiser(lambda: sdxl_unet(tiny), lambda d: _sdxl_given(tiny, 2, d), True),
        "flux-schnell": Denoiser(lambda: _flux(tiny), lambda d: _flux_given(tiny, side, d)),
        "klein-4b": Denoiser(lambda: klein(4, tiny), lambda d: _klein_given(4, tiny, side, 0, d)),
        "klein-4b, 1 reference": Denoiser(
            lambda: klein(4, tiny), lambda d: _klein_given(4, tiny, side, 1, d)
        ),
        "klein-4b, 4 references": Denoiser(
            lambda: klein(4, tiny), lambda d: _klein_given(4, tiny, side, 4, d)
        ),
        "klein-9b": Denoiser(lambda: klein(9, tiny), lambda d: _klein_given(9, tiny, side, 0, d)),
    }


def sdxl(folder: Path, tiny: bool, device: str) -> None:
    """A whole SDXL as a folder on disk, as the hub would give it."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with on(device, dtype):
        networks = {
            "text_encoder": CLIPTextModel(_clip(768, 12, 12, tiny)),
            "text_encoder_2": CLIPTextModelWithProjection(_clip(1280, 32, 20, tiny)),
            "unet": sdxl_unet(tiny),
            "vae": _sdxl_vae(tiny),
        }
    pipeline = StableDiffusionXLPipeline(
        **networks,
        tokenizer=tokenizer(MERGES, END),
        tokenizer_2=tokenizer(MERGES, "!"),
        scheduler=scheduler(),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)


def sdxl_unet(tiny: bool) -> UNet2DConditionModel:
    small: Given = {"block_out_channels": (32, 64, 128), "attention_head_dim": (2, 4, 8)}
    small |= {"cross_attention_dim": 64, "projection_class_embeddings_input_dim": 6 * 256 + 32}
    full: Given = {"block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20)}
    full |= {"cross_attention_dim": 2048, "projection_class_embeddings_input_dim": 2816}
    return UNet2DConditionModel(
        sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1 if tiny else (1, 2, 10),
        layers_per_block=2,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        **(small if tiny else full),
    )


def _sdxl_given(tiny: bool, batch: int, device: str) -> Given:
    side, width, pooled = (16, 64, 32) if tiny else (128, 2048, 1280)
    with torch.device(device):
        about = {"text_embeds": torch.randn(batch, pooled), "time_ids": torch.zeros(batch, 6)}
        return {
            "sample": torch.randn(batch, 4, side, side),
            "timestep": torch.tensor(500),
            "encoder_hidden_states": torch.randn(batch, 77, width),
            "added_cond_kwargs": about,
        }


def _clip(width: int, layers: int, heads: int, tiny: bool) -> CLIPTextConfig:
    tokens = vocabulary(MERGES)
    return CLIPTextConfig(
        vocab_size=len(tokens) if tiny else 49408,
        hidden_size=32 if tiny else width,
        intermediate_size=64 if tiny else 4 * width,
        projection_dim=32 if tiny else width,
        num_hidden_layers=2 if tiny else layers,
        num_attention_heads=4 if tiny else heads,
        max_position_embeddings=77,
        bos_token_id=tokens[START],
        eos_token_id=tokens[END],
        pad_token_id=tokens[END],
    )


def _sdxl_vae(tiny: bool) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4 if tiny else (128, 256, 512, 512),
        layers_per_block=2,
        sample_size=1024,
        scaling_factor=0.13025,
    )


def _flux(tiny: bool) -> nn.Module:
    small = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2}
    return FluxTransformer2DModel(**(small if tiny else {}))


def _flux_given(tiny: bool, side: int, device: str) -> Given:
    with torch.device(device):
        return {
            "hidden_states": torch.randn(1, side**2, 64),
            "encoder_hidden_states": torch.randn(1, 8 if tiny else 256, 4096),
            "pooled_projections": torch.randn(1, 768),
            "timestep": torch.tensor([0.5]),
            "img_ids": torch.zeros(side**2, 3),
            "txt_ids": torch.zeros(8 if tiny else 256, 3),
        }


KLEIN = {4: (5, 20, 24, 7680), 9: (8, 24, 32, 12288)}  # double and single layers, heads, words


def klein(billions: int, tiny: bool) -> nn.Module:
    double, single, heads, words = KLEIN[billions]
    return Flux2Transformer2DModel(
        num_layers=1 if tiny else double,
        num_single_layers=1 if tiny else single,
        num_attention_heads=2 if tiny else heads,
        joint_attention_dim=32 if tiny else words,
        guidance_embeds=False,
    )


def _klein_given(billions: int, tiny: bool, side: int, references: int, device: str) -> Given:
    words, width = (8, 32) if tiny else (512, KLEIN[billions][3])
    cells = side**2 * (1 + references)
    with torch.device(device):
        return {
            "hidden_states": torch.randn(1, cells, 128),
            "encoder_hidden_states": torch.randn(1, words, width),
            "timestep": torch.tensor([0.5]),
            "img_ids": torch.zeros(1, cells, 4),
            "txt_ids": torch.zeros(1, words, 4),
        }
