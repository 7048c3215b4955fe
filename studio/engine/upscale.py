"""Enlarges finished pictures, piece by piece, with the networks of `enlargers`.

A piece sees as far beyond its edge as the layers look that are run over it, so no seam can be,
however deep the network is. What a network does at once is not always what was asked: it may be
used twice, or its result be averaged to half.
"""

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from studio.engine.enlargers import Layers, load
from studio.engine.failures import PaintError, is_out_of_memory
from studio.formats.enlargers import ways

TILE = 256  # pixels a side of what goes in: a CPU core takes under a second for it
FALLS = 2  # of memory, each with a piece half as large; then all but the piece lies in main memory
MOST_OFF = 2 / 255  # what bf16 may change; a network that it changes more runs in fp32
SMALLER = "memory ran out, so it was enlarged in smaller parts"

BeforeTile = Callable[[int, int], None]


class Upscaler:
    """A network on its device. With `bf16` it runs so, if that changes next to nothing.

    `marks` is what the fingerprint of a picture says of it.
    """

    def __init__(self, file: Path, device: str, *, bf16: bool) -> None:
        self._device, self._falls = device, 0
        network, original = load(file)
        self._network, dtype = network.to(device), "fp32"
        # The convolutions' favourite order: half the time on a CPU.
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if bf16:
            half = deepcopy(self._network).to(torch.bfloat16)
            if _difference(self._network, half, device) <= MOST_OFF:
                self._network, dtype = half, "bf16"
        self.marks = {
            "upscaler": file.stem,
            "upscaler_hash": original,
            "upscaler_dtype": dtype,
        }

    def begin(self) -> None:
        """A new job: what filled the memory under the last one may have left."""
        self._falls = 0

    def enlarge(
        self, image: Image.Image, times: int, before_tile: BeforeTile
    ) -> tuple[Image.Image, str]:
        """The picture, and what had to be done for it, in words. `before_tile` hears how many tiles
        are done, of how many; what it raises stops it."""
        while True:
            try:
                larger = self._enlarge(image.convert("RGB"), times, before_tile)
                break
            except Exception as error:
                if not is_out_of_memory(error) or self._falls == FALLS:
                    raise
                self._falls += 1
        if "A" in image.getbands():
            larger.putalpha(image.getchannel("A").resize(larger.size, Image.Resampling.BICUBIC))
        return larger, SMALLER if self._falls else ""

    def _enlarge(self, image: Image.Image, times: int, before_tile: BeforeTile) -> Image.Image:
        passes, smaller = self._ways(times)
        scale, tile = self._network.scale, self._tile
        sides = [
            [side * scale**n / self._network.packed for side in image.size] for n in range(passes)
        ]
        tiles = sum(math.ceil(width / tile) * math.ceil(height / tile) for width, height in sides)
        tiles *= self._network.pieces
        done = itertools.count()
        for left in range(passes - 1, -1, -1):
            image = self._enlarge_once(
                image, 1 if left else smaller, lambda: before_tile(next(done), tiles)
            )
        return image

    @property
    def _tile(self) -> int:
        return TILE >> self._falls

    def _ways(self, times: int) -> tuple[int, int]:
        found = ways(self._network.scale, times)
        if found is None:
            raise PaintError(
                "model_invalid",
                f"upscale: this upscaler enlarges {self._network.scale} times at once, "
                f"so never {times} times. Choose another number.",
            )
        return found

    @torch.inference_mode()
    def _enlarge_once(
        self, image: Image.Image, smaller: int, before_tile: Callable[[], None]
    ) -> Image.Image:
        network = self._network
        home = self._device if self._falls < FALLS else "cpu"

        def cut(layers: Layers, given: torch.Tensor, reach: int, times: int = 1) -> torch.Tensor:
            """The result lies where the whole is kept, which need not be the device."""
            made, tile = None, self._tile
            height, width = given.shape[-2:]
            for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
                before_tile()
                above, before = max(0, top - reach), max(0, left - reach)
                seen = given[..., above : top + tile + reach, before : left + tile + reach]
                part = layers(seen.to(self._device))
                part = part[..., (top - above) * times :, (left - before) * times :]
                part = part[..., : tile * times, : tile * times]
                if made is None:
                    made = torch.empty(
                        (1, part.shape[1], height * times, width * times),
                        dtype=part.dtype,
                        device=home,
                        memory_format=torch.channels_last,
                    )
                bottom, right = top * times + part.shape[-2], left * times + part.shape[-1]
                made[..., top * times : bottom, left * times : right] = part
            assert made is not None, "a picture has pixels"
            return made

        def head(seen: torch.Tensor) -> torch.Tensor:
            larger = network.head(seen)
            return _bytes(avg_pool2d(larger, smaller) if smaller > 1 else larger)

        given = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        given = given.view(1, image.height, image.width, 3).permute(0, 3, 1, 2).to(home)
        seen = network.trunk(given.float().div_(255), cut)
        times = network.scale // smaller
        made = cut(head, seen, network.reach, times * network.packed)
        made = made[0, :, : image.height * times, : image.width * times]
        return Image.fromarray(made.permute(1, 2, 0).contiguous().cpu().numpy())


def _bytes(pixels: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(pixels).all():
        raise PaintError(
            "precision", "upscale: the enlarged picture came out as no numbers. Try without it."
        )
    return pixels.clamp_(0, 1).mul_(255).round_().to(torch.uint8)


@torch.inference_mode()
def _difference(one: nn.Module, other: nn.Module, device: str) -> float:
    """The most that two networks are apart, on flat fields with hard edges."""
    fields = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    sample = interpolate(fields, scale_factor=8, mode="nearest").to(device)
    return float((one(sample).clamp(0, 1) - other(sample).clamp(0, 1)).abs().max())
