"""Pictures from outside: what of each kind of file comes in, and what is refused in a sentence."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw

from studio.formats.picture import MAX_SIDE, Unfit, clean
from tests.pace import within

SIZE = (48, 32)
RED, GREEN = (200, 30, 30), (30, 160, 60)


def drawn(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Red on the left, green on the right, the top left corner white."""
    image = Image.new("RGB", size, RED)
    draw = ImageDraw.Draw(image)
    draw.rectangle((size[0] // 2, 0, size[0], size[1]), GREEN)
    draw.rectangle((0, 0, 7, 7), (255, 255, 255))
    return image.convert(mode)


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colours: int, rows: bytes, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + end


def sixteen_bits(value: int) -> bytes:
    row = b"\0" + struct.pack(">H", value) * SIZE[0]
    return png(*SIZE, 16, 0, row * SIZE[1])


def clear_left(mode: str = "RGBA") -> Image.Image:
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (0, 0, SIZE[0] // 2, SIZE[1]))
    image = drawn("RGBA")
    image.putalpha(alpha)
    return image.convert(mode)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(drawn(), "JPEG", exif=exif, quality=95)


def told(data: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    return saved(Image.open(io.BytesIO(data)), "JPEG", exif=exif, comment=b"where I live")


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and green in each other's place."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"????"), (b"gXYZ", b"rXYZ"), (b"????", b"gXYZ")):
        profile = profile.replace(old, new)
    return profile.replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be"))


def seen(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(clean(data).png))
    image.load()
    return image


def near(pixel: Any, colour: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(one - other) <= by for one, other in zip(pixel, colour, strict=True))


COLOURED: dict[str, bytes] = {
    "png": saved(drawn()),
    "interlaced png": saved(drawn(), "PNG", optimize=True),
    "palette": saved(drawn().quantize()),
    "jpeg": saved(drawn(), "JPEG", quality=95, subsampling=0),
    "progressive jpeg": saved(drawn(), "JPEG", quality=95, progressive=True),
    "cmyk jpeg": saved(drawn("CMYK"), "JPEG", quality=95),
    "webp": saved(drawn(), "WEBP", quality=95),
    "lossless webp": saved(drawn(), "WEBP", lossless=True),
    "with sRGB profile": saved(
        drawn(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ),
    "with a broken profile": saved(drawn(), icc_profile=b"no profile at all"),
    "jpeg with a broken profile": saved(drawn(), "JPEG", quality=95, icc_profile=b"x" * 200),
    "animated webp": saved(
        drawn(), "WEBP", save_all=True, append_images=[drawn("L").convert("RGB")], quality=95
    ),
    "animated png": saved(
        drawn(), "PNG", save_all=True, append_images=[Image.new("RGB", SIZE, "blue")]
    ),
    "jpeg with a film behind it": saved(drawn(), "JPEG", quality=95) + b"\0\0\0\x18ftypmp42" * 9,
}


@pytest.mark.parametrize("name", COLOURED)
def test_colours_come_in_as_they_are_seen(name: str) -> None:
    image = seen(COLOURED[name])
    assert image.mode == "RGB" and image.size == SIZE
    assert near(image.getpixel((12, 20)), RED, 16) and near(image.getpixel((40, 20)), GREEN, 16)


NOTED = {
    "animated webp": "It holds 2 pictures; the first was taken.",
    "animated png": "It holds 2 pictures; the first was taken.",
    "with a broken profile": "profile could not be read",
    "jpeg with a broken profile": "profile could not be read",
    "jpeg with a film behind it": "What lay behind the picture",
}


@pytest.mark.parametrize("name", COLOURED)
def test_what_does_not_come_along_is_said(name: str) -> None:
    notes = clean(COLOURED[name]).notes
    assert len(notes) == (name in NOTED)
    assert NOTED.get(name, "") in " ".join(notes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_comes_in_upright(orientation: int) -> None:
    image = seen(turned(orientation))
    assert image.size == (SIZE if orientation < 5 else SIZE[::-1])
    corner = {1: (2, 2), 2: (-3, 2), 3: (-3, -3), 4: (2, -3)} | {
        5: (2, 2), 6: (-3, 2), 7: (-3, -3), 8: (2, -3),
    }  # fmt: skip
    x, y = corner[orientation]
    assert near(image.getpixel((x % image.width, y % image.height)), (255, 255, 255), 40)


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    for value, grey in ((0, 0), (255, 0), (40_000, 156), (65_535, 255)):
        image = seen(sixteen_bits(value))
        assert image.mode == "L" and abs(image.getpixel((5, 5)) - grey) <= 1


def test_one_bit_and_grey_come_in_as_grey() -> None:
    for mode in ("1", "L"):
        image = seen(saved(drawn(mode)))
        assert image.mode == "L" and image.getpixel((2, 2)) == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_stays_so(mode: str) -> None:
    image = clear_left(mode)
    data = saved(image.convert("RGBA").convert("P") if mode == "PA" else image)
    alpha = seen(data).getchannel("A")
    assert alpha.getpixel((4, 20)) == 0 and alpha.getpixel((40, 20)) == 255


def test_a_colour_that_stands_for_transparent_is_read() -> None:
    image = drawn("P")
    data = saved(image, transparency=image.getpixel((40, 20)))
    assert seen(data).getchannel("A").getpixel((40, 20)) == 0


def test_an_alpha_that_hides_nothing_is_dropped() -> None:
    assert seen(saved(drawn("RGBA"))).mode == "RGB"


def test_a_profile_is_applied() -> None:
    red, green, blue = seen(saved(drawn(), icc_profile=swapped_profile())).getpixel((12, 20))
    assert green > 150 > red and green > 150 > blue


def test_nothing_a_file_tells_comes_along() -> None:
    data = clean(told(saved(drawn()))).png
    assert b"where I live" not in data
    assert not Image.open(io.BytesIO(data)).info
    kinds, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kinds.append(data[place + 4 : place + 8])
        place += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_the_same_pixels_are_the_same_file_whatever_was_around_them() -> None:
    plain = clean(saved(drawn())).png
    assert clean(saved(drawn(), compress_level=0, dpi=(72, 72))).png == plain
    assert clean(plain).png == plain


def test_holes_become_a_mask() -> None:
    mask = Image.open(io.BytesIO(clean(saved(clear_left()), holes=True).png))
    assert mask.mode == "L"
    assert mask.getpixel((4, 20)) == 255 and mask.getpixel((40, 20)) == 0
    with pytest.raises(Unfit, match="nowhere transparent"):
        clean(saved(drawn()), holes=True)


WHOLE = saved(drawn())
PHOTO = saved(drawn(size=(200, 200)), "JPEG", quality=95)
ZIPPED = b"PK\x03\x04" + b"a zip behind it"
UNFIT: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty"),
    "text": (b"hello", "no PNG, JPEG or WebP"),
    "gif": (saved(drawn("P"), "GIF"), "a GIF; save it as PNG"),
    "bmp": (saved(drawn(), "BMP"), "a BMP"),
    "tiff": (saved(drawn(), "TIFF"), "a TIFF"),
    "pdf": (b"%PDF-1.7 ...", "a PDF"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
    "avif": (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF"),
    "bomb": (png(20_000, 20_000, 1, 0, b"\0" * 50_000), "far too large; the most is 8192 a side"),
    "many pixels": (png(8000, 8000, 8, 2, b""), "8000x8000 pixels; the most is"),
    "long": (png(MAX_SIDE + 1, 100, 8, 0, b""), "8193x100"),
    "tiny": (saved(drawn(size=(15, 200))), "15x200 pixels; the least is 16"),
    "nought": (png(0, 0, 8, 2, b""), "damaged"),
    "cut png": (WHOLE[: len(WHOLE) // 2], "damaged or cut"),
    "png without its end": (WHOLE[:-12], "cut"),
    "cut jpeg": (PHOTO[: len(PHOTO) // 2], "cut"),
    "cut webp": (saved(drawn(), "WEBP")[:-20], "cut"),
    "png and zip": (WHOLE + ZIPPED, "19 bytes of something else"),
    "webp and zip": (saved(drawn(), "WEBP") + ZIPPED, "bytes of something else"),
    "png of nothing": (WHOLE[:8], "damaged"),
    "profile bomb": (
        png(*SIZE, 8, 2, b"\0" * (1 + 3 * SIZE[0]) * SIZE[1],
            chunk(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 80_000_000))),
        "damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_refused_in_a_sentence(name: str) -> None:
    data, words = UNFIT[name]
    with pytest.raises(Unfit, match=words) as refusal:
        clean(data)
    assert str(refusal.value).endswith(".") and " 0x" not in str(refusal.value)


def test_a_large_picture_is_looked_at_before_it_is_decoded() -> None:
    for _ in within(0.2):
        for name in ("bomb", "many pixels", "long"):
            with pytest.raises(Unfit):
                clean(UNFIT[name][0])


def mutated(dice: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(dice.choice((1, 2, 8))):
        place = dice.randrange(len(spoilt))
        match dice.randrange(4):
            case 0:
                spoilt[place] = dice.randrange(256)
            case 1:
                spoilt[place] ^= 1 << dice.randrange(8)
            case 2:
                del spoilt[place : place + dice.randrange(1, 9)]
            case _:
                spoilt[place:place] = dice.randbytes(dice.randrange(1, 9))
        if not spoilt:
            break
    return bytes(spoilt)


def survive(rounds: int, check: Callable[[bytes], object] = clean) -> int:
    """How many of the spoilt files were pictures all the same."""
    dice, whole = random.Random(40), 0
    seeds = [*COLOURED.values(), *(turned(n) for n in (3, 6)), saved(clear_left())]
    for _ in range(rounds):
        try:
            check(mutated(dice, dice.choice(seeds)))
            whole += 1
        except Unfit as refusal:
            assert len(str(refusal)) < 200
    return whole


def test_spoilt_bytes_are_a_picture_or_a_sentence() -> None:
    assert 0 < survive(600) < 600


@pytest.mark.slow
def test_many_spoilt_bytes_are_a_picture_or_a_sentence() -> None:
    assert 0 < survive(8_000) < 8_000
