"""Painting from pictures with the test pattern: fitting, masks, every sampler, the crossing."""

import io
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.engine.inputs import SEE_THROUGH, Inputs
from studio.engine.job import Stopped
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.formats.metadata import read_recipe
from studio.messages import Loading, Paint, Painted, Progress, pack, unpack
from studio.models.card import ModelCard
from studio.request import read_request
from tests.engine.conftest import NUMPY_COPY, Job, handed

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]
DICE = np.random.default_rng(2)
PHOTO = Image.fromarray(DICE.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64))
HALF = Image.new("L", (64, 64), 0)
HALF.paste(255, (32, 0, 64, 64))


def name_of(image: Image.Image) -> str:
    return next(iter(handed(image)[0]))


def begun(image: Image.Image = PHOTO, mask: Image.Image | None = None, **more: object) -> dict:  # type: ignore[type-arg]
    masked = {"mask": name_of(mask)} if mask else {}
    return (
        {"images": [image, *([mask] if mask else [])], "start_image": name_of(image)}
        | masked
        | more
    )


def pixels(painted: Painted) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)), np.int16)


def read(**given: object) -> Inputs:
    images = given.pop("images")
    request = read_request({"prompt": "x", **given})
    return Inputs.read(request, handed(*images)[0])  # type: ignore[misc]


@pytest.mark.parametrize("sampler", ["euler", "euler a", "dpm++ 2m", "ddim"])
def test_with_every_sampler_1_forgets_the_start_image_and_less_does_not(
    job: Job, do: Do, sampler: str
) -> None:
    plain = pixels(do(job(sampler=sampler, steps=4)))
    forgotten = pixels(do(job(sampler=sampler, steps=4, **begun(strength=1))))
    assert np.abs(forgotten - plain).max() <= 1
    weak, strong = (
        pixels(do(job(sampler=sampler, steps=4, **begun(strength=part)))) for part in (0.25, 0.75)
    )
    other = pixels(do(job(sampler=sampler, steps=4, **begun(PHOTO.rotate(90), strength=0.25))))
    assert not np.array_equal(weak, strong) and not np.array_equal(weak, other)
    photo = np.asarray(PHOTO, np.int16)
    masked = pixels(do(job(sampler=sampler, steps=4, **begun(mask=HALF))))
    assert np.array_equal(masked[:, :32], photo[:, :32])
    assert not np.array_equal(masked[:, 32:], plain[:, 32:])  # it sees what is beside it


def test_a_picture_is_continued_to_all_sides(job: Job, do: Do) -> None:
    tall = PHOTO.resize((32, 64))
    picture = pixels(do(job(**begun(tall, fit="contain"))))
    assert np.array_equal(picture[:, 16:48], np.asarray(tall, np.int16))
    assert picture[:, :16].std() > 1 and picture[:, 48:].std() > 1


def test_the_weights_are_there_once(job: Job, do: Do, painter: object) -> None:
    pipeline = painter.family.pipeline  # type: ignore[attr-defined]
    before = {name: id(part) for name, part in pipeline.components.items() if name != "scheduler"}
    held = sum(len(list(part.parameters())) for part in (pipeline.unet, pipeline.vae))
    do(job(**begun(mask=HALF)))
    after = {name: id(part) for name, part in pipeline.components.items() if name != "scheduler"}
    assert after == before
    assert held == sum(len(list(part.parameters())) for part in (pipeline.unet, pipeline.vae))
    assert "scale_noise" not in vars(pipeline.scheduler)
    assert "add_noise" not in vars(pipeline.scheduler)


def test_nothing_is_painted_at_strength_0_and_its_pictures_are_alike(job: Job, do: Do) -> None:
    told: list[Loading | Progress] = []
    painted = do(job(count=2, **begun(strength=0)), told.append)
    assert {word.step for word in told if isinstance(word, Progress)} == {0}
    for picture in painted.pictures:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.data))), np.asarray(PHOTO))
    assert painted.timings["steps"] == 0


def test_the_recipe_names_the_pictures_and_the_infotext_the_strength(job: Job, do: Do) -> None:
    picture = Image.open(io.BytesIO(do(job(**begun(mask=HALF, strength=0.7))).pictures[0].data))
    asked = read_recipe(picture.info["darkroom"])["request"]
    assert asked["start_image"] == name_of(PHOTO) and asked["mask"] == name_of(HALF)
    assert "Denoising strength: 0.7" in picture.info["parameters"]
    plain = Image.open(io.BytesIO(do(job()).pictures[0].data))
    assert "Denoising" not in plain.info["parameters"]


def test_pictures_cross_the_border_as_bytes(job: Job) -> None:
    message = job(**begun(mask=HALF))
    assert len(message.inputs) == 2
    crossed = unpack(pack(message))
    assert isinstance(crossed, Paint) and crossed == message


def test_a_grey_mask_mixes(job: Job, do: Do) -> None:
    grey = Image.new("L", (64, 64), 128)
    mixed, whole = (pixels(do(job(**begun(mask=mask)))) for mask in (grey, None))
    assert not np.array_equal(mixed, whole)
    photo = np.asarray(PHOTO, np.int16)
    assert np.abs(mixed - photo).mean() < np.abs(whole - photo).mean() * 1.2


def test_cover_cuts_the_middle_and_contain_goes_on_at_the_edge() -> None:
    wide = Image.new("RGB", (120, 60), "red")
    wide.paste("blue", (0, 0, 30, 60))
    wide.paste("green", (90, 0, 120, 60))
    cover = read(images=[wide], start_image=name_of(wide))
    (least, _), *others = cover.begin((64, 64)).getextrema()
    assert least > 245 and all(most < 10 for _, most in others)  # nothing but red
    assert cover.free((64, 64)) is None
    contain = read(images=[wide], start_image=name_of(wide), fit="contain")
    laid, free = contain.begin((64, 64)), contain.free((64, 64))
    assert free and laid.size == free.size == (64, 64)
    for y, white in ((0, 255), (15, 255), (16, 0), (47, 0), (48, 255), (63, 255)):
        assert free.getpixel((32, y)) == white
        left, right = laid.getpixel((2, y)), laid.getpixel((61, y))
        assert left == (0, 0, 255) and right == (0, 128, 0)


def test_a_mask_lies_where_its_picture_lies() -> None:
    wide = Image.new("RGB", (120, 60), "red")
    mask = Image.new("L", (240, 120), 0)
    mask.paste(255, (0, 0, 120, 120))  # its left half
    given = {"images": [wide, mask], "start_image": name_of(wide), "mask": name_of(mask)}
    free = read(**given).free((64, 64))
    assert free and free.getpixel((20, 30)) == 255 and free.getpixel((44, 30)) == 0
    free = read(**given, fit="contain").free((64, 64))
    assert free and [free.getpixel(at) for at in ((10, 30), (50, 30), (50, 4))] == [255, 0, 255]


def test_what_is_transparent_is_laid_on_white_and_said(job: Job, do: Do) -> None:
    clear = PHOTO.convert("RGBA")
    clear.putalpha(0)
    painted = do(job(**begun(clear, strength=0)))
    assert pixels(painted).min() == 255 and SEE_THROUGH in painted.warnings
    mask = HALF.convert("RGBA")
    mask.putalpha(0)
    assert read(**begun(mask=mask)).free((64, 64)).getextrema() == (0, 0)  # type: ignore[union-attr]


def test_a_start_image_finer_than_the_painting_is_put_back_finely() -> None:
    fine = Image.fromarray(DICE.integers(0, 255, (128, 128, 3), np.uint8))
    inputs = read(**begun(fine, mask=HALF))
    assert inputs.fine((128, 128)) and not inputs.fine((256, 256))
    kept = np.asarray(inputs.keep(Image.new("RGB", (128, 128), "red")))
    assert np.array_equal(kept[:, :60], np.asarray(fine)[:, :60])
    assert (kept[:, 68:] == (255, 0, 0)).all()
    assert Inputs().keep(fine) is fine and not Inputs().fine((64, 64))


def test_it_is_stopped_at_any_step_and_paints_on(job: Job, do: Do, painter: object) -> None:
    class Enough(Exception):
        pass

    def stop(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.step == 1:
            raise Enough

    with pytest.raises(Enough):
        do(job(**begun(mask=HALF)), stop)
    first = pixels(do(job(**begun(mask=HALF))))
    assert np.array_equal(first, pixels(do(job(**begun(mask=HALF)))))
    assert torch.is_grad_enabled()


def test_parts_that_take_turns_leave_before_the_start_image_is_seen_and_after_a_stop(
    models: Path, card: ModelCard, job: Job
) -> None:
    residents = Residents("cpu", models, "auto")
    pipeline = residents.get(card, residents.key(card, "", "auto")).family.pipeline
    pipeline.enable_model_cpu_offload(device="cpu")  # as on a card that is too small
    done: list[str] = []
    back = pipeline.to

    def leave(*where: object, **how: object) -> object:
        done.append("all leave")
        return back(*where, **how)

    pipeline.to = leave
    for part, what in (
        (pipeline.text_encoder_2, "words"),
        (pipeline.vae.encoder, "start image"),
        (pipeline.unet, "step"),
    ):
        part.register_forward_hook(lambda *_, what=what: done.append(what))

    def stop(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.step == 1:
            raise Stopped

    with pytest.raises(Stopped):
        paint(job(**begun(mask=HALF)), residents, False, stop)
    order = ["words", "all leave", "start image", "all leave", "step", "all leave"]
    assert [what for what, _ in groupby(done)] == order
