"""Networks that enlarge, small and with made-up weights, and pictures to enlarge by them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from studio.engine.enlargers import RRDBNet, SRVGGNetCompact
from studio.engine.upscale import Upscaler


def compact(scale: int = 2, gain: float = 2) -> nn.Module:
    """A network that changes a picture clearly, and looks five pixels far."""
    torch.manual_seed(3)
    network = SRVGGNetCompact(num_feat=8, num_conv=3, upscale=scale)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(gain)
    return network


def dense(scale: int = 4, blocks: int = 2, features: int = 6, growth: int = 3) -> nn.Module:
    """Real-ESRGAN's large network, small, and as deep as is asked for.

    Each of its blocks adds more than it was given, so that what is far away counts.
    """
    generator = torch.Generator().manual_seed(3)
    network = RRDBNet(features, blocks, growth, scale)
    with torch.no_grad():
        for weight in network.parameters():
            side = 3 * (3 / weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.2
            weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * side)
        made = network(torch.rand(1, 3, 24, 24, generator=generator))
        for part, middle in ((network.conv_last.weight, 0.0), (network.conv_last.bias, 0.5)):
            part.mul_(0.2 / made.std()).add_(middle)  # in the middle of what is seen
        network.conv_last.bias.sub_(0.2 / made.std() * made.mean())
    return network.eval()


def saved(file: Path, network: nn.Module) -> Path:
    save_file({name: w.contiguous() for name, w in network.state_dict().items()}, file)
    return file


def picture(width: int, height: int) -> Image.Image:
    dice = np.random.default_rng(1)
    return Image.fromarray(dice.integers(0, 256, (height, width, 3), np.uint8))


def levels(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def silent(done: int, tiles: int) -> None:
    pass


def larger(upscaler: Upscaler, given: Image.Image, times: int) -> Image.Image:
    return upscaler.enlarge(given, times, silent)[0]
