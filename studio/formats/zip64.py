"""Writes a ZIP of any size as a stream: what is given away is never held, and never gone back to.

Pictures are stored as they are, being compressed already. Every entry says its size and checksum
before its bytes, so that a reader too may take it as a stream. Pure: bytes in, bytes out.
"""

import struct
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Self

SMALL = 0xFFFF_FFFF  # what does not fit into 32 bits stands in a field of ZIP64 instead
FEW = 0xFFFF
IN_MEMORY = 1 << 20  # of what is only known at the end; beyond that it is on disk
PIECE = 1 << 18
UTF8 = 0x800
STORED, DEFLATED = 0, 8
UNIX = 3 << 8


class Zip:
    """Entries one after the other, then `end`. Each gives the bytes of the file to send."""

    def __init__(self) -> None:
        self._directory: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._entries = self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._directory.close()

    def stored(
        self, name: str, at: float, size: int, checksum: int, content: Iterable[bytes]
    ) -> Iterator[bytes]:
        """As it is. `content` must be of that size; a ZIP that is wrong is not sent to its end."""
        yield self._head(name, at, STORED, size, size, checksum)
        given = 0
        for piece in content:
            given += len(piece)
            yield piece
        if given != size:
            raise ValueError(f"{name} has {given} bytes, not {size}")
        self._sent += size

    def deflated(self, name: str, at: float, content: Iterable[bytes]) -> Iterator[bytes]:
        packer, size, checksum = zlib.compressobj(wbits=-15), 0, 0
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as packed:
            for piece in content:
                size, checksum = size + len(piece), zlib.crc32(piece, checksum)
                packed.write(packer.compress(piece))
            packed.write(packer.flush())
            yield self._head(name, at, DEFLATED, packed.tell(), size, checksum)
            self._sent += packed.tell()
            yield from _pieces(packed)

    def end(self) -> Iterator[bytes]:
        start, length = self._sent, self._directory.tell()
        yield from _pieces(self._directory)
        count = self._entries
        if start + length >= SMALL or count >= FEW:
            versions = (UNIX | 45, 45)
            yield struct.pack(
                "<4sQHHLLQQQQ", b"PK\6\6", 44, *versions, 0, 0, count, count, length, start
            )
            yield struct.pack("<4sLQL", b"PK\6\7", 0, start + length, 1)
        few, large = min(count, FEW), (min(length, SMALL), min(start, SMALL))
        yield struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, few, few, *large, 0)

    def _head(
        self, name: str, at: float, method: int, packed: int, size: int, checksum: int
    ) -> bytes:
        encoded, start = name.encode(), self._sent
        large = max(packed, size) >= SMALL
        wide = struct.pack("<QQ", size, packed) if large else b""
        sizes = (SMALL, SMALL) if large else (packed, size)
        more = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        about = (UTF8, method, *_moment(at), checksum, *sizes, len(encoded))
        head = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 45 if large else 20, *about, len(more))
        self._sent += len(head) + len(encoded) + len(more)
        self._list(encoded, about, wide, start)
        return head + encoded + more

    def _list(self, name: bytes, about: tuple[int, ...], wide: bytes, start: int) -> None:
        if start >= SMALL:
            wide += struct.pack("<Q", start)
        more = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        needs = 45 if wide else 20
        mode = 0o100644 << 16
        entry = struct.pack(
            "<4sHHHHHHLLLHHHHHLL",
            *(b"PK\1\2", UNIX | 45, needs, *about, len(more)),
            *(0, 0, 0, mode, min(start, SMALL)),
        )
        self._directory.write(entry + name + more)
        self._entries += 1


def _moment(at: float) -> tuple[int, int]:
    """As MS-DOS has it: two seconds are one, in UTC, and nothing before 1980 or after 2107."""
    year, month, day, hour, minute, second, *_ = time.gmtime(at)
    if not 1980 <= year <= 2107:
        return 0, 1 << 5 | 1
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE):
        yield piece
