"""How each model would be painted on cards of 8 to 141 GB: the plans of the engine as a table.

Nothing is loaded. With `--save` it becomes docs/memory.md. `--count` builds every denoiser in full
size, without memory, and counts what of its weights stays in half precision.
"""

import argparse
from collections.abc import Callable

import torch
from diffusers import (
    ChromaTransformer2DModel,
    FluxTransformer2DModel,
    HunyuanDiT2DModel,
    LuminaNextDiT2DModel,
    PixArtTransformer2DModel,
    QwenImageTransformer2DModel,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    ZImageTransformer2DModel,
)
from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from torch import nn
from transformers import T5Config, T5EncoderModel

from bench.architectures import klein, on, sdxl_unet
from studio.engine.device import GB, Gpu, Hardware
from studio.engine.failures import PaintError
from studio.engine.plan import Plan, decide
from studio.engine.quantise import store_encoder
from studio.jobs.devices import CONTEXT_GB
from studio.models.card import ModelCard
from studio.settings import ROOT
from studio.wishes.presets import load_catalog

DOCUMENT = ROOT / "docs" / "memory.md"
CARDS_GB = (8, 12, 16, 24, 32, 48, 80, 96, 141)
CHIPS = {
    "From Ada and Hopper on": (8, 9),
    "Ampere": (8, 6),
    "Turing": (7, 5),
}
OPENING = """\
# What fits where

How the engine would place each model with the precision `auto` on one idle card of so many GB, and
the gigabytes it should take, by the word of the model's card: its weights and one picture of its
usual size. {context:g} GB of each card is CUDA's own. Made by `python -m bench memory --save`; a
test holds it equal.

- **bf16**, **fp16**: all of it stays on the card, every weight as it was made (fp16 where the chip
  has no bf16, or the model was made for it).
- **fp8**: the denoiser's weights are stored in fp8 and computed with in half precision; **fp8+**:
  the text encoders' too. The picture is near, not equal; it says so.
- **turns**: its parts take turns on the card. **layers**: it moves there layer by layer, which is
  slow. Neither changes the picture.
- **–**: refused, with the numbers.

A wish may name its precision (`full` is never stored in fewer bits, and the quality `best` asks for
it), and `DARKROOM_PRECISION` does for all wishes that say `auto`. Why in this order:
[decisions/0017](decisions/0017-which-way-into-memory.md).
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", action="store_true", help="what stays in half precision")


def main(asked: argparse.Namespace) -> int:
    if asked.count:
        for name, (fp8, linear) in counts().items():
            print(f"{name:<12} {fp8:6.1%} in fp8   {linear:6.1%} where linear layers alone are")
    elif asked.save:
        DOCUMENT.write_text(document(), encoding="utf-8")
        print(f"written: {DOCUMENT}")
    else:
        print(document(), end="")
    return 0


def document() -> str:
    cards = load_catalog(ROOT / "presets").cards.values()
    lines = [OPENING.format(context=CONTEXT_GB)]
    for words, chip in CHIPS.items():
        version = ".".join(map(str, chip))
        heads = " | ".join(f"{gb} GB" for gb in CARDS_GB)
        lines += [f"## {words} (compute capability {version})", ""]
        lines += [f"| | {heads} |", f"|{' --- |' * (len(CARDS_GB) + 1)}"]
        for card in sorted(cards, key=lambda card: (card.memory_gb, card.name)):
            cells = " | ".join(_cell(card, gb, chip) for gb in CARDS_GB)
            lines.append(f"| {card.title} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def idle(gb: float, chip: tuple[int, int]) -> Hardware:
    whole = gb * 2**30 / GB  # memory is sold in powers of two
    gpu = Gpu(0, f"card of {gb:g} GB", chip, whole, whole - CONTEXT_GB)
    return Hardware((gpu,), False, "CPU", "", 64.0)


def _cell(card: ModelCard, gb: float, chip: tuple[int, int]) -> str:
    try:
        return _short(decide(idle(gb, chip), card, "auto", 1))
    except PaintError:
        return "–"


def _short(plan: Plan) -> str:
    stored = plan.dtype if plan.quant == "none" else plan.quant + "+" * plan.encoders
    where = {"none": "", "model": " turns", "sequential": " layers"}[plan.offload]
    return f"{stored}{where} {plan.peak_gb:.1f}"


SHAPES: dict[str, Callable[[], nn.Module]] = {
    "sdxl": lambda: sdxl_unet(False),
    "flux": FluxTransformer2DModel,
    "flux2": lambda: klein(4, False),
    "chroma": ChromaTransformer2DModel,
    "qwen": QwenImageTransformer2DModel,
    "zimage": ZImageTransformer2DModel,
    "sd3": lambda: SD3Transformer2DModel(
        sample_size=128,
        num_layers=38,
        num_attention_heads=38,
        joint_attention_dim=4096,
        caption_projection_dim=2432,
        qk_norm="rms_norm",
        pos_embed_max_size=192,
    ),
    "pixart": lambda: PixArtTransformer2DModel(sample_size=128),
    "sana": SanaTransformer2DModel,
    "hunyuan": lambda: HunyuanDiT2DModel(
        num_layers=40,
        num_attention_heads=16,
        attention_head_dim=88,
        hidden_size=1408,
        in_channels=4,
        patch_size=2,
        mlp_ratio=4.3637,
        sample_size=128,
        activation_fn="gelu-approximate",
    ),  # fmt: skip
    "lumina": lambda: LuminaNextDiT2DModel(sample_size=128, num_kv_heads=8),
    "cascade": lambda: StableCascadeUNet(
        clip_text_in_channels=1280, clip_image_in_channels=768, switch_level=(False,)
    ),
}


def counts() -> dict[str, tuple[float, float]]:
    """Of each denoiser, and of the encoder that most of them have: what stays where weights are
    stored in fp8, and where they are quantised by a library that knows linear layers alone."""
    found = {}
    for name, build in {**SHAPES, "T5": _t5}.items():
        with on("meta", torch.bfloat16):
            network = build()
        whole = sum(weight.numel() for weight in network.parameters())
        linear = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Linear))
        if name == "T5":
            store_encoder(network, torch.bfloat16)
        else:
            network.enable_layerwise_casting(compute_dtype=torch.bfloat16)  # type: ignore[operator]
        stays = sum(w.numel() for w in network.parameters() if w.dtype == torch.bfloat16)
        found[name] = (stays / whole, 1 - linear / whole)
    return found


def _t5() -> nn.Module:
    config = T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config)
