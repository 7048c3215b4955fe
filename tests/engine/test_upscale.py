"""Enlarging: pieces without seams, any size, and what a job says while it happens."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.engine import enlargers, upscale
from studio.engine.enlargers import RRDBNet
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.engine.upscale import Upscaler
from studio.formats.metadata import read_recipe
from studio.messages import Paint, Painted, Progress
from tests.engine.conftest import NUMPY_COPY, Job, Told
from tests.engine.networks import compact, dense, larger, levels, picture, saved, silent

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("upscaler") / "tiny-x2.safetensors", compact())


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that bf16 serves as well."""
    return saved(tmp_path_factory.mktemp("upscaler") / "quiet-x2.safetensors", compact(gain=1.2))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("times", [2, 4])
def test_tiles_leave_no_seam(
    file: Path, quiet: Path, monkeypatch: pytest.MonkeyPatch, times: int, bf16: bool
) -> None:
    upscaler = Upscaler(quiet if bf16 else file, "cpu", bf16=bf16)
    assert upscaler.marks["upscaler_dtype"] == ("bf16" if bf16 else "fp32")
    given = picture(90, 50)
    whole = larger(upscaler, given, times)
    monkeypatch.setattr(upscale, "TILE", 32)
    heard: list[tuple[int, int]] = []
    tiled, said = upscaler.enlarge(given, times, lambda done, tiles: heard.append((done, tiles)))
    assert whole.size == tiled.size == (90 * times, 50 * times)
    assert levels(whole, tiled) <= 1 and said == ""
    tiles = {2: 3 * 2, 4: 3 * 2 + 6 * 4}[times]
    assert heard == [(done, tiles) for done in range(tiles)]


def test_a_tile_that_saw_less_would_leave_a_seam(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail."""
    upscaler = Upscaler(file, "cpu", bf16=False)
    whole = larger(upscaler, picture(90, 50), 2)
    monkeypatch.setattr(upscale, "TILE", 32)
    upscaler._network.reach -= 3
    assert levels(whole, larger(upscaler, picture(90, 50), 2)) > 1


@pytest.mark.parametrize("scale", [2, 4])
def test_a_network_as_deep_as_x4plus_leaves_no_seam_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    """All 23 blocks, narrow. One pixel of the result looks at 349 in each direction: the tiles of
    32 see fifteen beyond their edge, anew for each block."""
    network = dense(scale, blocks=23)
    upscaler = Upscaler(saved(tmp_path / "deep.safetensors", network), "cpu", bf16=False)
    given = picture(81, 47)
    whole = larger(upscaler, given, scale)
    monkeypatch.setattr(upscale, "TILE", 32)
    heard: list[tuple[int, int]] = []
    tiled, _ = upscaler.enlarge(given, scale, lambda done, tiles: heard.append((done, tiles)))
    assert tiled.size == (81 * scale, 47 * scale)
    assert levels(whole, tiled) <= 1
    tiles = 26 * {4: 3 * 2, 2: 2 * 1}[scale]
    assert heard == [(done, tiles) for done in range(tiles)]
    changed = given.copy()
    changed.paste((255, 255, 255), (0, 0, 8, 47))
    far = np.asarray(larger(upscaler, changed, scale)).astype(int) - np.asarray(whole)
    assert np.abs(far[:, 60 * scale :]).max() > 1, "what is 52 pixels away is seen"
    monkeypatch.setattr(enlargers._Block, "reach", 3)
    assert levels(whole, larger(upscaler, given, scale)) > 1, "with less there would be a seam"


@pytest.mark.slow
def test_the_very_size_of_x4plus_leaves_no_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = dense(4, blocks=23, features=64, growth=32)
    upscaler = Upscaler(saved(tmp_path / "x4.safetensors", network), "cpu", bf16=False)
    whole = larger(upscaler, picture(52, 40), 4)
    monkeypatch.setattr(upscale, "TILE", 32)
    assert levels(whole, larger(upscaler, picture(52, 40), 4)) <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 64), (65, 31)])
@pytest.mark.parametrize("times", [2, 4])
def test_odd_sizes_come_out_exactly_so_many_times_as_large(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], times: int
) -> None:
    files = [file, *(saved(tmp_path / f"x{scale}.safetensors", dense(scale)) for scale in (2, 4))]
    given = picture(*size)
    for each in files:
        upscaler = Upscaler(each, "cpu", bf16=False)
        whole = larger(upscaler, given, times)
        assert whole.size == (size[0] * times, size[1] * times)
        with monkeypatch.context() as small:
            small.setattr(upscale, "TILE", 16)
            assert levels(whole, larger(upscaler, given, times)) <= 1


def test_twice_by_a_network_of_four_is_the_mean_of_four_pixels(tmp_path: Path) -> None:
    upscaler = Upscaler(saved(tmp_path / "x4.safetensors", compact(4, 1.0)), "cpu", bf16=False)
    four = np.asarray(larger(upscaler, picture(10, 6), 4)).astype(float)
    two = np.asarray(larger(upscaler, picture(10, 6), 2))
    mean = four.reshape(12, 2, 20, 2, 3).mean(axis=(1, 3))
    inside = ((four > 0) & (four < 255)).reshape(12, 2, 20, 2, 3).all(axis=(1, 3))
    assert two.shape == (12, 20, 3) and inside.mean() > 0.3
    assert np.abs(two - mean)[inside].max() <= 1


def test_transparency_is_enlarged_beside_the_colours(file: Path) -> None:
    upscaler, given = Upscaler(file, "cpu", bf16=False), picture(12, 8)
    given.putalpha(Image.linear_gradient("L").resize((12, 8)))
    twice = larger(upscaler, given, 2)
    assert twice.mode == "RGBA" and twice.size == (24, 16)
    assert levels(twice.convert("RGB"), larger(upscaler, picture(12, 8), 2)) == 0
    rows = np.asarray(twice.getchannel("A"))[:, 5].astype(int)
    assert (np.diff(rows) >= 0).all() and rows[-1] - rows[0] > 200


def test_where_memory_runs_out_the_pieces_are_smaller_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = Upscaler(saved(tmp_path / "x4.safetensors", dense()), "cpu", bf16=False)
    given, seen, room = picture(80, 70), list[int](), [40 * 40]
    whole = larger(upscaler, given, 4)
    head = RRDBNet.head

    def tight(network: RRDBNet, given: torch.Tensor) -> torch.Tensor:
        seen.append(given.shape[-1] * given.shape[-2])
        if seen[-1] > room[0]:
            raise torch.OutOfMemoryError("out of memory")
        return head(network, given)

    monkeypatch.setattr(RRDBNet, "head", tight)
    monkeypatch.setattr(upscale, "TILE", 64)
    smaller, said = upscaler.enlarge(given, 4, silent)
    assert levels(whole, smaller) <= 1
    assert said == "memory ran out, so it was enlarged in smaller parts"
    room[0] = 4
    with pytest.raises(torch.OutOfMemoryError):
        upscaler.enlarge(given, 4, silent)
    assert max(seen[-1:]) <= 20 * 20, "the last try was a quarter of the first"
    room[0] = 80 * 80  # it came back, and with it a new job
    upscaler.begin()
    assert upscaler.enlarge(given, 4, silent)[1] == ""


def test_bf16_is_taken_only_where_it_changes_next_to_nothing(file: Path, quiet: Path) -> None:
    half, exact = (Upscaler(quiet, "cpu", bf16=bf16) for bf16 in (True, False))
    assert (half.marks["upscaler_dtype"], exact.marks["upscaler_dtype"]) == ("bf16", "fp32")
    given = picture(40, 40)
    assert levels(larger(half, given, 2), larger(exact, given, 2)) <= 2
    assert Upscaler(file, "cpu", bf16=True).marks["upscaler_dtype"] == "fp32"


def test_a_network_of_three_never_gives_four(tmp_path: Path) -> None:
    upscaler = Upscaler(saved(tmp_path / "x3.safetensors", compact(3)), "cpu", bf16=False)
    with pytest.raises(PaintError, match="enlarges 3 times at once, so never 4 times"):
        upscaler.enlarge(picture(10, 6), 4, silent)


def test_numbers_gone_wrong_are_an_error(file: Path, tmp_path: Path) -> None:
    weights = load_file(file)
    weights["body.8.bias"][0] = float("nan")
    save_file(weights, tmp_path / "wrong.safetensors")
    with pytest.raises(PaintError, match="no numbers"):
        larger(Upscaler(tmp_path / "wrong.safetensors", "cpu", bf16=False), picture(8, 8), 2)


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
    expected = larger(Upscaler(file, "cpu", bf16=False), small.convert("RGB"), 4)
    assert opened(painted, 1).size == (256, 256)
    assert levels(opened(painted, 1).convert("RGB"), expected) <= 4
    assert (
        opened(painted)
        .info["parameters"]
        .endswith(
            "Size: 64x64, Model hash: "
            + painted.recipe["fingerprint"]["model_hash"][:10]
            + ", Model: test-pattern, RNG: CPU, Postprocess upscale by: 4, "
            "Postprocess upscaler: tiny-x2, "
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
