"""Enlarging: the official network, tiles without seams, and what a job says while it happens."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from studio.engine import upscale
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.engine.upscale import SRVGGNetCompact, Upscaler
from studio.formats.metadata import read_recipe
from studio.messages import Paint, Painted, Progress
from tests.engine.conftest import NUMPY_COPY, Job, Told

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("upscaler") / "tiny-x2.safetensors")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that bf16 serves as well."""
    return saved(tmp_path_factory.mktemp("upscaler") / "quiet-x2.safetensors", gain=1.2)


def saved(file: Path, upscale: int = 2, gain: float = 2) -> Path:
    """A network that changes a picture clearly, and looks five pixels far."""
    torch.manual_seed(3)
    network = SRVGGNetCompact(num_feat=8, num_conv=3, upscale=upscale)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(gain)
    save_file({name: w.half().contiguous() for name, w in network.state_dict().items()}, file)
    return file


def picture(width: int, height: int) -> Image.Image:
    dice = np.random.default_rng(1)
    return Image.fromarray(dice.integers(0, 256, (height, width, 3), np.uint8))


def levels(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def silent(done: int, tiles: int) -> None:
    pass


def test_the_network_is_the_official_one(file: Path) -> None:
    """Written out a second time, layer by layer, with the same weights by the same names."""
    weights = {name: weight.float() for name, weight in load_file(file).items()}
    assert [name for name in weights if name.endswith(".bias")] == [
        f"body.{number}.bias" for number in (0, 2, 4, 6, 8)
    ]
    x = torch.rand(1, 3, 9, 7)
    out = x
    for number in range(9):
        weight = weights[f"body.{number}.weight"]
        if number % 2:
            out = nn.functional.prelu(out, weight)
        else:
            out = nn.functional.conv2d(out, weight, weights[f"body.{number}.bias"], padding=1)
    expected = nn.functional.pixel_shuffle(out, 2)
    expected = expected + x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    network = SRVGGNetCompact(num_feat=8, num_conv=3, upscale=2)
    network.load_state_dict(weights)
    assert torch.allclose(network(x), expected, atol=1e-6)
    assert (expected - expected.mean()).std() > 0.1


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("times", [2, 4])
def test_tiles_leave_no_seam(
    file: Path, quiet: Path, monkeypatch: pytest.MonkeyPatch, times: int, bf16: bool
) -> None:
    upscaler = Upscaler(quiet if bf16 else file, "cpu", bf16=bf16)
    assert upscaler.marks["upscaler_dtype"] == ("bf16" if bf16 else "fp32")
    given = picture(90, 50)
    whole = upscaler.enlarge(given, times, silent)
    monkeypatch.setattr(upscale, "TILE", 32)
    heard: list[tuple[int, int]] = []
    tiled = upscaler.enlarge(given, times, lambda done, tiles: heard.append((done, tiles)))
    assert whole.size == tiled.size == (90 * times, 50 * times)
    assert levels(whole, tiled) <= 1
    tiles = {2: 3 * 2, 4: 3 * 2 + 6 * 4}[times]
    assert heard == [(done, tiles) for done in range(tiles)]


def test_a_tile_that_saw_less_would_leave_a_seam(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail."""
    upscaler = Upscaler(file, "cpu", bf16=False)
    whole = upscaler.enlarge(picture(90, 50), 2, silent)
    monkeypatch.setattr(upscale, "TILE", 32)
    upscaler._network.reach -= 3
    assert levels(whole, upscaler.enlarge(picture(90, 50), 2, silent)) > 1


def test_bf16_is_taken_only_where_it_changes_next_to_nothing(file: Path, quiet: Path) -> None:
    half, exact = (Upscaler(quiet, "cpu", bf16=bf16) for bf16 in (True, False))
    assert (half.marks["upscaler_dtype"], exact.marks["upscaler_dtype"]) == ("bf16", "fp32")
    given = picture(40, 40)
    assert levels(half.enlarge(given, 2, silent), exact.enlarge(given, 2, silent)) <= 2
    assert Upscaler(file, "cpu", bf16=True).marks["upscaler_dtype"] == "fp32"


def test_a_network_of_four_enlarges_at_once_and_never_twice(tmp_path: Path) -> None:
    upscaler = Upscaler(saved(tmp_path / "x4.safetensors", upscale=4), "cpu", bf16=False)
    assert upscaler.enlarge(picture(10, 6), 4, silent).size == (40, 24)
    with pytest.raises(PaintError, match="enlarges 4 times at once, so never 2 times"):
        upscaler.enlarge(picture(10, 6), 2, silent)


@pytest.mark.parametrize("damage", ["text", "names", "shape", "flat"])
def test_a_file_that_is_no_such_network_is_named(file: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken.safetensors"
    weights = load_file(file)
    if damage == "names":
        weights = {f"model.{name}": weight for name, weight in weights.items()}
    elif damage == "shape":
        weights["body.2.weight"] = torch.zeros(8, 4, 3, 3)
    elif damage == "flat":
        weights["body.8.weight"], weights["body.8.bias"] = torch.zeros(3, 8, 3, 3), torch.zeros(3)
    save_file(weights, broken)
    if damage == "text":
        broken.write_text("not weights")
    with pytest.raises(PaintError, match=r"upscaler .*broken\.safetensors cannot be loaded: "):
        Upscaler(broken, "cpu", bf16=False)


def test_numbers_gone_wrong_are_an_error(file: Path, tmp_path: Path) -> None:
    weights = load_file(file)
    weights["body.8.bias"][0] = float("nan")
    save_file(weights, tmp_path / "wrong.safetensors")
    with pytest.raises(PaintError, match="no numbers"):
        Upscaler(tmp_path / "wrong.safetensors", "cpu", bf16=False).enlarge(
            picture(8, 8), 2, silent
        )


@pytest.fixture
def enlarging(job: Job, file: Path) -> Callable[..., Paint]:
    def make(**fields: object) -> Paint:
        return replace(job(**fields), upscaler=str(file))

    return make


def opened(painted: Painted, index: int = 0) -> Image.Image:
    return Image.open(io.BytesIO(painted.pictures[index].data))


def test_a_job_is_enlarged_after_it_is_painted(
    enlarging: Callable[..., Paint], job: Job, do: Do, file: Path, told: Told
) -> None:
    painted = do(enlarging(upscale=4, count=2), told.append)
    small = opened(do(job(upscale=1, count=2)), 1)
    assert [(one.width, one.height) for one in painted.pictures] == [(256, 256)] * 2
    expected = Upscaler(file, "cpu", bf16=False).enlarge(small.convert("RGB"), 4, silent)
    assert opened(painted, 1).size == (256, 256)
    assert levels(opened(painted, 1).convert("RGB"), expected) <= 4
    assert (
        opened(painted)
        .info["parameters"]
        .endswith(
            "Size: 64x64, Model hash: "
            + painted.recipe["fingerprint"]["model_hash"][:10]
            + ", Model: test-pattern, Postprocess upscale by: 4, Postprocess upscaler: tiny-x2, "
            "Version: Darkroom 0.1.0"
        )
    )
    marks = read_recipe(opened(painted).info["darkroom"])["fingerprint"]
    assert marks["upscaler"] == "tiny-x2" and len(marks["upscaler_hash"]) == 64
    assert painted.recipe["request"]["upscale"] == 4
    assert painted.timings["upscale"] > 0
    stages = [word for word in told if isinstance(word, Progress) and word.stage]
    assert {(word.stage, word.step, word.steps) for word in stages} == {
        ("enlarging, part 1 of 2", 3, 3),
        ("enlarging, part 2 of 2", 3, 3),
    }
    assert [word.index for word in stages] == [0, 0, 1, 1]


def test_what_is_not_enlarged_says_nothing_of_it(job: Job, do: Do) -> None:
    painted = do(job())
    assert "upscale" not in opened(painted).info["parameters"]
    assert "upscaler" not in painted.recipe["fingerprint"]
    assert painted.recipe["request"]["upscale"] == 1


def test_a_cancel_is_heard_between_two_tiles(
    enlarging: Callable[..., Paint], do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    monkeypatch.setattr(upscale, "TILE", 32)
    heard: list[str] = []

    def tell(word: Progress) -> None:
        if isinstance(word, Progress) and word.stage:
            heard.append(word.stage)
            if len(heard) == 2:
                raise Enough

    with pytest.raises(Enough):
        do(enlarging(upscale=2), tell)
    assert heard == ["enlarging, part 1 of 4", "enlarging, part 2 of 4"]


def test_the_network_stays_until_all_is_cleared(
    models: Path, enlarging: Callable[..., Paint], file: Path, tmp_path: Path
) -> None:
    residents = Residents("cpu", models, "auto")
    first = residents.upscaler(str(file), "cpu")
    assert first and residents.upscaler(str(file), "cpu") is first
    residents.clear()
    assert residents.upscaler(str(file), "cpu") is not first
    assert residents.upscaler("", "cpu") is None
    message = replace(enlarging(upscale=2), upscaler=str(tmp_path / "gone.safetensors"))
    with pytest.raises(PaintError, match=r"gone\.safetensors is no longer there") as error:
        paint(message, residents, False, lambda word: None)
    assert error.value.code == "model_missing"
