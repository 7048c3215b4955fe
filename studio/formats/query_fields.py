"""The fields of a search and how their values are read: names, numbers, sizes, dates, yes and no.

Every value becomes a `Name`, a `Span` or a `Flag`; what cannot is a ValueError with a sentence.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Literal

KINDS = ("painted", "redrawn", "inpainted", "referenced", "upscaled", "rerun", "imported")
FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True, slots=True)
class Name:
    """A text that a picture has under this field; exact, or one with a word that begins so."""

    field: str
    value: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A number between two others, both included."""

    field: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Flag:
    """`trash`: it lies there. Or it has any of a field: `lora`, `tag`, `look`, `rating`."""

    name: str


class Misspelt(ValueError):
    """`meant` is the value that is nearest."""

    def __init__(self, sentence: str, meant: str) -> None:
        super().__init__(sentence)
        self.meant = meant


Leaf = Name | Span | Flag
Kind = Literal["name", "choice", "whole", "real", "size", "date", "yes", "is", "has"]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind
    example: str
    about: str
    choices: tuple[str, ...] = ()
    most: int | None = None


_ALL = (
    Field("model", "name", "model:flux", "the model that painted it"),
    Field("look", "name", 'look:"ink wash"', "the look it was dressed in"),
    Field("lora", "name", "lora:ink", "a LoRA it wears"),
    Field("sampler", "name", "sampler:euler", "how noise was removed"),
    Field("tag", "name", "tag:cat", "a tag of yours"),
    Field("owner", "name", "owner:local", "whose it is"),
    Field("in", "name", 'in:"best of"', "a collection it is in"),
    Field("kind", "choice", "kind:upscaled", "how it came about", KINDS),
    Field("format", "choice", "format:png", "the kind of file", FORMATS),
    Field("size", "size", "size:>1024 or size:1024x768", "its longer side, or both"),
    Field("width", "whole", "width:>=1024", "pixels across"),
    Field("height", "whole", "height:>=1024", "pixels down"),
    Field("steps", "whole", "steps:>=20", "steps asked for"),
    Field("guidance", "real", "guidance:3..5", "how closely it follows the words"),
    Field("seed", "whole", "seed:7", "its seed"),
    Field("rating", "whole", "rating:>=4", "your rating, 0 to 5", most=5),
    Field("star", "yes", "star:yes", "whether you starred it"),
    Field("date", "date", "date:2026-11", "when it was kept (UTC)"),
    Field("is", "is", "is:trash", "whether it lies in the trash", ("trash",)),
    Field("has", "has", "has:tag", "whether it has any", ("lora", "tag", "look", "rating")),
)
FIELDS = {field.name: field for field in _ALL}


def read_value(field: Field, sign: str, value: str, now: float) -> tuple[Leaf, ...]:
    """All of them must hold."""
    match field.kind:
        case "name":
            _unsigned(field, sign.replace("=", ""))
            return (Name(field.name, value, sign == "="),)
        case "choice" | "is" | "has":
            _unsigned(field, sign.replace("=", ""))
            word = _choice(field, value)
            if field.kind == "choice":
                return (Name(field.name, word, True),)
            return (Flag(word if field.kind == "is" else f"has {word}"),)
        case "yes":
            _unsigned(field, sign.replace("=", ""))
            yes = _yes(value)
            return (Span(field.name, yes, yes),)
        case "date":
            return (_between(field.name, sign, value, lambda text: _dates(text, now)),)
        case "size" if pair := re.fullmatch(r"(\d{1,5})\s*[x×]\s*(\d{1,5})", value, re.I):
            _unsigned(field, sign.replace("=", ""))
            return tuple(
                Span(side, int(number), int(number))
                for side, number in zip(("width", "height"), pair.groups(), strict=True)
            )
    return (_between(field.name, sign, value, lambda text: _number(field, text)),)


def _between(name: str, sign: str, value: str, read: Callable[[str], tuple[float, float]]) -> Span:
    first, dots, last = value.partition("..")
    if dots and not sign:
        low, high = read(first)[0], read(last)[1]
        if low > high:
            raise ValueError(f"{value[:40]!r} runs backwards; the smaller comes first.")
        return Span(name, low, high)
    low, high = read(value)
    match sign:
        case ">":
            return Span(name, math.nextafter(high, math.inf), math.inf)
        case ">=":
            return Span(name, low, math.inf)
        case "<":
            return Span(name, -math.inf, math.nextafter(low, -math.inf))
        case "<=":
            return Span(name, -math.inf, high)
    return Span(name, low, high)


def _number(field: Field, text: str) -> tuple[float, float]:
    pattern = r"\d{1,12}(\.\d{1,6})?" if field.kind == "real" else r"\d{1,12}"
    if not re.fullmatch(pattern, text, re.ASCII):
        what = "number" if field.kind == "real" else "whole number"
        raise ValueError(f"{text[:40]!r} is no {what}. Write it like {field.example}.")
    number = float(text)
    if field.most is not None and number > field.most:
        raise ValueError(f"{text} is too large; the most is {field.most}.")
    return number, number


def _dates(text: str, now: float) -> tuple[float, float]:
    """The first moment of it and the last."""
    begin, end = _period(text.lower(), datetime.fromtimestamp(now, UTC))
    return begin.timestamp(), math.nextafter(end.timestamp(), -math.inf)


def _period(text: str, now: datetime) -> tuple[datetime, datetime]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        begin = today - timedelta(days=int(text == "yesterday"))
        return begin, begin + timedelta(days=1)
    found = re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", text, re.ASCII)
    try:
        if found is None:
            raise ValueError
        year, month, day = (int(part) if part else 0 for part in found.groups())
        begin = datetime(year, month or 1, day or 1, tzinfo=UTC)
        if day:
            return begin, begin + timedelta(days=1)
        months = year * 12 + (month or 12)
        return begin, datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no date. Write 2026, 2026-11, 2026-11-26, today or yesterday; "
            "with >, < or .. between two."
        ) from None


def _choice(field: Field, value: str) -> str:
    word = value.lower()
    word = "jpeg" if word == "jpg" else word
    if word in field.choices:
        return word
    sentence = f"{value[:40]!r} is none of {', '.join(field.choices)}."
    if near := get_close_matches(word, field.choices, 1, 0.6):
        raise Misspelt(f"{sentence} Did you mean {near[0]}?", near[0])
    raise ValueError(sentence)


def _yes(value: str) -> int:
    words = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}
    if value.lower() not in words:
        raise ValueError(f"{value[:40]!r} is neither yes nor no.")
    return words[value.lower()]


def _unsigned(field: Field, sign: str) -> None:
    if sign:
        raise ValueError(f"{sign} compares numbers, and this is a name; write {field.example}.")
