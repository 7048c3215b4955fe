"""Chroma in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import ChromaPipeline, ChromaTransformer2DModel, FlowMatchEulerDiscreteScheduler

from tests.engine.tiny.parts import WIDTH, t5, t5_tokenizer, vae

CARDS = ("chroma",)


def build(card: str) -> Any:
    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        approximator_num_channels=16,
        approximator_hidden_dim=WIDTH,
        approximator_layers=1,
    )
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(4, shift=0.1),
        text_encoder=t5(),
        tokenizer=t5_tokenizer(),
        transformer=transformer,
    )
