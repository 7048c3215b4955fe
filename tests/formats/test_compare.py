"""How far two pictures are apart, in levels and to the eye, and what is said about it."""

import io
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from studio.canvas import HEAD, read_head
from studio.errors import NotFound, Refused
from studio.formats import compare
from studio.formats.compare import Change, Comparison, Distance, changes, distance
from studio.formats.metadata import recipe_text
from studio.formats.read import own_recipe

Pixels = NDArray[np.uint8]
RECIPE = {
    "request": {"steps": 8, "count": 3, "owner": "ann", "prompt": "a red car"},
    "fingerprint": {
        "torch": "2.12.1",
        "dtype": "fp32",
        "plan": "5.1 GB free",
        "loras": [{"name": "ink", "weight": 1.0, "sha256": "aa"}],
        "scheduler_config": {"beta_end": 0.012},
    },
}


def png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def grey(height: int = 100, width: int = 60) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def apart(pixels: Pixels) -> Distance:
    found = distance(png(grey(*pixels.shape[:2])), png(pixels))
    assert found
    return found


def test_the_same_pixels_are_identical_whatever_the_file() -> None:
    file = io.BytesIO()
    Image.fromarray(grey()).save(file, "WEBP", lossless=True)
    assert distance(png(grey()), file.getvalue()) == Distance(0, 0.0, 0.0)


def test_levels_are_counted_to_the_last_pixel() -> None:
    pixels = grey(700, 33)  # more rows than a strip
    pixels[-1, -1, 2] += 3
    found = apart(pixels)
    assert (found.most, found.mean) == (3, round(3 / (700 * 33 * 3), 4))


def test_colours_are_measured_as_everybody_measures_them() -> None:
    """White to black is 100; by CIE 1994 the red of sRGB (53.2, 80.1, 67.2) is 65.8 from its blue
    (32.3, 79.2, -107.9)."""
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    for one, other, wanted in ((black, white, 100.0), (red, blue, 65.8)):
        found = distance(png(one), png(other))
        assert found and found.seen == pytest.approx(wanted, abs=0.1)


def test_the_eye_sees_a_patch_and_not_the_noise_that_is_as_strong() -> None:
    patch, noise = grey(), grey()
    patch[16:32, 16:32] += 8
    noise[::2, ::2] += 8
    noise[1::2, 1::2] += 8
    noise[::2, 1::2] -= 8
    noise[1::2, ::2] -= 8
    assert apart(patch).most == apart(noise).most == 8
    assert apart(patch).seen > compare.NOTICED > apart(noise).seen


def test_a_patch_is_found_wherever_it_is() -> None:
    corner = grey(300, 61)
    corner[-4:, -4:] += 40
    assert apart(corner).seen > compare.NOTICED


def test_what_is_transparent_is_compared_too() -> None:
    clear = np.dstack([grey(), np.full((100, 60), 255, np.uint8)])
    assert distance(png(grey()), png(clear)) == Distance(0, 0.0, 0.0)
    clear[:50, :, 3] = 0
    clear[:50, :, :3] = 250
    found = distance(png(grey()), png(clear))
    assert found and found.most == 255 and found.seen < 0.5  # grey on grey
    clear[:50, :, 3] = 128
    found = distance(png(grey()), png(clear))
    assert found and found.seen > compare.NOTICED


def test_two_sizes_have_no_distance() -> None:
    assert distance(png(grey()), png(grey(width=61))) is None


@pytest.mark.parametrize(
    ("far", "answer", "words"),
    [
        (Distance(0, 0.0, 0.0), "identical", "identical, pixel by pixel"),
        (Distance(1, 0.1, 0.4), "same to the eye", "same to the eye: at most 1 level apart"),
        (Distance(3, 0.1, 2.2), "same to the eye", "same to the eye: at most 3 levels apart"),
        (
            Distance(90, 7.26, 2.3),
            "different",
            "different: up to 90 levels apart, 7.3 on average",
        ),
        (None, "different", "different: another size"),
    ],
)
def test_the_answer_is_one_of_three_and_a_sentence(
    far: Distance | None, answer: str, words: str
) -> None:
    comparison = Comparison(far, ())
    assert (comparison.answer, comparison.words) == (answer, words)


def test_what_changed_is_named_the_likeliest_first_and_the_rest_is_counted() -> None:
    now = {
        "request": RECIPE["request"] | {"owner": "bob", "count": 1, "steps": 9},
        "fingerprint": {
            **RECIPE["fingerprint"],
            "torch": "2.13.0",
            "dtype": "bf16",
            "plan": "4.9 GB free",
            "loras": [{"name": "ink", "weight": 1.0, "sha256": "bb"}],
            "scheduler_config": {"beta_end": 0.02},
        },
        "together": 4,
    }
    changed = changes(RECIPE, now, (7, 7))
    assert changed == (
        Change("dtype", "fp32", "bf16"),
        Change("loras.ink.sha256", "aa", "bb"),
        Change("scheduler_config.beta_end", 0.012, 0.02),
        Change("steps", 8, 9),
        Change("together", None, 4),
        Change("torch", "2.12.1", "2.13.0"),
    )
    assert Comparison(Distance(0, 0.0, 0.0), changed).words == (
        "identical, pixel by pixel; dtype bf16 was fp32; loras.ink.sha256 bb was aa; "
        "scheduler_config.beta_end 0.02 was 0.012; and 3 more"
    )
    assert changes(RECIPE, RECIPE, (7, 8)) == (Change("seed", 7, 8),)
    came = (Change("together", 8, None), Change("look", None, "film"), Change("mask", "ab", None))
    assert Comparison(Distance(0, 0.0, 0.0), came).words == (
        "identical, pixel by pixel; painted alone, was beside 7 others; look film, before none; "
        "no mask, was ab"
    )
    assert changes({"request": {}}, {"request": {}}, (1, 1)) == ()


@pytest.mark.parametrize("part", ["request", "fingerprint", "seed"])
def test_a_recipe_that_was_changed_by_hand_is_refused_by_the_part(part: str) -> None:
    recipe = {"version": 1, "request": {}, "fingerprint": {}, "seed": 7} | {part: "mine"}
    image, file = Image.new("RGB", (8, 8)), io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = f"darkroom\0{recipe_text(recipe)}".encode()
    image.save(file, "JPEG", exif=exif)
    with pytest.raises(Refused, match=f"not whole: its {part}"):
        own_recipe(file.getvalue())


def test_a_recipe_behind_the_pixels_is_not_looked_for() -> None:
    """A file with one would be taken for a picture that came through the gate; and what is none of
    ours would be decoded whole."""
    exif = Image.Exif()
    recipe = {"version": 1, "request": {}, "fingerprint": {}, "seed": 7}
    exif.get_ifd(0x8769)[0x927C] = f"darkroom\0{recipe_text(recipe)}".encode()
    told = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + told
    behind = len(told).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    plain = png(grey())
    end = plain.index(b"IEND") - 4
    file = plain[:end] + behind + plain[end:]
    assert Image.open(io.BytesIO(file)).getexif()  # it is a sound picture, and says so
    with pytest.raises(Refused, match="no recipe"):
        own_recipe(file)


def test_only_a_picture_as_the_gate_writes_it_is_painted_from() -> None:
    """What a file says of itself may look like the beginning of its pixels."""
    plain = png(grey())
    body = plain[16:29] + b"IDAT!!!!IDAT!!!!"
    longer = plain[:8] + len(body).to_bytes(4) + b"IHDR" + body
    longer += zlib.crc32(b"IHDR" + body).to_bytes(4) + plain[33:]
    assert longer[37:41] == b"IDAT" and Image.open(io.BytesIO(longer)).size == (60, 100)
    assert read_head("a", plain[:HEAD]).size == "60x100"
    with pytest.raises(NotFound, match="for something else"):
        read_head("a", longer[:HEAD])
