"""Real-ESRGAN's networks: the compact one and RRDBNet, with the shape and the weights of a file.

Our own code under the official names, so that official weights load as they are. Each is a trunk
and a head, and only the head enlarges. `cut` runs layers over a picture piece by piece; they say
how far they look each way, so that it makes no difference. `pieces` counts how often the picture is
cut, and `packed` how many of its pixels a side become one before that.
"""

# mypy: disable-error-code="no-untyped-call"
import logging
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import interpolate, leaky_relu, pad, pixel_unshuffle

from studio.engine.failures import PaintError, is_the_devices
from studio.formats.enlargers import ORIGINAL, network_of, todays_names
from studio.formats.tensors import PICKLED, inmost, table
from studio.models.hashes import file_hash

SLOPE = 0.2  # of what is below nothing, in every layer of an RRDBNet
SHARE = 0.2  # of what a block adds to what it was given

log = logging.getLogger("darkroom.worker")
Layers = Callable[[torch.Tensor], torch.Tensor]
Cut = Callable[[Layers, torch.Tensor, int], torch.Tensor]


def whole(layers: Layers, given: torch.Tensor, reach: int) -> torch.Tensor:
    """In one piece."""
    return layers(given)


class SRVGGNetCompact(nn.Module):
    """All of it is head."""

    packed = 1
    pieces = 1

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
    ) -> None:
        super().__init__()
        self.scale = upscale
        self.reach = num_conv + 2
        layers: list[nn.Module] = [nn.Conv2d(num_in_ch, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        layers.append(nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, 1, 1))
        self.body = nn.ModuleList(layers)
        self.upsampler = nn.PixelShuffle(upscale)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.head(picture)

    def trunk(self, picture: torch.Tensor, cut: Cut) -> torch.Tensor:
        return picture

    def head(self, seen: torch.Tensor) -> torch.Tensor:
        out = seen.to(next(self.parameters()).dtype)
        for layer in self.body:
            out = layer(out)
        larger: torch.Tensor = self.upsampler(out).to(seen.dtype)
        return larger + interpolate(seen, scale_factor=self.scale, mode="nearest")


class _Dense(nn.Module):
    """Each layer sees the results of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for number in range(5):
            made = growth if number < 4 else features
            layer = nn.Conv2d(features + number * growth, made, 3, 1, 1)
            self.add_module(f"conv{number + 1}", layer)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        *layers, last = self.children()
        seen = given
        for layer in layers:
            seen = torch.cat((seen, leaky_relu(layer(seen), SLOPE, inplace=True)), 1)
        added: torch.Tensor = last(seen)
        return added.mul_(SHARE).add_(given)


class _Block(nn.Module):
    reach = 15

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _Dense(features, growth)
        self.rdb2 = _Dense(features, growth)
        self.rdb3 = _Dense(features, growth)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.rdb3(self.rdb2(self.rdb1(given)))
        return added.mul_(SHARE).add_(given)


class RRDBNet(nn.Module):
    """It enlarges four times; for twice, four pixels become one with four times the colours first.

    A pixel of its result looks at hundreds in each direction, but through blocks that each look at
    fifteen: the picture is cut anew for every one.
    """

    # What the head looks at, each way: three pixels of the largest picture and one of the middle.
    reach = 2

    def __init__(self, features: int = 64, blocks: int = 23, growth: int = 32, scale: int = 4):
        super().__init__()
        self.scale = scale
        self.packed = 4 // scale
        self.pieces = blocks + 3
        self.conv_first = nn.Conv2d(3 * self.packed**2, features, 3, 1, 1)
        self.body = nn.Sequential(*(_Block(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_up1 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_up2 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_hr = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_last = nn.Conv2d(features, 3, 3, 1, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        larger = self.head(self.trunk(picture, whole))
        height, width = (side * self.scale for side in picture.shape[-2:])
        return larger[..., :height, :width]

    def trunk(self, picture: torch.Tensor, cut: Cut) -> torch.Tensor:
        """Odd sides are made even by their last row and column once more."""
        odd = (0, picture.shape[-1] % self.packed, 0, picture.shape[-2] % self.packed)
        picture = picture.to(self.conv_first.weight.dtype)
        picture = pixel_unshuffle(pad(picture, odd, mode="replicate"), self.packed)
        first = cut(self.conv_first, picture, 1)
        seen = first
        for block in self.body:
            seen = cut(block, seen, _Block.reach)
        return cut(self.conv_body, seen, 1).add_(first)

    def head(self, seen: torch.Tensor) -> torch.Tensor:
        for layer in (self.conv_up1, self.conv_up2):
            seen = layer(interpolate(seen, scale_factor=2, mode="nearest"))
            seen = leaky_relu(seen, SLOPE, inplace=True)
        seen = leaky_relu(self.conv_hr(seen), SLOPE, inplace=True)
        larger: torch.Tensor = self.conv_last(seen)
        return larger.float()


Enlarger = SRVGGNetCompact | RRDBNet


def load(file: Path) -> tuple[Enlarger, str]:
    """The network, and the hash of the file as its makers gave it out."""
    try:
        weights, original = _weights(file)
        names = todays_names(weights)
        weights = {names[name]: weight for name, weight in weights.items()}
        shape = network_of({name: tuple(weight.shape) for name, weight in weights.items()})
        network: Enlarger
        if shape.kind == "rrdb":
            network = RRDBNet(shape.features, shape.blocks, shape.growth, shape.scale)
        else:
            network = SRVGGNetCompact(3, 3, shape.features, shape.blocks, shape.scale)
        network.load_state_dict(weights)
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        if is_the_devices(error):
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise PaintError(
            "model_invalid", f"upscale: the upscaler {file} cannot be loaded: {why}"
        ) from error
    return network.eval(), original


def _weights(file: Path) -> tuple[dict[str, torch.Tensor], str]:
    shapes, says = table(file)
    if file.suffix.lower() not in PICKLED:
        return load_file(file), says.get(ORIGINAL) or file_hash(file)
    held = inmost(torch.load(file, map_location="cpu", weights_only=True))
    weights = {name: held[name].contiguous() for name in shapes}
    _keep(weights, file.with_suffix(".safetensors"), original := file_hash(file))
    return weights, original


def _keep(weights: dict[str, torch.Tensor], file: Path, original: str) -> None:
    """As safetensors, whole or not at all: from now on that is read, and no pickle."""
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f".{file.stem}-", dir=file.parent)
        os.close(handle)
        save_file(weights, unfinished, metadata={ORIGINAL: original})
        Path(unfinished).replace(file)
    except (OSError, SafetensorError) as error:
        log.warning("%s could not be written, so the pickle is read each time: %s", file, error)
