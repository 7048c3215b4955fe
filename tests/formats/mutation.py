"""Files as they arrive after accidents and from people who mean ill: bytes, texts and JSON changed.

Where a text is changed its chunk is written anew, so that the change is not told by a check sum.
"""

import json
import random
import zlib
from copy import deepcopy
from typing import Any

from studio.formats.carried import carried, form_of
from tests.formats.pictures import comment, jpeg, raw_png, webp

ODD: list[Any] = [
    *(None, True, False, 0, -1, 2**70, 1e308, -0.0, "", "0", "x" * 5000, "\0", "\ud800", "[", "{}"),
    *([], {}, [[]], [None, 0], ["3", 0], ["3", 10**9], {"a": {"b": []}}, "NaN", "1e999", "٣"),
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    way = chance.random()
    if way < 0.4:
        return _bytes(data, chance)
    texts = dict(carried(data).texts)
    if not texts:
        return _bytes(data, chance)
    name = chance.choice(list(texts))
    text = texts[name]
    try:
        found = json.loads(text) if way < 0.8 else None
    except ValueError:
        found = None
    if isinstance(found, dict):
        for _ in range(chance.randint(1, 4)):
            _change(found, chance)
        text = json.dumps(found)
    else:
        text = _letters(text, chance)
    return _written(data, name, text, texts)


def _written(data: bytes, name: str, text: str, texts: dict[str, str]) -> bytes:
    if name.startswith("exif:"):
        safe = text.encode("utf-16-be", "surrogatepass")
        tiff = comment("", "utf-8", b"UNICODE\0" + safe)
        return jpeg(tiff[:60_000]) if form_of(data) == "JPEG" else webp(tiff)
    kept = {**texts, name: text}
    return raw_png(
        *(
            (
                b"iTXt",
                key.encode("latin-1", "replace") + b"\0\0\0\0\0" + value.encode("utf-8", "replace"),
            )
            for key, value in kept.items()
        )
    )


def _bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        place = (
            chance.randrange(len(changed))
            if chance.random() < 0.3
            else chance.randrange(min(len(changed), 400))
        )
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randint(1, 40)]
            case 2:
                changed[place:place] = chance.randbytes(chance.randint(1, 40))
            case 3:
                changed[place : place + 4] = chance.choice(
                    [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]
                )
        if not changed:
            return b""
    if chance.random() < 0.2:
        del changed[chance.randrange(len(changed)) :]
    return _mended(bytes(changed)) if chance.random() < 0.5 else bytes(changed)


def _mended(data: bytes) -> bytes:
    """With right check sums, as long as chunks can be followed."""
    if not data.startswith(b"\x89PNG"):
        return data
    place, whole = 8, bytearray(data)
    while place + 12 <= len(whole):
        ends = place + 12 + int.from_bytes(whole[place : place + 4])
        if ends > len(whole):
            break
        whole[ends - 4 : ends] = zlib.crc32(bytes(whole[place + 4 : ends - 4])).to_bytes(4)
        place = ends
    return bytes(whole)


def _letters(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(text) + 1)
        piece = chance.choice(
            [
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
                '"',
                "\\",
                ",",
                ":",
                "\n",
                "<lora:",
                "::",
                "--",
                "++",
                "\0",
            ]
            + [
                " AND ",
                " BREAK ",
                "Steps: ",
                "Negative prompt:",
                "Hashes: {",
                "1e999",
                "\ud83d",
                "٣",
            ]
        )
        text = (
            text[:place]
            + piece * chance.choice([1, 1, 1, 50])
            + text[place + chance.randint(0, 3) :]
        )
    return text


def _change(value: Any, chance: random.Random) -> None:
    """One place somewhere in it."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = value[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.7:
            value = inner
            continue
        match chance.randrange(3):
            case 0:
                value[key] = deepcopy(chance.choice(ODD))  # or it would come to hold itself
            case 1 if isinstance(value, dict):
                value[str(chance.choice(["seed", "model", "text", "x", "class_type"]))] = value.pop(
                    key
                )
            case _:
                value[key] = [inner] if chance.random() < 0.5 else str(inner)
        return
