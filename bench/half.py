"""How much faster a CPU paints in bf16 than in fp32: one step of a transformer and of a UNet.

Layers of FLUX.2 klein 4B and an SDXL UNet of a quarter of its width, with random weights. Counted
in the time of one core, so that others on the machine do not matter; the two take turns.
"""

# mypy: disable-error-code="no-untyped-call"
import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import Flux2Transformer2DModel, UNet2DConditionModel
from torch import nn

from bench.architectures import KLEIN, Given
from bench.report import report
from studio.engine.device import find_hardware

CELLS, WORDS = 256, 64  # a picture of 256 pixels, and a short prompt


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a tenth as wide, to see that it runs")


def main(asked: argparse.Namespace) -> int:
    figures = measure(asked.rounds, asked.tiny)
    report("half", figures, save=asked.save)
    return 0


def measure(rounds: int, tiny: bool) -> dict[str, float]:
    torch.set_num_threads(1)
    figures: dict[str, float] = {"hardware_bf16": int(bool(find_hardware("cpu").cpu_bf16))}
    for name, build, given in (
        ("transformer", _transformer, _transformer_given(tiny)),
        ("unet", _unet, _unet_given(tiny)),
    ):
        seconds = _interleaved(lambda build=build: build(tiny), given, rounds)  # type: ignore[misc]
        figures |= {f"{name}_{word}_s": round(each, 3) for word, each in seconds.items()}
        figures[f"{name}_bf16_speedup"] = round(seconds["fp32"] / seconds["bf16"], 2)
    return figures


@torch.inference_mode()
def _interleaved(build: Callable[[], nn.Module], given: Given, rounds: int) -> dict[str, float]:
    network = build().eval()
    halves = {"fp32": (network, torch.float32), "bf16": (build().eval(), torch.bfloat16)}
    halves["bf16"][0].to(torch.bfloat16)
    taken: dict[str, list[float]] = {word: [] for word in halves}
    for _ in range(rounds + 1):  # the first warms
        for word, (one, dtype) in halves.items():
            began = time.process_time()
            one(**_as(given, dtype))
            taken[word].append(time.process_time() - began)
    return {word: statistics.median(each[1:]) for word, each in taken.items()}


def _as(given: Given, dtype: torch.dtype) -> Given:
    return {
        name: _as(value, dtype)
        if isinstance(value, dict)
        else value.to(dtype)
        if value.is_floating_point()
        else value
        for name, value in given.items()
    }


def _transformer(tiny: bool) -> nn.Module:
    _, _, heads, words = KLEIN[4]
    return Flux2Transformer2DModel(
        num_layers=1,
        num_single_layers=1,
        num_attention_heads=heads // 8 if tiny else heads,
        joint_attention_dim=words // 8 if tiny else words,
        guidance_embeds=False,
    )


def _transformer_given(tiny: bool) -> Given:
    words = KLEIN[4][3]
    return {
        "hidden_states": torch.randn(1, CELLS, 128),
        "encoder_hidden_states": torch.randn(1, WORDS, words // 8 if tiny else words),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.zeros(1, CELLS, 4),
        "txt_ids": torch.zeros(1, WORDS, 4),
    }


def _unet(tiny: bool) -> nn.Module:
    wide = 32 if tiny else 96
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(wide, 2 * wide, 4 * wide),
        attention_head_dim=(2, 4, 8),
        cross_attention_dim=512,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        use_linear_projection=True,
    ).to(memory_format=torch.channels_last)


def _unet_given(tiny: bool) -> Given:
    side = 16 if tiny else 32
    return {
        "sample": torch.randn(2, 4, side, side).to(memory_format=torch.channels_last),
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(2, 77, 512),
    }
