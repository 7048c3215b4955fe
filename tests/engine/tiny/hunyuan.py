"""Hunyuan-DiT 1.2 in small."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import DDPMScheduler, HunyuanDiT2DModel, HunyuanDiTPipeline
from transformers import BertConfig, BertModel, BertTokenizer

from tests.engine.tiny.parts import WIDTH, seeded, t5, t5_tokenizer, vae

CARDS = ("hunyuan-dit",)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build(card: str) -> Any:
    tokenizer = _tokenizer()
    reader = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
    )
    transformer = HunyuanDiT2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        patch_size=2,
        sample_size=8,
        hidden_size=32,
        num_layers=4,
        mlp_ratio=2.0,
        cross_attention_dim=WIDTH,
        cross_attention_dim_t5=WIDTH,
        pooled_projection_dim=WIDTH,
        use_style_cond_and_image_meta_size=False,
    )
    return HunyuanDiTPipeline(
        vae=vae(4),
        text_encoder=seeded(BertModel(reader)),
        tokenizer=tokenizer,
        transformer=seeded(transformer),
        scheduler=DDPMScheduler(
            beta_start=0.00085,
            beta_end=0.018,
            beta_schedule="scaled_linear",
            clip_sample=False,
            prediction_type="v_prediction",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
    )


def _tokenizer() -> BertTokenizer:
    """Each letter is a token, at the beginning of a word and within."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*SPECIAL, *letters, *("##" + letter for letter in letters)]
    return BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, model_max_length=77
    )
