"""The header of a safetensors file: names, shapes, and what the file says of itself.

No tensor is read. A file that is cut, torn, or something else under this name is told by its header
alone, before anybody tries to load it.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

LONGEST = 16 * 2**20  # bytes of a header; the longest seen are a tenth of it
MOST_AXES = 64  # of a tensor, as PyTorch has it; millions would be multiplied for hours
STRANGE = "it is no safetensors file"
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
# What such files really are, by how they begin.
OTHERS = {
    b"<": "it is a web page, not weights; perhaps its address asks for a login",
    b"PK": "it is pickled, which could run code, and only named like safetensors",
    b"\x80": "it is pickled, which could run code, and only named like safetensors",
    b"version https://git-lfs": "it is a pointer of Git LFS; the weights themselves did not come",
    b"GGUF": "it is a GGUF file, only named like safetensors",
}


@dataclass(frozen=True, slots=True)
class Header:
    shapes: dict[str, tuple[int, ...]]
    says: dict[str, str]


def read_header(file: Path) -> Header:
    """`ValueError` holds what is wrong with the file."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(32)
        length, room = int.from_bytes(start[:8], "little"), size - 8
        if room < 0 or length > max(room, LONGEST):
            raise ValueError(next((o for b, o in OTHERS.items() if start.startswith(b)), STRANGE))
        if length > room:
            raise ValueError("it is cut short; fetch it again")
        if length > LONGEST:
            raise ValueError(f"its header of {length} bytes is longer than {LONGEST}")
        opened.seek(8)
        text = opened.read(length)
    try:
        tensors = json.loads(text)
        says = tensors.pop("__metadata__", None) or {}
        spans = sorted(_span(name, tensor) for name, tensor in tensors.items())
        shapes = {name: tuple(tensor["shape"]) for name, tensor in tensors.items()}
        says = {name: value for name, value in says.items() if isinstance(value, str)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(STRANGE) from None
    _whole(spans, room - length)
    for name, tensor in tensors.items():
        _as_large_as_it_says(name, tensor)
    return Header(shapes, says)


def _span(name: str, tensor: Any) -> tuple[int, int, str]:
    start, end = tensor["data_offsets"]
    if len(tensor["shape"]) > MOST_AXES:
        raise ValueError
    for number in (start, end, *tensor["shape"]):
        if type(number) is not int or number < 0:
            raise ValueError
    return start, end, name


def _whole(spans: list[tuple[int, int, str]], room: int) -> None:
    """One tensor after another, none over another, to the end of the file."""
    at, before = 0, ""
    for start, end, name in spans:
        if start < at:
            raise ValueError(f"its tensors {before!r} and {name!r} overlap")
        if start > at:
            raise ValueError(f"{start - at} bytes before its tensor {name!r} belong to none")
        at, before = max(at, end), name
    if at > room:
        raise ValueError(f"it is cut short by {at - room} bytes; fetch it again")
    if at < room:
        raise ValueError(f"{room - at} bytes at its end belong to no tensor")


def _as_large_as_it_says(name: str, tensor: Any) -> None:
    start, end = tensor["data_offsets"]
    bits = BITS.get(str(tensor.get("dtype")))
    if bits is None:
        raise ValueError(f"its tensor {name!r} is of numbers that are not known here")
    if (end - start) * 8 != bits * prod(tensor["shape"]):
        raise ValueError(f"its tensor {name!r} has {end - start} bytes, which its shape denies")
