"""FLUX.2 klein in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

from tests.engine.tiny.parts import WIDTH, qwen_tokenizer, seeded

CARDS = ("flux2-klein-4b", "flux2-klein-9b")
ALIKE = ("flux2-klein-9b",)
LAYERS = 28  # the pipeline reads the 9th, the 18th and the 27th
# Qwen3's own, of one message and without thinking.
CHAT = (
    "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


def build(card: str) -> Any:
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=_vae(),
        text_encoder=_encoder(),
        tokenizer=_tokenizer(),
        transformer=transformer,
        is_distilled=True,
    )


def _encoder() -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(qwen_tokenizer()),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
    )
    return seeded(Qwen3ForCausalLM(config))  # type: ignore[return-value]


def _tokenizer() -> Qwen2Tokenizer:
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = CHAT
    return tokenizer


def _vae() -> AutoencoderKLFlux2:
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )
    vae.bn.running_mean.copy_(torch.linspace(-0.2, 0.2, 16))
    vae.bn.running_var.copy_(torch.linspace(0.5, 2.0, 16))
    return vae
