"""The official networks, written out a second time, and the files that they are loaded from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from studio.engine import enlargers
from studio.engine.enlargers import SRVGGNetCompact, load
from studio.engine.failures import PaintError
from studio.engine.upscale import Upscaler
from studio.models.hashes import file_hash
from tests.engine.networks import compact, dense, larger, levels, picture, saved


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("upscaler") / "tiny-x2.safetensors", compact())


def test_the_compact_network_is_the_official_one(file: Path) -> None:
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


@pytest.mark.parametrize("scale", [2, 4])
def test_the_large_network_is_the_official_one(scale: int) -> None:
    """The same, by the paper: dense blocks whose layers see all before them, a fifth of which is
    added; twice begins by laying four pixels behind one another, row by row."""
    network = dense(scale)
    weights = network.state_dict()

    def conv(name: str, seen: torch.Tensor) -> torch.Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return nn.functional.conv2d(seen, weight, bias, padding=1)

    def bent(seen: torch.Tensor) -> torch.Tensor:
        return torch.where(seen > 0, seen, 0.2 * seen)

    def doubled(seen: torch.Tensor) -> torch.Tensor:
        return seen.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = torch.rand(1, 3, 6, 8)
    seen = x
    if scale == 2:
        parts = [x[:, c, i::2, j::2] for c in range(3) for i in (0, 1) for j in (0, 1)]
        seen = torch.stack(parts, 1)
    first = seen = conv("conv_first", seen)
    for block in range(2):
        before = seen
        for number in (1, 2, 3):
            of = [seen]
            for layer in range(1, 5):
                name = f"body.{block}.rdb{number}.conv{layer}"
                of.append(bent(conv(name, torch.cat(of, 1))))
            last = conv(f"body.{block}.rdb{number}.conv5", torch.cat(of, 1))
            seen = last * 0.2 + seen
        seen = seen * 0.2 + before
    seen = first + conv("conv_body", seen)
    seen = bent(conv("conv_up1", doubled(seen)))
    seen = bent(conv("conv_up2", doubled(seen)))
    expected = conv("conv_last", bent(conv("conv_hr", seen)))
    with torch.inference_mode():
        assert torch.allclose(network(x), expected, atol=1e-5)
    assert expected.shape == (1, 3, 6 * scale, 8 * scale) and expected.std() > 0.05


@pytest.mark.parametrize("zipped", [True, False])
def test_an_official_pickle_becomes_safetensors_once(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "RealESRGAN_x4plus.pth"
    network = dense()
    other = {name: torch.zeros_like(weight) for name, weight in network.state_dict().items()}
    held = {"params": other, "params_ema": network.state_dict()}
    torch.save(held, file, _use_new_zipfile_serialization=zipped)
    first = Upscaler(file, "cpu", bf16=False)
    kept = file.with_suffix(".safetensors")
    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name, kept.name]
    with safe_open(kept, "pt") as opened:
        assert opened.metadata() == {"darkroom.sha256": file_hash(file)}
    second = Upscaler(kept, "cpu", bf16=False)
    assert first.marks == second.marks
    assert first.marks["upscaler_hash"] == file_hash(file)
    given = picture(9, 9)
    assert levels(larger(first, given, 4), larger(second, given, 4)) == 0
    assert np.asarray(larger(first, given, 4)).std() > 1, "the averaged ones, which are not nothing"


def test_a_pickle_in_a_folder_that_is_not_ours_is_read_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.pth"
    torch.save({"params": compact().state_dict()}, file)

    def full(**named: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(enlargers.tempfile, "mkstemp", full)
    assert load(file)[1] == file_hash(file)
    assert "read-only file system" in caplog.text and len(list(tmp_path.iterdir())) == 1


def test_the_older_names_of_esrgan_load(tmp_path: Path) -> None:
    network = dense()
    names = {"conv_first": "model.0", "conv_body": "model.1.sub.2", "conv_up1": "model.3"}
    names |= {"conv_up2": "model.6", "conv_hr": "model.8", "conv_last": "model.10"}
    older = {}
    for name, weight in network.state_dict().items():
        layer, _, what = name.rpartition(".")
        if layer.startswith("body."):
            _, block, part, conv = layer.split(".")
            layer = f"model.1.sub.{block}.{part.upper()}.{conv}.0"
        older[f"{names.get(layer, layer)}.{what}"] = weight
    save_file(older, tmp_path / "4x-old.safetensors")
    loaded, _ = load(tmp_path / "4x-old.safetensors")
    x = torch.rand(1, 3, 5, 5)
    with torch.inference_mode():
        assert torch.equal(loaded(x), network(x))


@pytest.mark.parametrize("damage", ["text", "names", "shape", "flat", "pickle"])
def test_a_file_that_is_no_such_network_is_named(file: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / ("broken.pth" if damage == "pickle" else "broken.safetensors")
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
    with pytest.raises(PaintError, match=r"upscaler .*broken\.\w+ cannot be loaded: "):
        Upscaler(broken, "cpu", bf16=False)
