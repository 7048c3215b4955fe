"""A picture's file with less said in it, or with a word more; its pixels stay as they are packed.

Chunks and segments are taken out or put in, nothing is encoded anew. It knows PNG, JPEG and WebP.
"""

import struct
import zlib
from typing import Literal

from studio.formats.carried import EXIF, PNG, XMP, carried, form_of
from studio.formats.exif import write_exif
from studio.formats.metadata import PARAMETERS

Said = Literal["all", "parameters", "none"]
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME")
EXIF_FLAG, XMP_FLAG = 0x08, 0x04  # of VP8X
HEAD = 33  # bytes of a PNG's signature and first chunk


def saying(data: bytes, said: Said) -> bytes:
    """All that it says, only the text that other tools read, or nothing."""
    if said == "all":
        return data
    text = carried(data).texts
    kept = text.get(PARAMETERS) or text.get("exif:UserComment", "") if said != "none" else ""
    match form_of(data):
        case "PNG":
            return _png(data, kept)
        case "JPEG":
            return _jpeg(data, kept)
        case "WEBP":
            return _webp(data, kept)
    return data


def text_chunk(keyword: str, text: str) -> bytes:
    """For a PNG. What is not plain ASCII is written where letters are told: the other kind of chunk
    has Latin-1, which many take for UTF-8."""
    name = keyword.encode("latin-1") + b"\0"
    if text.isascii():
        return chunk(b"tEXt", name + text.encode())
    plain = b"\0\0\0\0"  # neither compressed, nor in a language, nor translated
    return chunk(b"iTXt", name + plain + text.encode())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_text(png: bytes, keyword: str, text: str) -> bytes:
    return png[:HEAD] + text_chunk(keyword, text) + png[HEAD:]


def _png(data: bytes, text: str) -> bytes:
    parts, place = [data[: len(PNG)]], len(PNG)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind not in TEXTS:
            parts.append(data[place : place + 12 + length])
        if kind == b"IHDR" and text:
            parts.append(text_chunk(PARAMETERS, text))
        place += 12 + length
    return b"".join(parts)


def _jpeg(data: bytes, text: str) -> bytes:
    parts, place = [data[:2]], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        ends = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        body = data[place + 4 : ends]
        says = data[place + 1] == 0xFE or body.startswith((EXIF, XMP, b"Photoshop"))
        if not says:
            parts.append(data[place:ends])
        place = ends
    if text:
        exif = EXIF + write_exif(text, "")
        # Behind JFIF's own segment, if there is one, which must be the first.
        parts.insert(2 if parts[1:] and parts[1][1:2] == b"\xe0" else 1, _segment(exif))
    return b"".join([*parts, data[place:]])


def _segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _webp(data: bytes, text: str) -> bytes:
    parts, place = list[bytes](), 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        ends = place + 8 + length + length % 2
        if kind == b"VP8X":
            flags = data[place + 8] & ~(EXIF_FLAG | XMP_FLAG) | (EXIF_FLAG if text else 0)
            parts.append(data[place : place + 8] + bytes([flags]) + data[place + 9 : ends])
        elif kind not in (b"EXIF", b"XMP "):
            parts.append(data[place:ends])
        place = ends
    if text:
        exif = write_exif(text, "")
        parts.append(b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\0" * (len(exif) % 2))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
