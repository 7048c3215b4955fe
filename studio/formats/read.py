"""What a picture says about itself, read out of its file: our own recipe, so far."""

import io
import struct
from typing import Any

from PIL import ExifTags, Image

from studio.errors import Refused
from studio.formats.metadata import RECIPE, read_recipe

FORMATS = ("PNG", "JPEG", "WEBP")


def own_recipe(data: bytes) -> dict[str, Any]:
    """The recipe that a studio of ours wrote into it. Only the head of the file is decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            text = image.info.get(RECIPE) or _maker_note(image)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        raise Refused("This is no whole PNG, JPEG or WebP.") from None
    if not text:
        raise Refused("There is no recipe of this studio in it.")
    recipe = read_recipe(text)
    kinds = {"request": dict, "fingerprint": dict, "seed": int}
    for name, kind in kinds.items():
        if not isinstance(recipe.get(name), kind):
            raise Refused(f"The recipe in this picture is not whole: its {name} was changed.")
    return recipe


def _maker_note(image: Image.Image) -> str:
    if image.format == "PNG":  # ours has none, and for one Pillow would decode the whole picture
        return ""
    note = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.MakerNote, b"")
    name, _, text = note.partition(b"\0") if isinstance(note, bytes) else (b"", b"", b"")
    return text.decode("utf-8", "replace") if name == RECIPE.encode() else ""
