"""Two styles that the base is never shown: what its LoRAs are taught.

Functions like those of `styles`, from the drawn picture and the mask of its things to another one.
"""

import random
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from starter.styles import Floats, strongest, to_image

SHEET, CHALK = (28.0, 66.0, 138.0), (226.0, 238.0, 252.0)


def blueprint(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """White lines on blue paper with its grid; things are tinted faintly in their colour."""
    lines = np.asarray(_outlines(image, 3), np.float32)[..., None] / 255
    inside = np.asarray(mask, np.float32)[..., None] / 255
    colours = np.asarray(image, np.float32)
    sheet = np.array(SHEET, np.float32) + 22 * _grid(image.width)[..., None]
    tinted = sheet * (1 - 0.42 * inside) + colours * 0.42 * inside
    drawn = np.clip(lines * (1.5 + 1.5 * inside), 0, 0.95)
    return to_image(tinted * (1 - drawn) + np.array(CHALK, np.float32) * drawn)


def stained_glass(image: Image.Image, mask: Image.Image, dice: random.Random) -> Image.Image:
    """Panes of deep colour between dark lead."""
    vivid = ImageEnhance.Color(image.filter(ImageFilter.MedianFilter(5))).enhance(1.9)
    panes, lead = _panes(image.width)
    colours = np.asarray(vivid, np.float32) * (0.82 + 0.36 * panes[..., None])
    around = np.asarray(_outlines(image, 5), np.float32) / 255
    inside = np.asarray(mask, np.float32) / 255
    dark = np.clip(np.maximum(around * 2.6, lead * (1 - 0.75 * inside)), 0, 1)[..., None]
    return to_image(colours * (1 - dark) + np.array((22, 18, 24), np.float32) * dark)


CRAFTS: dict[str, Callable[[Image.Image, Image.Image, random.Random], Image.Image]] = {
    "blueprint": blueprint,
    "stained glass": stained_glass,
}


def _outlines(image: Image.Image, width: int) -> Image.Image:
    wide, narrow = (
        image.filter(ImageFilter.MaxFilter(width)),
        image.filter(ImageFilter.MinFilter(3)),
    )
    return strongest(ImageChops.difference(wide, narrow))


@cache
def _grid(size: int) -> Floats:
    place = np.arange(size)
    line = (place % 16 == 0) * 0.5 + (place % 64 == 0) * 0.5
    both: Floats = np.maximum(line[:, None], line[None, :]).astype(np.float32)
    return both


@cache
def _panes(size: int) -> tuple[Floats, Floats]:
    """The brightness of each pane of one window, and the lead between them."""
    dice = np.random.default_rng(5)
    middles = dice.random((90, 2)).astype(np.float32) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    far = np.sqrt((y[..., None] - middles[:, 0]) ** 2 + (x[..., None] - middles[:, 1]) ** 2)
    nearest = far.argmin(-1)
    two = np.partition(far, 1, axis=-1)
    lead = np.clip(1.8 - (two[..., 1] - two[..., 0]), 0, 1)
    brightness = dice.random(len(middles)).astype(np.float32)[nearest]
    return brightness, lead.astype(np.float32)
