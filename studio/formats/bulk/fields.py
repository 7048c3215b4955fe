"""Which settings a picture may have, under which names, and what their text means.

All of it is derived from `ImageRequest`; beside its fields there is `size`, which is a shape or
pixels. Other names people know are ALIASES.
"""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from studio.formats.bulk.sheet import LONGEST_GROUP, Setting, shown
from studio.request import Expand, ImageRequest, InputPicture, LoraUse

HIDDEN = {"version", "owner"}  # the studio says these
SIZE, EXPAND = "size", "expand"
ALIASES = {
    "neg": "negative_prompt",
    "negative": "negative_prompt",
    "not": "negative_prompt",
    "cfg": "guidance",
    "cfg_scale": "guidance",
    "guidance_scale": "guidance",
    "num_inference_steps": "steps",
    "checkpoint": "model",
    "sd_model": "model",
    "model_mode": "model",
    "n": "count",
    "images": "count",
    "num_images": "count",
    "n_iter": "count",
    "sampler_name": "sampler",
    "scheduler": "sampler",
    "lora": "loras",
    "reference": "references",
    "tag": "tags",
    "style": "look",
    "file": "filename",
    "file_name": "filename",
    "name": "filename",
    "format": "output_format",
    "start": "start_image",
    "denoising_strength": "strength",
    "shape": SIZE,
    "resolution": SIZE,
    "text": "prompt",
}
MOST_SHOWN = 100  # letters of a name that is not known
NOTHING = ("", "none", "null", "~")  # without quotes: as if it had not been said
WAYS_TO_EXPAND = get_args(Expand)
_PIXELS = re.compile(r"(\d{1,6})\s*[x×*]\s*(\d{1,6})")
_WHOLE = re.compile(r"[+-]?\d{1,30}")


class Slip(Exception):
    """Something that cannot be read, in a sentence, and what may have been meant."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


class Item(NamedTuple):
    """One of several behind a name. `tail` is what follows the quotes, as in "my ink":0.8"""

    text: str
    tail: str
    quoted: bool


class Value(NamedTuple):
    """What stands behind a name, as it is written and taken apart."""

    raw: str
    items: tuple[Item, ...]


def _plain(annotation: Any) -> Any:
    """What a field holds, without its bounds and without None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(_plain(one) for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    return annotation


KINDS = {
    name: _plain(info.annotation)
    for name, info in ImageRequest.model_fields.items()
    if name not in HIDDEN
}
NAMES = (*KINDS, SIZE)
_SPOKEN = {name: name for name in NAMES} | ALIASES


def field_of(name: str) -> str | None:
    """The field that a name means, if any."""
    return _SPOKEN.get(re.sub(r"[\s-]+", "_", name.strip().lower()))


def unknown(name: str) -> Slip:
    return Slip(*_unknown(name[:MOST_SHOWN]))


@lru_cache(maxsize=256)  # a column that is not known is so in each row
def _unknown(name: str) -> tuple[str, str]:
    near = get_close_matches(name.strip().lower().replace(" ", "_"), _SPOKEN, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(NAMES)}."
    return f"There is no setting {shown(name)}.", hint


def settings_of(name: str, value: Value, line: int, column: int) -> list[Setting]:
    """What a name with the text behind it says. Raises Slip."""
    field = field_of(name)
    if field is None:
        raise unknown(name)
    if field == SIZE:
        return [Setting(one, told, line, column) for one, told in _size(_scalar(field, value))]
    if field == EXPAND:
        return [Setting(field, _way(_scalar(field, value)), line, column)]
    kind = KINDS[field]
    read = _several(field, value) if get_origin(kind) is tuple else _one(field, kind, value)
    return [Setting(field, read, line, column)]


def settings_of_json(name: str, value: object, line: int, column: int) -> list[Setting]:
    """The same for a value of JSON. Text is read as it would be in any other form."""
    field = field_of(name)
    if isinstance(value, str) and field not in (None, "prompt", "negative_prompt"):
        kind = KINDS.get(field or "")
        one = Item(value, "", quoted=kind is str)
        return settings_of(name, Value(value, (one,)), line, column)
    if field is None:
        raise unknown(name)
    if field in (SIZE, EXPAND):
        raise Slip(f"{field}: {value!r} is not text.")
    if field == "seed" and value == -1:
        value = None
    if isinstance(value, list) and get_origin(KINDS[field]) is tuple:
        value = [_element(field, Item(one, "", False)) if isinstance(one, str) else one
                 for one in value]  # fmt: skip
    return [Setting(field, value, line, column)]


def group_of(heading: str) -> str:
    """A heading as the name of a group. Raises Slip."""
    if len(heading) > LONGEST_GROUP:
        raise Slip(
            f"This heading has {len(heading)} characters; a group has at most {LONGEST_GROUP}.",
            "Make it shorter: it becomes a tag of its pictures.",
        )
    return heading


def _scalar(field: str, value: Value) -> str:
    first = value.items[0] if value.items else Item("", "", False)
    if not first.quoted:
        return value.raw.strip()
    if len(value.items) > 1 or first.tail:
        raise Slip(
            f"{field}: there is text behind the closing quote.", 'Write " inside quotes as \\".'
        )
    return first.text


def _one(field: str, kind: Any, value: Value) -> object:
    text = _scalar(field, value)
    quoted = bool(value.items and value.items[0].quoted)
    if not quoted and field != "prompt" and text.lower() in NOTHING:
        return ImageRequest.model_fields[field].get_default()
    if kind is int:
        return _whole(field, text)
    if kind is float:
        return _number(field, text)
    if field == "sampler" and not quoted:  # other tools begin their names with a capital
        return text.lower()
    return text


def _whole(field: str, text: str) -> int | None:
    if not _WHOLE.fullmatch(text):
        raise Slip(f"{field}: {shown(text)} is not a whole number.")
    number = int(text)
    return None if (field, number) == ("seed", -1) else number  # the world's word for "any"


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        point = text.replace(",", ".")
        hint = f"Write {point}." if re.fullmatch(r"\d+,\d+", text) else ""
        raise Slip(f"{field}: {shown(text)} is not a number.", hint) from None


def _size(text: str) -> Iterable[tuple[str, object]]:
    if pixels := _PIXELS.fullmatch(text):
        return [("width", int(pixels[1])), ("height", int(pixels[2]))]
    return [("aspect", None if text.lower() in NOTHING else text)]


def _way(text: str) -> str:
    said = {"yes": "random", "off": "no", "false": "no", "none": "no"}.get(text.lower(), text)
    if said not in WAYS_TO_EXPAND:
        raise Slip(f"expand: {shown(text)} is not one of {', '.join(WAYS_TO_EXPAND)}.")
    return said


def _several(field: str, value: Value) -> list[object]:
    first = value.items[0] if len(value.items) == 1 else Item("-", "", quoted=False)
    if not first.quoted and first.text.lower() in NOTHING:
        return []
    return [_element(field, item) for item in value.items]


def _element(field: str, item: Item) -> object:
    held = get_args(KINDS[field])[0]
    if held is LoraUse or held is InputPicture:
        name, numbers = (item.text, item.tail) if item.quoted else _parted(item.text)
        key = "name" if held is LoraUse else "id"
        return {key: name, **_weights(field, numbers.strip().removeprefix(":").strip())}
    if item.tail:
        raise Slip(f"{field}: there is text behind the closing quote.")
    return item.text


def _parted(text: str) -> tuple[str, str]:
    name, _, numbers = text.partition(":")
    return name.strip(), numbers


def _weights(field: str, numbers: str) -> dict[str, object]:
    """`0.8`, or `0.8 unet=1 text_encoder=0.5`."""
    if not numbers:
        return {}
    weight, *parts = numbers.split()
    found: dict[str, object] = {"weight": _number(field, weight)}
    components = {}
    for part in parts:
        name, sign, number = part.partition("=")
        if not sign:
            raise Slip(f"{field}: {shown(part)} says no weight.", "Write unet=0.8.")
        components[name] = _number(field, number)
    return found | ({"components": components} if components else {})


def written(text: str) -> str:
    """Text in quotes, so that it is read back as it is wherever it stands."""
    return json.dumps(text, ensure_ascii=False).replace("<", "\\u003c").replace("\x7f", "\\u007f")
