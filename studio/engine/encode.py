"""From pixels to files: PNG, JPEG or WebP with the recipe inside, the thumbnail, the preview.

It encodes what it is given; where a file is kept, or shown, is no business of the engine.
"""

import io

import torch
from PIL import Image

from studio.engine.failures import PaintError
from studio.engine.png import write_png
from studio.formats.carried import EXIF
from studio.formats.exif import write_exif
from studio.formats.metadata import PARAMETERS, RECIPE
from studio.request import OutputFormat

THUMB_SIDE = 320
JPEG_EXIF_BYTES = 65_533  # one segment; what is longer cannot be written into a JPEG


def to_image(pixels: torch.Tensor) -> Image.Image:
    """Rounded on the device, so that one byte a channel crosses over instead of four."""
    if not torch.isfinite(pixels).all():
        raise PaintError(
            "precision", "precision: the picture came out as no numbers. Try fp32, or another size."
        )
    bytes_ = pixels[0].float().div(2).add(0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(bytes_.permute(1, 2, 0).contiguous().cpu().numpy())


def encode(
    image: Image.Image, output_format: OutputFormat, parameters: str, recipe: str
) -> tuple[bytes, tuple[str, ...]]:
    """The file, and a sentence for whatever did not fit into it."""
    if output_format == "png":
        return write_png(image, {PARAMETERS: parameters, RECIPE: recipe}), ()
    file = io.BytesIO()
    if output_format == "webp":
        image.save(file, "WEBP", quality=95, method=2, exif=_exif(parameters, recipe))
        return file.getvalue(), ()
    exif, lost = _fitting_exif(parameters, recipe)
    image.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue(), lost


def thumbnail(image: Image.Image) -> bytes:
    return _webp(image.reduce(max(1, max(image.size) // THUMB_SIDE)), THUMB_SIDE, 80)


def preview(pixels: torch.Tensor) -> bytes:
    return _webp(to_image(pixels), 256, 60)


def _webp(image: Image.Image, side: int, quality: int) -> bytes:
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=0)  # ten times as fast as 4, a little larger
    return file.getvalue()


def _exif(parameters: str, recipe: str) -> bytes:
    """A1111's place for its text, and our recipe as the note of the maker."""
    return EXIF + write_exif(parameters, f"{RECIPE}\0{recipe}" if recipe else "")


def _fitting_exif(parameters: str, recipe: str) -> tuple[bytes, tuple[str, ...]]:
    lost = "The prompt is too long for a JPEG: the file holds {}. The studio keeps all of it."
    for exif, warning in (
        (_exif(parameters, recipe), ()),
        (_exif(parameters, ""), (lost.format("no recipe"),)),
    ):
        if len(exif) <= JPEG_EXIF_BYTES:
            return exif, warning
    return b"", (lost.format("neither prompt nor recipe"),)
