"""The pictures that a wish is painted from, and how a start image meets the size that is painted.

Pure: sizes in, places and sentences out. The pixels are moved by the engine, to the same places.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from studio.errors import NotFound
from studio.request import Fit

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # and its first chunk, of 13 bytes
WITH_ALPHA = (4, 6)  # colour types of PNG
ALIKE = 0.01  # shapes that differ by less are the same to the eye
HEAD = 41  # bytes of a PNG up to the kind of its second chunk


@dataclass(frozen=True, slots=True)
class Input:
    """A picture that the store keeps."""

    id: str
    width: int
    height: int
    transparent: bool = False

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


def read_head(content_hash: str, head: bytes) -> Input:
    """Of a PNG as the gate writes it, with nothing beside its pixels."""
    if not head.startswith(PNG) or head[37:HEAD] != b"IDAT":
        raise NotFound("That was handed in for something else than to paint from.")
    width, height, _, colours = struct.unpack_from(">IIBB", head, 16)
    return Input(content_hash, width, height, colours in WITH_ALPHA)


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the canvas the whole start image comes to lie; beyond the canvas it is cut."""

    left: int
    top: int
    width: int
    height: int

    def border(self, width: int, height: int) -> bool:
        """Whether some of the canvas is left free."""
        return self.width < width or self.height < height

    def cut(self, width: int, height: int) -> bool:
        return self.width > width or self.height > height


def place(image: tuple[int, int], canvas: tuple[int, int], fit: Fit) -> Place:
    """In the middle, as large as it must be to cover the canvas, or may be to be contained."""
    if alike(image, canvas):
        return Place(0, 0, *canvas)
    ratios = [side / own for side, own in zip(canvas, image, strict=True)]
    scale = max(ratios) if fit == "cover" else min(ratios)
    width, height = (max(1, round(own * scale)) for own in image)
    return Place((canvas[0] - width) // 2, (canvas[1] - height) // 2, width, height)


def alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return _apart(one, other) < ALIKE


def nearest(shape: tuple[int, int], sizes: Mapping[str, tuple[int, int]]) -> str:
    """The name of the size whose shape it is, or nearly."""
    return min(sizes, key=lambda name: _apart(shape, sizes[name]))


def _apart(one: tuple[int, int], other: tuple[int, int]) -> float:
    return abs(log(one[0] * other[1] / (one[1] * other[0])))
