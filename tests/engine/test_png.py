"""Our own PNG: the very pixels, in a file that others read, the same with any number of threads."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.engine.png import _joined, write_png

SIZES = [(1, 1), (1, 300), (7, 128), (64, 129), (333, 31), (40, 257)]


def drawn(size: tuple[int, int], mode: str, kind: str) -> Image.Image:
    width, height = size
    depth = len(mode)
    if kind == "noise":
        values = np.random.default_rng(3).integers(0, 256, (height, width, depth))
    elif kind == "slope":
        values = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.arange(
            1, depth + 1
        )
    else:
        values = np.full((height, width, depth), 200)
        values[height // 2 :, width // 3 :] = 10
    return Image.fromarray((values % 256).astype(np.uint8), mode)


@pytest.mark.parametrize("kind", ["noise", "slope", "flat"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", SIZES)
def test_the_very_pixels_come_back(size: tuple[int, int], mode: str, kind: str) -> None:
    image = drawn(size, mode, kind)
    data = write_png(image, {"parameters": "a boat"})
    with Image.open(io.BytesIO(data)) as found:
        found.load()  # which reads the sums of every part
        assert (found.mode, found.size, found.format) == (mode, size, "PNG")
        assert np.array_equal(np.asarray(found), np.asarray(image))
        assert found.text == {"parameters": "a boat"}


def test_every_chunk_and_the_stream_are_sound() -> None:
    image = drawn((64, 300), "RGB", "slope")
    data, place, kinds, stream = write_png(image, {"a": "e", "b": "é"}), 8, [], b""
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(data[place + 8 + length :][:4])
        kinds, stream = [*kinds, kind], stream + body * (kind == b"IDAT")
        place += 12 + length
    assert kinds == [b"IHDR", b"tEXt", b"iTXt", b"IDAT", b"IEND"]
    raw = zlib.decompress(stream)  # which reads Adler's sum
    assert len(raw) == 300 * (1 + 3 * 64)
    assert {raw[row * 193] for row in range(300)} <= {1, 2}
    with Image.open(io.BytesIO(data)) as found:
        assert found.text == {"a": "e", "b": "é"}


def test_sums_of_parts_make_that_of_the_whole() -> None:
    one, other = bytes(range(256)) * 300, b"\xff" * 70_001
    joined = _joined(zlib.adler32(one), zlib.adler32(other), len(other))
    assert joined == zlib.adler32(one + other)


def test_the_file_does_not_follow_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    image, files = drawn((128, 700), "RGB", "noise"), set()
    for threads in (1, 2, 7):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        files.add(write_png(image, {}))
    assert len(files) == 1


def test_it_is_nearly_as_small_as_pillows(tmp_path: Path) -> None:
    small = drawn((48, 48), "RGB", "noise").resize((256, 256), Image.Resampling.LANCZOS)
    grain = np.random.default_rng(5).normal(0, 1, (512, 512, 3))
    soft = np.asarray(small.resize((512, 512), Image.Resampling.LANCZOS))
    image = Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))
    image.save(tmp_path / "plain.png")
    assert len(write_png(image, {})) < 1.25 * (tmp_path / "plain.png").stat().st_size
