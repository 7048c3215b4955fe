"""A picture from outside made safe and plain: PNG, JPEG or WebP goes in, a PNG of pixels comes out.

`python -m studio.formats.picture` does it in a process of its own with little memory and time; that
is how the store calls it. Nothing that a file says beside its pixels is kept.
"""

import io
import json
import math
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms, ImageOps

if sys.platform != "win32":
    import resource

MAX_SIDE = 8192
MAX_PIXELS = 40_000_000
MIN_SIDE = 16
MOST = f"the most is {MAX_SIDE} a side and {MAX_PIXELS // 10**6} megapixels"
MEMORY = 1 << 30  # bytes that the process may take
CPU_SECONDS = 20
HOLES = "--holes"
BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
# What people do send, and how it begins.
OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"<svg": "an SVG",
    b"<?xml": "an SVG",
}
BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIC", b"avif": "an AVIF"}


class Unfit(Exception):
    """Why the picture is not taken, as a sentence about it."""


@dataclass(frozen=True, slots=True)
class Clean:
    """`notes` say, a sentence each, what of the file did not come along."""

    png: bytes
    width: int
    height: int
    notes: tuple[str, ...]


def clean(data: bytes, *, holes: bool = False) -> Clean:
    """`holes` asks for a mask: white where the picture is transparent, black where it is not."""
    form, notes = form_of(data), list[str]()
    with _in_words(form):
        plain = _plain(_upright(_decoded(data, form, notes), notes), notes)
    notes += _behind(data, form)
    if holes:
        plain = _holes(plain)
    file = io.BytesIO()
    plain.info = {}
    plain.save(file, "PNG", compress_type=zlib.Z_RLE)  # half the time of level 3, and smaller
    return Clean(file.getvalue(), *plain.size, tuple(notes))


def whole(data: bytes) -> tuple[Image.Image, str]:
    """Decoded and upright, with the name of its form. What is said of it is dropped."""
    form, notes = form_of(data), list[str]()
    with _in_words(form):
        image = _upright(_decoded(data, form, notes), notes)
    _behind(data, form)
    return image, form


def _decoded(data: bytes, form: str, notes: list[str]) -> Image.Image:
    image = Image.open(io.BytesIO(data), "r", [form])
    _check_size(*image.size)
    notes += _frames(image)
    image.load()
    return image


@contextmanager
def _in_words(form: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Image.DecompressionBombError:
        raise Unfit(f"it is far too large; {MOST}.") from None
    except (Unfit, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a decoder raises whatever it likes over a damaged file
        raise Unfit(f"it begins like a {form} and is damaged or cut; save it again.") from None


def form_of(data: bytes) -> str:
    for beginning, form in BEGINNINGS.items():
        if data.startswith(beginning):
            return form
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if not data:
        raise Unfit("it is empty.")
    found = next((what for start, what in OTHERS.items() if data.startswith(start)), None)
    found = found or (BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None)
    if found:
        raise Unfit(f"it is {found}; save it as PNG, JPEG or WebP.")
    raise Unfit("it is no PNG, JPEG or WebP.")


def _check_size(width: int, height: int) -> None:
    """Before anything is decoded: a small file may hold a picture that fills the memory."""
    size = f"it is {width}x{height} pixels;"
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise Unfit(f"{size} {MOST}.")
    if min(width, height) < MIN_SIDE:
        raise Unfit(f"{size} the least is {MIN_SIDE} a side.")


def _frames(image: Image.Image) -> list[str]:
    frames = getattr(image, "n_frames", 1)
    return [f"It holds {frames} pictures; the first was taken."] if frames > 1 else []


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - as of any decoder
        notes.append("How it was held could not be read; it was taken as it lies.")
        return image


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """As L, RGB or RGBA, in sRGB."""
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16B", "I"):
        if "transparency" in image.info:
            notes.append("What is transparent in it could not be read; it was taken as solid.")
        image = _eight_bits(image)
    alpha = _alpha(image)
    colours = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
    if image.mode in ("1", "LA", "La"):
        colours = image.convert("L")
    if profile:
        colours = _in_srgb(colours, profile, notes)
    if colours.mode == "CMYK":
        colours = colours.convert("RGB")
    if alpha is None:
        return colours
    whole = colours.convert("RGB")
    whole.putalpha(alpha)
    return whole


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scaled. Pillow itself would cut all above 255."""
    if image.mode == "I":
        return image.point(lambda value: value * (1 / 256)).convert("L")
    raw = image.tobytes()
    return Image.frombytes("L", image.size, raw[0::2] if image.mode == "I;16B" else raw[1::2])


def _alpha(image: Image.Image) -> Image.Image | None:
    """None where all of it is solid."""
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    return alpha if alpha.getextrema()[0] != 255 else None


def _in_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(own):
            return image
        srgb = ImageCms.createProfile("sRGB")
        seen = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
    except Exception:  # noqa: BLE001 - as of any decoder
        notes.append("Its colour profile could not be read; its colours may be a little off.")
        return image
    return seen or image


def _holes(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        raise Unfit("it is nowhere transparent; make it so where the picture may change.")
    return ImageChops.invert(image.getchannel("A"))


def _behind(data: bytes, form: str) -> list[str]:
    """A file may be a picture and something else at once. Phones do that to a JPEG; nothing honest
    does it to a PNG or a WebP."""
    end = {"PNG": _end_of_png, "JPEG": _end_of_jpeg, "WEBP": _end_of_webp}[form](data)
    if end > len(data):
        raise Unfit(f"it is a {form} that was cut; send it again.")
    more = len(data[end:].strip(b"\0\r\n "))
    if more and form != "JPEG":
        raise Unfit(f"{more} bytes of something else lie behind the {form}; save it again.")
    return ["What lay behind the picture in its file was dropped."] if more else []


def _end_of_png(data: bytes) -> int:
    place = 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        place += 12 + length
        if data[place - length - 8 : place - length - 4] == b"IEND":
            return place
    return len(data) + 1


def _end_of_jpeg(data: bytes) -> int:
    last = data.rfind(b"\xff\xd9")
    return last + 2 if last >= 0 else len(data) + 1


def _end_of_webp(data: bytes) -> int:
    length = int.from_bytes(data[4:8], "little")
    return 8 + length + length % 2


def limit(seconds: int) -> None:
    """Of this process: its memory, and so much more of the processor."""
    if sys.platform == "win32":
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime)
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, spent + seconds)):
        with suppress(ValueError, OSError):  # macOS does not limit addresses
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def main() -> None:
    """The file on standard input; on standard output a line of JSON, and the PNG behind it."""
    limit(CPU_SECONDS)
    data = sys.stdin.buffer.read()
    try:
        found = clean(data, holes=HOLES in sys.argv)
    except Unfit as why:
        print(json.dumps({"unfit": str(why)}))
        return
    except MemoryError:
        print(json.dumps({"unfit": "it takes too much memory to read; make it smaller."}))
        return
    told = {"width": found.width, "height": found.height, "notes": found.notes}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + found.png)


if __name__ == "__main__":
    main()
