"""A ZIP that is written as a stream: whole for every reader, and of any size."""

import io
import random
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.formats import zip64
from studio.formats.zip64 import Zip

AT = 1_700_000_000


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with Zip() as archive:
        for name, data in files.items():
            out.writelines(archive.stored(name, AT, len(data), zlib.crc32(data), [data]))
        out.writelines(archive.deflated("told.json", AT, [b"words " * 1000, b"end"]))
        out.writelines(archive.end())
    return out.getvalue()


def test_every_reader_takes_it_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    files = {"a.png": random.Random(1).randbytes(70_000), "ordner/grün 🦊.png": b"", "b": b"x"}
    data = packed(files)
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in files} == files
        assert read.read("told.json") == b"words " * 1000 + b"end"
        assert read.getinfo("a.png").date_time == (2023, 11, 14, 22, 13, 20)
        assert read.getinfo("a.png").compress_type == zipfile.ZIP_STORED
    file = tmp_path / "x.zip"
    file.write_bytes(data)
    if tester := shutil.which("unzip"):
        assert subprocess.run([tester, "-tq", file], capture_output=True).returncode == 0


def test_each_entry_says_its_size_before_its_bytes() -> None:
    head = packed({"a": b"12345"})[:30]
    assert int.from_bytes(head[6:8], "little") == zip64.UTF8  # no sizes behind the bytes
    assert int.from_bytes(head[18:22], "little") == 5


@pytest.mark.parametrize("count", [65_534, 65_535, 70_000])
def test_more_files_than_the_old_format_counts(count: int) -> None:
    out = io.BytesIO()
    with Zip() as archive:
        for number in range(count):
            out.writelines(archive.stored(f"{number}", AT, 0, 0, []))
        out.writelines(archive.end())
    with zipfile.ZipFile(out) as read:
        assert len(read.namelist()) == count


class Sparse(io.RawIOBase):
    """A file that keeps only what is not the long run of zeros, so that 9 GB take no room."""

    def __init__(self) -> None:
        self.at, self.size = 0, 0
        self.kept: dict[int, bytes] = {}

    def put(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            if any(piece[:64]):
                self.kept[self.size] = piece
            self.size += len(piece)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = (0, self.at, self.size)[whence] + offset
        return self.at

    def read(self, size: int = -1) -> bytes:
        size = min(self.size - self.at, size if size >= 0 else self.size)
        found = bytearray(size)
        for start, piece in self.kept.items():
            low, high = max(start, self.at), min(start + len(piece), self.at + size)
            if low < high:
                found[low - self.at : high - self.at] = piece[low - start : high - start]
        self.at += size
        return bytes(found)


def test_files_and_places_beyond_four_gigabytes() -> None:
    piece = bytes(1 << 24)
    large, out = 0x1_0000_0000 + (1 << 24), Sparse()
    with Zip() as archive:
        for name in ("first", "second"):  # the checksum is not what is tried here
            content = (piece for _ in range(large >> 24))
            out.put(archive.stored(name, AT, large, 0, content))
        out.put(archive.stored("behind", AT, 5, zlib.crc32(b"hello"), [b"hello"]))
        out.put(archive.end())
    with zipfile.ZipFile(out) as read:  # type: ignore[call-overload]
        assert [one.file_size for one in read.infolist()] == [large, large, 5]
        assert read.getinfo("second").header_offset > large
        assert read.read("behind") == b"hello"


def test_content_of_another_size_ends_it() -> None:
    with Zip() as archive, pytest.raises(ValueError, match="a has 1 bytes, not 2"):
        list(archive.stored("a", AT, 2, 0, [b"x"]))
