"""Files that hold their recipe, in pixels as painted."""

import io
import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from studio.engine import saving
from studio.engine.encode import encode, preview, thumbnail, to_image
from studio.messages import Painted
from studio.request import OutputFormat
from tests.engine.conftest import NUMPY_COPY, Job

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]

PLAIN = "a café\nSteps: 3"
WIDE = "a 猫 😀\nSteps: 3"
RECIPE = json.dumps({"version": 1, "prompt": "猫"}, ensure_ascii=False)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return to_image(torch.linspace(-1.2, 1.2, 3 * 96 * 160).view(1, 3, 96, 160))


def read(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("text", [PLAIN, WIDE])
def test_a_png_holds_both_texts_and_the_very_pixels(image: Image.Image, text: str) -> None:
    data, lost = encode(image, "png", text, RECIPE)
    found = read(data)
    assert (found.info["parameters"], found.info["darkroom"]) == (text, RECIPE)
    assert lost == ()
    default = io.BytesIO()
    image.save(default, "PNG")
    assert np.array_equal(np.asarray(found), np.asarray(Image.open(default)))
    assert b"iTXtparameters" in data  # whose letters no reader has to guess


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
@pytest.mark.parametrize("text", [PLAIN, WIDE])
def test_other_files_hold_them_as_user_comment_and_maker_note(
    image: Image.Image, output_format: OutputFormat, text: str
) -> None:
    data, lost = encode(image, output_format, text, RECIPE)
    found = read(data)
    assert found.format == output_format.upper()
    exif = found.getexif().get_ifd(ExifTags.IFD.Exif)
    assert exif[ExifTags.Base.UserComment] == b"UNICODE\0" + text.encode("utf-16-be")
    assert exif[ExifTags.Base.MakerNote] == b"darkroom\0" + RECIPE.encode()
    assert lost == ()


@pytest.mark.parametrize(
    ("length", "said"), [(10_000, ()), (30_000, ("no recipe",)), (32_768, ("neither",))]
)
def test_a_jpeg_says_what_did_not_fit(
    image: Image.Image, length: int, said: tuple[str, ...]
) -> None:
    data, lost = encode(image, "jpeg", "x" * length, "y" * length)
    assert read(data).size == image.size
    assert len(lost) == len(said)
    assert all(word in sentence for word, sentence in zip(said, lost, strict=True))
    assert encode(image, "webp", "x" * length, "y" * length)[1] == ()


def test_pixels_are_rounded_as_diffusers_rounds_them(image: Image.Image) -> None:
    values = torch.linspace(-1.2, 1.2, 3 * 96 * 160).view(1, 3, 96, 160)
    expected = ((values / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255).round()
    assert np.array_equal(np.asarray(image), expected.astype("uint8"))


@pytest.mark.parametrize(
    ("size", "thumb"),
    [((1024, 1024), (320, 320)), ((832, 1216), (219, 320)), ((64, 64), (64, 64))],
)
def test_a_thumbnail_fits_320_pixels_and_keeps_the_shape(
    size: tuple[int, int], thumb: tuple[int, int]
) -> None:
    small = read(thumbnail(Image.new("RGB", size, "teal")))
    assert small.format == "WEBP"
    assert small.size == thumb
    assert "exif" not in small.info


def test_a_picture_is_encoded_once_and_has_one_thumbnail(
    job: Job, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Counter[str]()

    def counted(name: str) -> None:
        act = getattr(saving, name)

        def count(*given: object) -> object:
            done[name] += 1
            return act(*given)

        monkeypatch.setattr(saving, name, count)

    counted("encode")
    counted("thumbnail")
    painted = do(job(count=2))
    assert len(painted.pictures) == 2 and done == {"encode": 2, "thumbnail": 2}


def test_a_preview_is_small() -> None:
    assert read(preview(torch.zeros(1, 3, 512, 256))).size == (128, 256)
