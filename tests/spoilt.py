"""Files of weights that must not be loaded, made from a whole one; and a word of why."""

import json
from collections.abc import Callable
from typing import Any

from studio.formats.safetensors import LONGEST

Spoil = Callable[[bytes], bytes]
Tensors = dict[str, dict[str, Any]]


def file_of(tensors: Tensors, data: bytes, says: dict[str, str] | None = None) -> bytes:
    """A safetensors file as its header says it, right or wrong."""
    header = json.dumps(({"__metadata__": says} if says else {}) | tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


def _retold(change: Callable[[Tensors], object]) -> Spoil:
    """The same file with a header that tells something else."""

    def spoil(whole: bytes) -> bytes:
        length = int.from_bytes(whole[:8], "little")
        tensors = json.loads(whole[8 : 8 + length])
        tensors.pop("__metadata__", None)
        change(tensors)
        return file_of(tensors, whole[8 + length :])

    return spoil


def _first(tensors: Tensors) -> dict[str, Any]:
    return min(tensors.values(), key=lambda tensor: tensor["data_offsets"])


def _overlap(tensors: Tensors) -> None:
    one, two = sorted(tensors.values(), key=lambda tensor: tensor["data_offsets"])[:2]
    two["data_offsets"] = [one["data_offsets"][1] - 4, two["data_offsets"][1]]


def _number(name: str) -> Callable[[Tensors], None]:
    return lambda tensors: _first(tensors).update(dtype=name)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda whole: b"", "no safetensors file"),
    "cut in its tensors": (lambda whole: whole[:-3], "cut short by 3 bytes"),
    "cut in its header": (lambda whole: whole[:40], "cut short; fetch it again"),
    "a web page": (lambda whole: b"<!DOCTYPE html><title>Log in</title>", "a web page"),
    "a zip of pickles": (lambda whole: b"PK\x03\x04archive/data.pkl" * 9, "pickled, which could"),
    "a pickle": (lambda whole: b"\x80\x02ccollections\nOrderedDict\nq\x00" * 9, "pickled, which"),
    "a pointer": (lambda whole: b"version https://git-lfs.github.com/spec/v1\n", "of Git LFS"),
    "a header without end": (lambda whole: (2**60).to_bytes(8, "little") + whole[8:], "no safe"),
    "a giant header": (
        lambda whole: (LONGEST + 1).to_bytes(8, "little") + b"[" * (LONGEST + 1),
        "is longer than",
    ),
    "brackets without end": (
        lambda whole: (100_000).to_bytes(8, "little") + b"[" * 100_000,
        "no safetensors file",
    ),
    "a flipped bit": (lambda whole: whole[:8] + bytes([whole[8] ^ 1]) + whole[9:], "no safetens"),
    "tensors over one another": (_retold(_overlap), "overlap"),
    "another shape": (
        _retold(lambda tensors: _first(tensors).update(shape=[7])),
        "which its shape",
    ),
    "axes without end": (
        _retold(lambda tensors: _first(tensors).update(shape=[9] * 10_000)),
        "no safetensors file",
    ),
    "unknown numbers": (_retold(_number("Q4_0")), "numbers that are not known"),
    "bytes too many": (lambda whole: whole + b"more", "4 bytes at its end belong to no tensor"),
}
