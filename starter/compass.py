"""The painter's first weights tell it where it is: one channel grows to the left, one upwards.

A network of convolutions is slow to learn that something stands on the left: it sees its place in
the picture only by the zeros beyond the border. From those the first weights make two ramps where
the picture is 4 by 4, and hand them on, smoother each time, to where it is 32 by 32. Training may
change them as it likes. The network stays a stock one.
"""

import torch
from diffusers import UNet2DConditionModel
from torch import nn

STEADY = 1.2785  # silu of it is 1
RIM = 1 / 3  # what smoothing takes from the rim is given back
LEVEL = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])  # of ones: + 0 … 0 -
SMOOTH = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]) / 3
KERNELS = (LEVEL, LEVEL.T), (SMOOTH, SMOOTH.T)  # for channel 0, along x, and channel 1, along y


@torch.no_grad()
def lay(unet: UNet2DConditionModel, height: float = 1.0) -> UNet2DConditionModel:
    """In the first two channels of each block on the way up; what they held is given up."""
    for level, block in enumerate(unet.up_blocks):
        first, *others = block.resnets
        _begin(first, height * (RIM if level else 1), goes_on=level > 0)
        for resnet in others:
            _clear(resnet.conv2)
            _pass(resnet.conv_shortcut)
        for attention in getattr(block, "attentions", ()):
            _clear(attention.proj_out)
        for upsampler in block.upsamplers or ():
            _clear(upsampler.conv)
            for channel in (0, 1):
                upsampler.conv.weight[channel, channel] = KERNELS[1][channel]
    return unet


def _begin(resnet: nn.Module, height: float, goes_on: bool) -> None:
    """The rim of this level, from an inner channel that is 1 everywhere."""
    inner = resnet.norm2.num_channels
    resnet.norm2.weight[0] = resnet.norm2.bias[0] = 0.0
    for row, steady in ((0, 0.0), (inner, STEADY)):  # its scale and its shift by time and words
        resnet.time_emb_proj.weight[row] = 0.0
        resnet.time_emb_proj.bias[row] = steady
    _clear(resnet.conv2)
    for channel in (0, 1):
        resnet.conv2.weight[channel, 0] = height * KERNELS[0][channel]
    (_pass if goes_on else _clear)(resnet.conv_shortcut)


def _pass(shortcut: nn.Module) -> None:
    _clear(shortcut)
    for channel in (0, 1):
        shortcut.weight[channel, channel] = 1.0


def _clear(layer: nn.Module) -> None:
    """Writes nothing into the two channels."""
    layer.weight[:2] = 0.0
    if layer.bias is not None:
        layer.bias[:2] = 0.0


def hold(unet: UNet2DConditionModel) -> None:
    """Training leaves the ramps as they are: left to it, they fade among what else is there."""
    for block in unet.up_blocks:
        for number, resnet in enumerate(block.resnets):
            if number == 0:
                inner = resnet.norm2.num_channels
                _still(resnet.norm2, [0])
                _still(resnet.time_emb_proj, [0, inner])
            for layer in (resnet.conv2, resnet.conv_shortcut):
                _still(layer, [0, 1])
        for attention in getattr(block, "attentions", ()):
            _still(attention.proj_out, [0, 1])
        for upsampler in block.upsamplers or ():
            _still(upsampler.conv, [0, 1])


def _still(layer: nn.Module, rows: list[int]) -> None:
    def hold(slope: torch.Tensor) -> torch.Tensor:
        slope = slope.clone()
        for row in rows:
            slope[row] = 0.0
        return slope

    for weight in (layer.weight, layer.bias):
        if weight is not None:
            weight.register_hook(hold)
