"""Tables of contents of weights: read without a number, and without running what a pickle names."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from studio.formats.enlargers import Network, network_of, todays_names
from studio.formats.tensors import inmost, table

HELD = {"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4).half()}
SHAPES = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,)}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", ["params_ema", "params", "state_dict", ""])
def test_a_pytorch_file_tells_its_shapes(tmp_path: Path, zipped: bool, wrapped: str) -> None:
    file = tmp_path / "a.pth"
    held: object = OrderedDict(HELD)
    if wrapped:
        held = {"iteration": 5, "optimizer": {"other": torch.zeros(1)}, wrapped: held}
    torch.save(held, file, _use_new_zipfile_serialization=zipped)
    assert table(file) == (SHAPES, {})


def test_a_parameter_is_a_tensor(tmp_path: Path) -> None:
    layer = torch.nn.Conv2d(3, 4, 3)
    torch.save({name: weight for name, weight in layer.named_parameters()}, tmp_path / "a.pth")
    assert table(tmp_path / "a.pth")[0] == {"weight": (4, 3, 3, 3), "bias": (4,)}


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_names_a_function_ends_the_reading_and_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"params": HELD, "x": Evil()}, "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="it asks for (posix|nt).system"):
        table(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_makes_no_room_for_what_it_does_not_hold(tmp_path: Path) -> None:
    """Ten bytes that put a number into the place 4194304 of what is remembered."""
    file = tmp_path / "a.pth"
    file.write_bytes(b"\x80\x02K\x01r" + (2**22).to_bytes(4, "little") + b".")
    tracemalloc.start()
    with pytest.raises(ValueError, match="it is no PyTorch file"):
        table(file)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20


@pytest.mark.parametrize(
    "end", [b"J\x01", b"\x8e\xff", b"\x8e" + b"\xff" * 7 + b"\x7f", b"b", b"\x93"]
)
def test_a_pickle_that_is_torn_is_said(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(b"\x80\x02" + end)
    with pytest.raises(ValueError, match="it is no PyTorch file"):
        table(tmp_path / "a.pth")


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "list", "no table", "number"])
def test_what_is_no_such_file_is_said(tmp_path: Path, damage: str) -> None:
    file, whole = tmp_path / "a.pth", io.BytesIO()
    torch.save(HELD, whole)
    file.write_bytes({"text": b"not weights", "empty": b""}.get(damage, whole.getvalue()[:300]))
    if damage == "list":
        torch.save([1, 2], file)
    elif damage == "no table":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a/version", "3")
    elif damage == "number":
        file.write_bytes(pickle.dumps(5) * 4)
    with pytest.raises(ValueError, match="it is no PyTorch file|it holds no table"):
        table(file)


def test_the_averaged_weights_come_first() -> None:
    assert inmost({"params": {"a": 1}, "params_ema": {"b": 2}}) == {"b": 2}
    assert inmost({"a.weight": 1}) == {"a.weight": 1}
    assert inmost(5) == 5


def rrdb(blocks: int = 23, seen: int = 3) -> dict[str, tuple[int, ...]]:
    """The names and shapes of an official RRDBNet."""
    layers = {"conv_first": (64, seen), "conv_body": (64, 64), "conv_last": (3, 64)}
    layers |= {name: (64, 64) for name in ("conv_up1", "conv_up2", "conv_hr")}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for conv in range(1, 6):
                shape = (32 if conv < 5 else 64, 32 * conv + 32)
                layers[f"body.{block}.rdb{dense}.conv{conv}"] = shape
    return {f"{name}.weight": (*shape, 3, 3) for name, shape in layers.items()} | {
        f"{name}.bias": shape[:1] for name, shape in layers.items()
    }


def compact(convs: int, scale: int = 4) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    sides = [(64, 3), *[(64, 64)] * convs, (3 * scale**2, 64)]
    for number, (made, seen) in enumerate(sides):
        shapes |= {f"body.{2 * number}.weight": (made, seen, 3, 3)}
        shapes |= {f"body.{2 * number}.bias": (made,)}
        shapes |= {f"body.{2 * number + 1}.weight": (64,)} if number <= convs else {}
    return shapes


def test_each_official_network_is_known_by_its_weights() -> None:
    assert network_of(rrdb()) == Network("rrdb", 4, 64, 23, 32)  # x4plus
    assert network_of(rrdb(seen=12)) == Network("rrdb", 2, 64, 23, 32)  # x2plus
    assert network_of(rrdb(blocks=6)) == Network("rrdb", 4, 64, 6, 32)  # x4plus anime
    assert network_of(compact(16)) == Network("compact", 4, 64, 16)  # animevideov3
    assert network_of(compact(32)) == Network("compact", 4, 64, 32)  # general-x4v3
    assert network_of(compact(10, scale=2)) == Network("compact", 2, 64, 10)


@pytest.mark.parametrize("form", ["first", "second"])
def test_the_older_names_of_esrgan_are_known(form: str) -> None:
    todays = rrdb(blocks=2)
    older = {
        "first": {
            "conv_first": "model.0",
            "conv_body": "model.1.sub.2",
            "conv_up1": "model.3",
            "conv_up2": "model.6",
            "conv_hr": "model.8",
            "conv_last": "model.10",
        },
        "second": {
            "conv_body": "trunk_conv",
            "conv_up1": "upconv1",
            "conv_up2": "upconv2",
            "conv_hr": "HRconv",
        },
    }[form]

    def old(name: str) -> str:
        layer, _, what = name.rpartition(".")
        if layer.startswith("body."):
            _, block, dense, conv = layer.split(".")
            where = {"first": f"model.1.sub.{block}", "second": f"RRDB_trunk.{block}"}[form]
            end = ".0" if form == "first" else ""
            return f"{where}.{dense.upper()}.{conv}{end}.{what}"
        return f"{older.get(layer, layer)}.{what}"

    given = {old(name): name for name in todays}
    assert set(given) & set(todays) <= {"conv_first.weight", "conv_first.bias"} | {
        "conv_last.weight",
        "conv_last.bias",
    }
    assert todays_names(given) == given


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({}, "neither a compact network"),
        ({"unet.weight": (4, 4)}, "neither a compact network"),
        (rrdb(blocks=1, seen=48), "takes 48 channels"),
        (rrdb(blocks=1) | {"conv_last.weight": (1, 64, 3, 3)}, "gives 1 channels"),
        (rrdb(blocks=1) | {"body.0.rdb1.conv1x1.weight": (32, 64, 1, 1)}, "neither a compact"),
        (compact(2, scale=1), "does not enlarge"),
        (compact(2) | {"body.0.weight": (64, 1, 3, 3)}, "neither a compact"),
    ],
)
def test_any_other_network_is_refused(shapes: dict[str, tuple[int, ...]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        network_of(shapes)
