"""What several families in small are built of: real classes of transformers with random weights.

Each module beside this has `CARDS`, the cards that must be able to paint with it, `build`, and
`ALIKE` for cards that differ from others there in numbers alone.
"""

# mypy: disable-error-code="no-untyped-call"
import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    GemmaTokenizer,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from studio.engine.embedded import END, MERGES, START, tokenizer, vocabulary

WIDTH = 32


def seeded(part: nn.Module) -> nn.Module:
    """Weights that are the same in every run; biases too, or much would be zero."""
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in part.parameters():
            noise = torch.randn(weight.shape, generator=dice)
            weight.copy_(noise * 0.02 if weight.ndim < 2 else noise / weight[0].numel() ** 0.5)
            if weight.ndim < 2:
                weight.add_(1 if "norm" in str(type(part)).lower() else 0)
    return part


def clip_tokenizer(padding: str = END) -> CLIPTokenizer:
    return tokenizer(MERGES, padding)


def clip(*, projected: bool = False) -> nn.Module:
    tokens = vocabulary(MERGES)
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokens[START],
        eos_token_id=tokens[END],
        pad_token_id=tokens[END],
    )
    return seeded((CLIPTextModelWithProjection if projected else CLIPTextModel)(config))


def t5_tokenizer() -> T5Tokenizer:
    """Each letter is a token, and so is each that may begin a word."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = ["<pad>", "</s>", "<unk>", "▁", *letters, *("▁" + letter for letter in letters)]
    return T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], model_max_length=512)


def t5() -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(t5_tokenizer()),
        d_model=WIDTH,
        d_kv=8,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return seeded(T5EncoderModel(config))  # type: ignore[return-value]


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Each byte is a token; with the words that its chats are written in."""
    tokens = {token: number for token, number in vocabulary([]).items() if "</w>" not in token}
    tokens = {token: number for number, token in enumerate(tokens)}
    kept = Qwen2Tokenizer(vocab=tokens, merges=[], model_max_length=2048)
    special = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    kept.add_special_tokens({"additional_special_tokens": special})
    return kept


def vae(channels: int, *, shift: float = 0.0) -> AutoencoderKL:
    """8 pixels a latent, as nearly all have."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=64,
        scaling_factor=0.36,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def gemma_tokenizer() -> GemmaTokenizer:
    """Each letter is a token, and so is the space."""
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    pieces = [*special, "▁", "\n", *(chr(code) for code in range(33, 127))]
    return GemmaTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, add_bos_token=True
    )
