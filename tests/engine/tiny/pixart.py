"""PixArt-Sigma in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import (
    DPMSolverMultistepScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
)

from tests.engine.tiny.parts import WIDTH, seeded, t5, t5_tokenizer, vae

CARDS = ("pixart-sigma",)


def build(card: str) -> Any:
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        cross_attention_dim=32,
        sample_size=8,
        caption_channels=WIDTH,
        use_additional_conditions=False,
    )
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=vae(4),
        transformer=seeded(transformer),
        scheduler=DPMSolverMultistepScheduler(),
    )
