"""A PNG writer that is several times as fast as Pillow's, for nearly the same size.

Pixels as they are, only the filters and the compression are others: each row is told by its left
neighbours or by the row above, whichever leaves less, and runs are all that is looked for. Bands of
rows are compressed side by side; their number does not follow that of the threads, so a picture is
the same file everywhere.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from studio.formats.rewrite import chunk, text_chunk

Bytes = NDArray[np.uint8]

BAND = 128  # rows: enough for the beginning of a band to cost nothing
BLOCK = 32  # rows that are filtered at once: they fit into the cache
COLOURS = {"RGB": 2, "RGBA": 6}  # PNG's own numbers
SIGNATURE = b"\x89PNG\r\n\x1a\n"
LEFT, ABOVE = 1, 2  # PNG's numbers of the two filters
RAW = -zlib.MAX_WBITS  # a stream without its own head and tail
HEAD = b"\x78\x5e"


def write_png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """`texts` by keyword."""
    size = struct.pack(">IIBBBBB", *image.size, 8, COLOURS[image.mode], 0, 0, 0)
    pixels = np.asarray(image)
    rows = pixels.reshape(pixels.shape[0], -1)
    bands = range(0, len(rows), BAND)
    with ThreadPoolExecutor(min(len(bands), torch.get_num_threads())) as pool:
        found = list(pool.map(lambda top: _band(rows, top, pixels.shape[2]), bands))
    check = 1
    for _, own, length in found:
        check = _joined(check, own, length)
    data = HEAD + b"".join(part for part, _, _ in found) + struct.pack(">I", check)
    chunks = [chunk(b"IHDR", size), *(text_chunk(*pair) for pair in texts.items())]
    return SIGNATURE + b"".join([*chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def _band(rows: Bytes, top: int, step: int) -> tuple[bytes, int, int]:
    """Some rows compressed, with Adler's sum over so many bytes of what they were."""
    bottom = min(top + BAND, len(rows))
    packer = zlib.compressobj(6, zlib.DEFLATED, RAW, 9, zlib.Z_RLE)
    parts, check, length = list[bytes](), 1, 0
    for block in _filtered(rows, top, bottom, step):
        parts.append(packer.compress(block.data))
        check, length = zlib.adler32(block.data, check), length + block.size
    parts.append(packer.flush(zlib.Z_FINISH if bottom == len(rows) else zlib.Z_SYNC_FLUSH))
    return b"".join(parts), check, length


def _filtered(rows: Bytes, top: int, bottom: int, step: int) -> Iterator[Bytes]:
    for start in range(top, bottom, BLOCK):
        own = rows[start : min(start + BLOCK, bottom)]
        above = np.empty_like(own)
        above[0] = rows[start - 1] if start else 0
        above[1:] = own[:-1]
        by_above, by_left = own - above, own.copy()
        by_left[:, step:] -= own[:, :-step]
        left = _size(by_left) < _size(by_above)
        block = np.empty((len(own), own.shape[1] + 1), np.uint8)
        block[:, 0] = np.where(left, LEFT, ABOVE)
        block[:, 1:] = np.where(left[:, None], by_left, by_above)
        yield block


def _size(rows: Bytes) -> NDArray[np.int64]:
    """How far the bytes of each row are from nothing, which is in the middle of them."""
    sums: NDArray[np.int64] = np.minimum(rows, -rows).sum(axis=1, dtype=np.int64)
    return sums


def _joined(one: int, other: int, length: int) -> int:
    """Adler's sum over two pieces, from those of each and the length of the second."""
    base = 65521
    low, high = one & 0xFFFF, one >> 16
    low_2, high_2 = other & 0xFFFF, other >> 16
    whole_low = (low + low_2 - 1) % base
    return (high + high_2 + length * (low - 1)) % base << 16 | whole_low
