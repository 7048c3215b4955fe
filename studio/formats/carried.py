"""What PNG, JPEG and WebP files carry beside their pixels: texts by keyword, and what the file is.

Read by hand, for a foreign file may be cut, endless or made to hurt: nothing but text is decoded,
every length is held against what is there, and only so much is looked at. It knows no tool.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from studio.formats.exif import read_exif, tagged

MOST_TEXT = 4 * 2**20  # bytes of one text; the largest workflows have one
MOST_TEXTS = 16 * 2**20  # of all
MOST_PIECES = 4096  # of a file, before its pixels begin
PNG, JPEG, RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF"
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
COMMENT, XML = "Comment", "XML:com.adobe.xmp"
TOO_LONG = f"more than {MOST_TEXT >> 20} MB of text are not read"


class Piece(NamedTuple):
    """A chunk or a segment: its kind, its data, and where all of it lies in the file."""

    kind: bytes
    data: bytes
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Carried:
    """`texts` by PNG's keyword, or as `exif:UserComment`; `left` says what was not read, and why.
    A `form` that is empty is none of ours."""

    form: str
    size: tuple[int, int] | None
    texts: Mapping[str, str]
    left: tuple[str, ...]


def carried(data: bytes) -> Carried:
    form = form_of(data)
    found = _Found({}, [])
    size = None
    for piece in pieces(data, form):
        size = size or _size(form, piece)
        if form == "PNG":
            found.png(piece, data)
        elif piece.kind in (b"EXIF", b"\xe1") and not piece.data.startswith(XMP):
            found.exif(piece.data.removeprefix(EXIF))
        elif piece.kind in (b"XMP ", b"\xe1"):
            found.keep(XML, _text(piece.data.removeprefix(XMP)))
        elif form == "JPEG" and piece.kind == b"\xfe":
            found.keep(COMMENT, _text(piece.data))
    return Carried(form, size, found.texts, tuple(dict.fromkeys(found.left)))


def form_of(data: bytes) -> str:
    if data.startswith(PNG):
        return "PNG"
    if data.startswith(RIFF) and data[8:12] == b"WEBP":
        return "WEBP"
    return "JPEG" if data.startswith(JPEG) else ""


def pieces(data: bytes, form: str) -> Iterator[Piece]:
    """In their order: of a PNG and a JPEG up to the pixels, of a WebP all, for its texts are last.
    Where a length leads out of the file, they end."""
    walk = {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp}.get(form)
    for _, piece in zip(range(MOST_PIECES), walk(data) if walk else (), strict=False):
        yield piece


def _png(data: bytes) -> Iterator[Piece]:
    place = len(PNG)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        ends = place + 12 + length
        if ends > len(data) or kind in (b"IDAT", b"IEND"):
            return
        yield Piece(kind, data[place + 8 : ends - 4], place, ends)
        place = ends


def _jpeg(data: bytes) -> Iterator[Piece]:
    place = len(JPEG)
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xFF:  # padding
            place += 1
            continue
        ends = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        kind = data[place + 1 : place + 2]
        if kind in (b"\xda", b"\xd9") or ends > len(data) or ends < place + 4:
            return
        yield Piece(kind, data[place + 4 : ends], place, ends)
        place = ends


def _webp(data: bytes) -> Iterator[Piece]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        ends = place + 8 + length
        if ends > len(data):
            return
        yield Piece(kind, data[place + 8 : ends], place, ends + length % 2)
        place = ends + length % 2


@dataclass(slots=True)
class _Found:
    texts: dict[str, str]
    left: list[str]
    length: int = 0

    def keep(self, keyword: str, text: str) -> None:
        """The first of a keyword counts, as everywhere."""
        if not text.strip():
            return
        self.length += len(text)
        if len(text) > MOST_TEXT or self.length > MOST_TEXTS:
            self.left.append(f"{keyword[:40]}: {TOO_LONG}")
        elif self.texts.setdefault(keyword[:80], text) != text:
            self.left.append(f"{keyword[:40]}: it is there twice; the first was read")

    def exif(self, data: bytes) -> None:
        for name, text in tagged(read_exif(data)).items():
            self.keep(f"exif:{name}", text)

    def png(self, piece: Piece, data: bytes) -> None:
        if piece.kind not in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            return
        check = int.from_bytes(data[piece.ends - 4 : piece.ends])
        name, _, rest = piece.data.partition(b"\0")
        keyword = name[:80].decode("latin-1")
        if zlib.crc32(piece.kind + piece.data) != check:
            self.left.append(f"{keyword[:40]}: it is damaged; its check sum is another")
        elif piece.kind == b"eXIf":
            self.exif(piece.data.removeprefix(EXIF))
        elif piece.kind == b"tEXt":
            self.keep(keyword, _text(rest))
        elif piece.kind == b"zTXt":
            self._packed(keyword, rest[1:])
        elif len(rest) >= 2:
            words = rest[2:].split(b"\0", 2)[-1]
            if rest[0]:
                self._packed(keyword, words)
            else:
                self.keep(keyword, _text(words))

    def _packed(self, keyword: str, packed: bytes) -> None:
        try:
            text = zlib.decompressobj().decompress(packed, MOST_TEXT + 1)
        except zlib.error:
            self.left.append(f"{keyword[:40]}: it is damaged and cannot be unpacked")
            return
        self.keep(keyword, _text(text))


def _text(data: bytes) -> str:
    """UTF-8 where it is: many write that into places that PNG has for Latin-1."""
    if len(data) > MOST_TEXT + 1:
        data = data[: MOST_TEXT + 1]
    try:
        return data.decode().rstrip("\0")
    except UnicodeDecodeError:
        return data.decode("latin-1").rstrip("\0")


def _size(form: str, piece: Piece) -> tuple[int, int] | None:
    """Of the picture, if this piece tells it."""
    kind, data = piece.kind, piece.data
    found = (0, 0)
    if kind == b"IHDR" and len(data) >= 8:
        found = struct.unpack_from(">II", data)
    elif form == "JPEG" and 0xC0 <= kind[0] <= 0xCF and kind[0] not in (0xC4, 0xC8, 0xCC):
        if len(data) >= 5:
            height, width = struct.unpack_from(">HH", data, 1)
            found = (width, height)
    elif kind == b"VP8X" and len(data) >= 10:
        found = (_three(data, 4) + 1, _three(data, 7) + 1)
    elif kind == b"VP8 " and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        found = (width & 0x3FFF, height & 0x3FFF)
    elif kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        found = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return found if 0 < found[0] < 2**20 and 0 < found[1] < 2**20 else None


def _three(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 3], "little")
