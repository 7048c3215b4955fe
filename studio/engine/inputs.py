"""The pictures a job is painted from, as pixels: fitted to the canvas, and put back where a mask
keeps them.

They crossed the border as PNG that the store made; nothing of a stranger's file is read here.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image, ImageChops

from studio.canvas import Place, place
from studio.request import Fit, ImageRequest

WHITE = (255, 255, 255, 255)
SEE_THROUGH = "The start image is transparent in places; there it was laid on white."
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Inputs:
    start: Image.Image | None = None
    whole: Image.Image | None = None  # the same with its transparency
    mask: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()
    fit: Fit = "cover"
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, request: ImageRequest, files: Mapping[str, bytes]) -> Self:
        opened = {name: _open(data) for name, data in files.items()}
        start = opened.get(request.start_image or "")
        mask = opened.get(request.mask or "")
        return cls(
            start=start and _solid(start),
            whole=start,
            mask=mask and _grey(mask),
            references=tuple(_solid(opened[one.id]) for one in request.references),
            fit=request.fit or "cover",
            notes=(SEE_THROUGH,) if start and start.mode == "RGBA" else (),
        )

    def begin(self, size: Size) -> Image.Image:
        """The start image on a canvas. Where it does not reach, its edge goes on."""
        assert self.start
        spot = place(self.start.size, size, self.fit)
        laid = self.start.resize((spot.width, spot.height), Image.Resampling.LANCZOS)
        return _spread(laid, spot, size) if spot.border(*size) else _cut(laid, spot, size)

    def free(self, size: Size) -> Image.Image | None:
        """White where it is to be painted; None where that is everywhere."""
        assert self.start
        spot = place(self.start.size, size, self.fit)
        if self.mask is None and not spot.border(*size):
            return None
        mask = self.mask or Image.new("L", self.start.size, 0)
        laid = mask.resize((spot.width, spot.height), Image.Resampling.BILINEAR)
        free = Image.new("L", size, 255)
        free.paste(_cut(laid, spot, size), (max(0, spot.left), max(0, spot.top)))
        return free

    def keep(self, image: Image.Image) -> Image.Image:
        """What was painted, with the pixels of the start image wherever nothing was to change."""
        free = self.free(image.size) if self.start else None
        return image if free is None else Image.composite(image, self.begin(image.size), free)

    def fine(self, size: Size) -> bool:
        """Whether the start image has as many pixels as it fills of such a picture."""
        if self.start is None:
            return False
        return place(self.start.size, size, self.fit).width <= self.start.width


def _cut(laid: Image.Image, spot: Place, size: Size) -> Image.Image:
    left, top = max(0, -spot.left), max(0, -spot.top)
    right, bottom = min(spot.width, left + size[0]), min(spot.height, top + size[1])
    return laid.crop((left, top, right, bottom))


def _spread(laid: Image.Image, spot: Place, size: Size) -> Image.Image:
    right, bottom = size[0] - spot.left - spot.width, size[1] - spot.top - spot.height
    around = ((spot.top, bottom), (spot.left, right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(laid), around, mode="edge"))


def _open(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
    return image


def _solid(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """A mask is as white as it looks: where it is transparent there is nothing of it."""
    grey = image.convert("L")
    return ImageChops.multiply(grey, image.getchannel("A")) if image.mode == "RGBA" else grey
