"""Enlarges finished pictures with Real-ESRGAN's compact network, tile by tile.

The network is our own code under the official names, so that official weights load as they are; its
shape is read from the weights. Tiles see as far beyond their edge as the network looks, so no seam
can be. Four times is the same network twice.
"""

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import interpolate

from studio.engine.failures import PaintError, is_the_devices
from studio.hashes import file_hash

TILE = 256  # pixels a side of what goes in: a CPU core takes under a second for it
MOST_OFF = 2 / 255  # what bf16 may change; a network that it changes more runs in fp32

BeforeTile = Callable[[int, int], None]


class SRVGGNetCompact(nn.Module):
    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
    ) -> None:
        super().__init__()
        self.upscale = upscale
        self.reach = num_conv + 2  # pixels that one of the result looks at, each way
        layers: list[nn.Module] = [nn.Conv2d(num_in_ch, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        layers.append(nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, 1, 1))
        self.body = nn.ModuleList(layers)
        self.upsampler = nn.PixelShuffle(upscale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x.to(next(self.parameters()).dtype)
        for layer in self.body:
            out = layer(out)
        larger: torch.Tensor = self.upsampler(out).to(x.dtype)
        return larger + interpolate(x, scale_factor=self.upscale, mode="nearest")


class Upscaler:
    """A network on its device. With `bf16` it runs so, if that changes next to nothing.

    `marks` is what the fingerprint of a picture says of it.
    """

    def __init__(self, file: Path, device: str, *, bf16: bool) -> None:
        self._device = device
        self._network, dtype = _network(file).to(device), "fp32"
        # The convolutions' favourite order: half the time on a CPU.
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if bf16:
            half = deepcopy(self._network).to(torch.bfloat16)
            if _difference(self._network, half, device) <= MOST_OFF:
                self._network, dtype = half, "bf16"
        self.marks = {
            "upscaler": file.stem,
            "upscaler_hash": file_hash(file),
            "upscaler_dtype": dtype,
        }

    def enlarge(self, image: Image.Image, times: int, before_tile: BeforeTile) -> Image.Image:
        """`before_tile` hears how many tiles are done, of how many; what it raises stops it."""
        passes = self._passes(times)
        sides = [[side * self._network.upscale**n for side in image.size] for n in range(passes)]
        tiles = sum(math.ceil(width / TILE) * math.ceil(height / TILE) for width, height in sides)
        done = itertools.count()
        for _ in range(passes):
            image = self._enlarge_once(image, lambda: before_tile(next(done), tiles))
        return image

    def _passes(self, times: int) -> int:
        passes = round(math.log(times, self._network.upscale))
        if self._network.upscale**passes != times:
            raise PaintError(
                "model_invalid",
                f"upscale: this upscaler enlarges {self._network.upscale} times at once, "
                f"so never {times} times. Choose another number.",
            )
        return passes

    @torch.inference_mode()
    def _enlarge_once(self, image: Image.Image, before_tile: Callable[[], None]) -> Image.Image:
        (width, height), times, reach = image.size, self._network.upscale, self._network.reach
        given = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        given = given.view(height, width, 3)
        made = torch.empty(height * times, width * times, 3, dtype=torch.uint8)
        for top, left in itertools.product(range(0, height, TILE), range(0, width, TILE)):
            before_tile()
            above, before = max(0, top - reach), max(0, left - reach)
            seen = given[above : top + TILE + reach, before : left + TILE + reach]
            tile = self._bytes(seen)[(top - above) * times :, (left - before) * times :]
            tile = tile[: TILE * times, : TILE * times]
            place = made[top * times : (top + TILE) * times, left * times : (left + TILE) * times]
            place.copy_(tile[: place.shape[0], : place.shape[1]])
        return Image.fromarray(made.numpy())

    def _bytes(self, seen: torch.Tensor) -> torch.Tensor:
        pixels = seen.to(self._device).permute(2, 0, 1).unsqueeze(0).float().div(255)
        pixels = self._network.forward(pixels.contiguous(memory_format=torch.channels_last))
        if not torch.isfinite(pixels).all():
            raise PaintError(
                "precision", "upscale: the enlarged picture came out as no numbers. Try without it."
            )
        return pixels[0].clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu()


def _network(file: Path) -> SRVGGNetCompact:
    """The shape of the network follows from its weights."""
    try:
        weights = load_file(file)
        convolutions = [
            w for name, w in weights.items() if w.ndim == 4 and name.startswith("body.")
        ]
        upscale = math.isqrt(weights[f"body.{2 * len(convolutions) - 2}.weight"].shape[0] // 3)
        if upscale < 2:
            raise ValueError("its last layer does not enlarge")
        network = SRVGGNetCompact(
            num_feat=weights["body.0.weight"].shape[0],
            num_conv=len(convolutions) - 2,
            upscale=upscale,
        )
        network.load_state_dict(weights)
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        if is_the_devices(error):
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise PaintError(
            "model_invalid", f"upscale: the upscaler {file} cannot be loaded: {why}"
        ) from error
    return network.eval()


@torch.inference_mode()
def _difference(one: nn.Module, other: nn.Module, device: str) -> float:
    """The most that two networks are apart, on flat fields with hard edges."""
    fields = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    sample = interpolate(fields, scale_factor=8, mode="nearest").to(device)
    return float((one(sample).clamp(0, 1) - other(sample).clamp(0, 1)).abs().max())
