"""Stable Diffusion 3.5 in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import T5EncoderModel

from tests.engine.tiny.parts import WIDTH, clip, clip_tokenizer, seeded, t5, t5_tokenizer, vae

CARDS = ("sd3.5-medium", "sd3.5-large", "sd3.5-large-turbo")
ALIKE = ("sd3.5-large",)


def build(card: str) -> Any:
    wide = t5().config
    wide.d_model = 2 * WIDTH  # what both CLIPs say stands beside it, and is filled up to its width
    transformer = SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=32,
        dual_attention_layers=(0,) if card == "sd3.5-medium" else (),
        qk_norm="rms_norm",
    )
    return StableDiffusion3Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(4, shift=0.1),
        text_encoder=clip(projected=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip(projected=True),
        tokenizer_2=clip_tokenizer("!"),
        text_encoder_3=seeded(T5EncoderModel(wide)),
        tokenizer_3=t5_tokenizer(),
        transformer=transformer,
    )
