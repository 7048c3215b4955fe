"""The test pattern: a stock SDXL pipeline of tiny random parts, built on this machine.

It knows no words and needs no download; it shows that everything works. All weights come from one
seed, so that each machine builds the same model and paints the same picture.
"""

# mypy: disable-error-code="no-untyped-call"
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from studio.engine.failures import PaintError

SEED = 15  # chosen by eye among sixteen, for its colours
START, END = "<|startoftext|>", "<|endoftext|>"
WIDTH = 32  # of each text encoder; the UNet sees both side by side
MERGES = [("t", "h"), ("i", "n"), ("a", "n"), ("th", "e</w>"), ("e", "r</w>")]


def ensure(name: str, folder: Path) -> Path:
    """The folder of the embedded model, built now if it is not there."""
    if name != "test-pattern":
        raise PaintError("model_missing", f"model: this version embeds no model {name!r}.")
    if not (folder / "model_index.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            build().save_pretrained(unfinished)
            _move_into_place(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def build() -> Any:
    tokens = vocabulary(MERGES)
    words = CLIPTextConfig(
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
    pipeline: Any = StableDiffusionXLPipeline(
        text_encoder=CLIPTextModel(words),
        text_encoder_2=CLIPTextModelWithProjection(words),
        tokenizer=tokenizer(MERGES, END),
        tokenizer_2=tokenizer(MERGES, "!"),  # as SDXL: its second tokenizer pads with "!"
        unet=_unet(),
        vae=_vae(),
        scheduler=scheduler(),
        add_watermarker=False,
    )
    generator = torch.Generator("cpu").manual_seed(SEED)
    for part in ("text_encoder", "text_encoder_2", "unet", "vae"):
        _draw(getattr(pipeline, part), generator)
    with torch.no_grad():
        # Strong words and a strong opinion of the noise: else every prompt gives the same grey.
        pipeline.text_encoder.get_input_embeddings().weight.mul_(6)
        pipeline.text_encoder_2.get_input_embeddings().weight.mul_(6)
        pipeline.unet.conv_out.weight.mul_(3)
        pipeline.vae.decoder.conv_out.weight.mul_(0.6)
    return pipeline


def _move_into_place(unfinished: Path, folder: Path) -> None:
    """Several workers may build at once: the first one wins, and its copy is as good as ours."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not (folder / "model_index.json").is_file():
            raise


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Each byte, each byte at the end of a word, and the merges: no text is unknown to it."""
    letters = [*map(chr, (*range(33, 127), *range(161, 173), *range(174, 256)))]
    letters += [chr(256 + spare) for spare in range(256 - len(letters))]  # CLIP's byte alphabet
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
    return {token: number for number, token in enumerate(tokens)}


def tokenizer(merges: list[tuple[str, str]], padding: str) -> CLIPTokenizer:
    pairs: Any = list(merges)  # as its backend wants them; its annotation says strings
    return CLIPTokenizer(
        vocab=vocabulary(merges), merges=pairs, pad_token=padding, model_max_length=77
    )


def scheduler() -> EulerDiscreteScheduler:
    """SDXL's."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 48, 64),
        layers_per_block=1,
        cross_attention_dim=2 * WIDTH,
        attention_head_dim=(2, 3, 4),
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=256,
        scaling_factor=0.13025,
    )


@torch.no_grad()
def _draw(model: nn.Module, generator: torch.Generator) -> None:
    """New weights for every layer. 3x3 kernels all blur, which turns noise into soft colours."""
    side = torch.tensor([0.25, 0.5, 0.25])
    blur = side[:, None] * side[None, :]
    for name, weight in model.named_parameters():
        if weight.shape[2:] == (3, 3):
            weight.copy_(_noise((*weight.shape[:2], 1, 1), generator) * blur)
        elif weight.ndim > 1:
            weight.copy_(_noise(tuple(weight.shape), generator))
        elif name.endswith("bias"):
            weight.zero_()


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Uniform, because its bits are the same on every processor; scaled to keep the variance."""
    return (torch.rand(shape, generator=generator) - 0.5) * math.sqrt(12 / shape[1])
