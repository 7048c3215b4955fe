"""Ways of making the same scene: flat, watercolour, pencil, pixel art, neon and paper cut.

A style is a function from the drawn picture and the mask of its things to another picture.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

Floats = NDArray[np.floating[Any]]


def flat(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    return image


def watercolour(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """Washes that run a little, darker where they dried at an edge, on grained paper."""
    soft = image.filter(ImageFilter.MedianFilter(3)).filter(ImageFilter.GaussianBlur(1.4))
    edges = _edges(soft).filter(ImageFilter.GaussianBlur(1.0))
    wash = np.asarray(soft, np.float32)
    dried = np.asarray(edges, np.float32)[..., None] / 255
    grain = _grain(image.width)[..., None]
    paper = np.array([250, 246, 236], np.float32)
    thin = np.clip(0.26 + 0.9 * grain, 0.02, 0.6)
    return to_image((wash * (1 - thin) + paper * thin) * (1 - 0.55 * dried))


def pencil(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """Outlines and hatching on white paper; things keep their colour as crayon."""
    grey = np.asarray(image.convert("L"), np.float32) / 255
    lines = np.asarray(_edges(image), np.float32) / 255
    hatch = _hatch(image.width)
    dark = np.clip((0.72 - grey) * 1.5, 0, 1)
    tone = 1 - 0.62 * np.clip(lines * 1.8, 0, 1) - 0.34 * hatch * dark
    paper = np.array([252, 250, 244], np.float32) * tone[..., None]
    crayon = np.asarray(ImageEnhance.Color(image).enhance(1.25), np.float32)
    weight = (np.asarray(mask, np.float32) / 255 * (0.56 + 0.3 * hatch))[..., None]
    faint = 0.16
    ground = paper * (1 - faint) + crayon * faint * tone[..., None]
    return to_image(ground * (1 - weight) + crayon * tone[..., None] * weight)


def pixel(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    small = image.resize((image.width // 8, image.height // 8), Image.Resampling.BOX)
    strong = ImageEnhance.Contrast(ImageEnhance.Color(small).enhance(1.25)).enhance(1.08)
    coarse = strong.point(lambda level: min(255, level // 18 * 18 + 9))
    return coarse.resize(image.size, Image.Resampling.NEAREST)


def neon(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """Glowing outlines in the colours of what they outline, in the dark."""
    vivid = ImageEnhance.Color(image).enhance(1.7)
    glow_colour = ImageEnhance.Brightness(vivid.filter(ImageFilter.MaxFilter(5))).enhance(1.25)
    lines = _edges(image).point(lambda level: min(255, level * 4))
    lit = Image.composite(glow_colour, Image.new("RGB", image.size), lines)
    glow = lit.filter(ImageFilter.GaussianBlur(4)).point(lambda level: min(255, int(level * 1.7)))
    night = np.asarray(vivid, np.float32) * 0.13 + np.array([8, 6, 20], np.float32)
    inside = np.asarray(mask, np.float32)[..., None] / 255 * np.asarray(vivid, np.float32) * 0.24
    return ImageChops.add(ImageChops.add(to_image(night + inside), glow), lit)


def papercut(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """Sheets of card laid over each other, each with its shadow."""
    height = image.convert("L").filter(ImageFilter.GaussianBlur(0.6))
    step = ImageChops.subtract(height, ImageChops.offset(height, 3, 3)).filter(
        ImageFilter.GaussianBlur(1.4)
    )
    shadow = ImageChops.offset(mask, 4, 5).filter(ImageFilter.GaussianBlur(3))
    under = np.asarray(ImageChops.subtract(shadow, mask), np.float32)[..., None] / 255
    shade = np.clip(np.asarray(step, np.float32)[..., None] / 255 * 2.2, 0, 0.45)
    fibre = 1 + 0.10 * (_grain(image.width)[..., None] - 0.15)
    rim = np.asarray(ImageChops.subtract(mask, ImageChops.offset(mask, 1, 2)), np.float32)[
        ..., None
    ]
    colours = np.asarray(image, np.float32) * fibre + rim * 0.2
    return to_image(colours * (1 - 0.5 * under) * (1 - shade))


STYLES: dict[str, Callable[[Image.Image, Image.Image, random.Random], Image.Image]] = {
    style.__name__: style for style in (flat, watercolour, pencil, pixel, neon, papercut)
}


def _edges(image: Image.Image) -> Image.Image:
    """How much the colour changes, over all three channels."""
    return strongest(ImageChops.difference(image.filter(ImageFilter.MaxFilter(3)), image))


def strongest(image: Image.Image) -> Image.Image:
    """Of each pixel the largest of its three channels."""
    r, g, b = image.split()
    return ImageChops.lighter(ImageChops.lighter(r, g), b)


def to_image(pixels: Floats) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@cache
def _grain(size: int) -> Floats:
    """Paper: noise at three scales, the same sheet every time, around 0.15."""
    dice = np.random.default_rng(7)
    sheet = np.zeros((size, size), np.float32)
    for cells, share in ((size, 0.05), (size // 4, 0.05), (size // 16, 0.1)):
        noise = Image.fromarray((dice.random((cells, cells)) * 255).astype(np.uint8))
        sheet += (
            np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC), np.float32)
            / 255
            * share
        )
    level: Floats = (sheet - sheet.mean() + 0.15).astype(np.float32)
    return level


@cache
def _hatch(size: int) -> Floats:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    wobble = _grain(size) * 26
    strokes: Floats = ((np.sin((x + y) * 0.9 + wobble) + 1) / 2).astype(np.float32)
    return strokes
