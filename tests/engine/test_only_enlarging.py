"""Enlarging alone in the worker: no model is loaded, and the start image is the picture."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from studio.canvas import Input
from studio.engine.enlargers import RRDBNet
from studio.engine.job import Stopped
from studio.engine.ladder import Ladder
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.engine.upscale import Upscaler
from studio.formats.metadata import read_recipe
from studio.messages import Paint, Progress
from studio.request import read_request
from studio.wishes.catalog import Catalog
from tests.engine.networks import dense, larger, levels, picture, saved

HASH = "5" * 64
Enlarge = Callable[..., Paint]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(tmp_path / "RealESRGAN_x4plus.safetensors", dense())


@pytest.fixture
def enlarge(catalog: Catalog, file: Path) -> Enlarge:
    def make(image: Image.Image, **fields: Any) -> Paint:
        png = io.BytesIO()
        image.save(png, "PNG")
        whole = {"model": "enlarge", "prompt": "a boat", "start_image": HASH, "upscale": 4}
        settled = catalog.settle(read_request(whole | fields), (), {HASH: Input(HASH, *image.size)})
        return Paint(
            job="job",
            token=1,
            request=settled.request.model_dump(mode="json"),
            card=settled.card.model_dump(mode="json"),
            folder="",
            upscaler=str(file),
            inputs={HASH: png.getvalue()},
        )

    return make


@pytest.fixture
def residents(tmp_path: Path) -> Residents:
    return Residents("cpu", tmp_path, "auto")


def test_a_picture_is_enlarged_by_the_upscaler_alone(
    enlarge: Enlarge, residents: Residents, file: Path
) -> None:
    given, told = picture(31, 17), list[Any]()
    painted = paint(enlarge(given, enlarged_from="a" * 32), residents, False, told.append)
    found = Image.open(io.BytesIO(painted.pictures[0].data))
    expected = larger(Upscaler(file, "cpu", bf16=False), given, 4)
    assert found.size == (124, 68) and levels(found.convert("RGB"), expected) <= 4
    recipe = read_recipe(found.info["darkroom"])
    assert recipe["request"]["enlarged_from"] == "a" * 32
    marks = recipe["fingerprint"]
    assert marks["upscaler"] == "RealESRGAN_x4plus" and marks["device"] == "cpu"
    assert "scheduler" not in marks and "model_hash" not in marks
    assert found.info["parameters"] == (
        "a boat\nSize: 31x17, Postprocess upscale by: 4, Postprocess upscaler: RealESRGAN_x4plus, "
        f"Version: Darkroom {marks['darkroom']}"
    )
    stages = [(word.step, word.steps, word.stage) for word in told if word.stage]
    assert stages == [(part, 5, f"enlarging, part {part + 1} of 5") for part in range(5)]
    assert painted.timings["upscale"] > 0 and len(painted.pictures[0].thumb) > 0


def test_transparency_stays_where_the_file_can_hold_it(
    enlarge: Enlarge, residents: Residents
) -> None:
    given = picture(16, 16)
    given.putalpha(Image.linear_gradient("L").resize((16, 16)))
    painted = paint(enlarge(given), residents, False, lambda word: None)
    assert Image.open(io.BytesIO(painted.pictures[0].data)).mode == "RGBA"
    assert painted.warnings == ()
    painted = paint(enlarge(given, output_format="jpeg"), residents, False, lambda word: None)
    assert Image.open(io.BytesIO(painted.pictures[0].data)).mode == "RGB"
    assert painted.warnings[0].endswith("there it was laid on white.")


def test_it_is_cancelled_between_two_pieces(enlarge: Enlarge, residents: Residents) -> None:
    heard = []

    def tell(word: Progress) -> None:
        heard.append(word)
        if len(heard) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        paint(enlarge(picture(16, 16)), residents, False, tell)  # type: ignore[arg-type]
    assert len(heard) == 3


def test_memory_that_runs_out_is_told_in_the_recipe(
    enlarge: Enlarge, residents: Residents, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, tries = RRDBNet.head, list[int]()

    def tight(network: RRDBNet, given: torch.Tensor) -> torch.Tensor:
        tries.append(given.shape[-1])
        if tries.count(16) == 1 and tries[-1] == 16:
            raise torch.OutOfMemoryError("out of memory")
        return head(network, given)

    monkeypatch.setattr(RRDBNet, "head", tight)
    painted = Ladder(residents).paint(enlarge(picture(16, 16)), False, lambda word: None)
    said = "memory ran out, so it was enlarged in smaller parts"
    assert painted.warnings == (said,) and painted.recipe["warnings"] == [said]
    monkeypatch.setattr(RRDBNet, "head", lambda network, given: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        Ladder(residents).paint(enlarge(picture(16, 16)), False, lambda word: None)


def test_without_its_file_it_says_so(
    enlarge: Enlarge, residents: Residents, tmp_path: Path
) -> None:
    gone = replace(enlarge(picture(8, 8)), upscaler=str(tmp_path / "gone.safetensors"))
    with pytest.raises(Exception, match=r"gone\.safetensors is no longer there"):
        paint(gone, residents, False, lambda word: None)
