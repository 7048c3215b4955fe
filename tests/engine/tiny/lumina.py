"""Lumina-Next in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, LuminaNextDiT2DModel, LuminaPipeline
from transformers import GemmaConfig, GemmaModel

from tests.engine.tiny.parts import WIDTH, gemma_tokenizer, seeded, vae

CARDS = ("lumina-next",)


def build(card: str) -> Any:
    tokenizer = gemma_tokenizer()
    reader = GemmaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=8,
    )
    transformer = LuminaNextDiT2DModel(
        sample_size=8,
        hidden_size=32,
        num_layers=2,
        num_attention_heads=4,
        num_kv_heads=2,
        multiple_of=16,
        cross_attention_dim=WIDTH,
    )
    return LuminaPipeline(
        transformer=seeded(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(4),
        text_encoder=seeded(GemmaModel(reader)),
        tokenizer=tokenizer,
    )
