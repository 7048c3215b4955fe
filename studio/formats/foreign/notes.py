"""What a foreign picture says, in our words: the fields of a wish, and all that is left over.

A reader of one tool's form fills `Notes`; what comes of them is a `Reading`. Foreign values may be
of any kind, so each is asked for by the kind it should have. Pure: it knows no tool and no model.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from studio.errors import sayable
from studio.formats import strict

LONGEST_SHOWN = 300  # letters of what could not be understood
LONGEST_NAME = 200
MOST_SAID = 60  # sentences of one kind
MOST_LORAS = 64
Values = Mapping[str, object]
Groups = Sequence[tuple[str, str | tuple[str, ...]]]  # by how their keys begin; the first that fits


class Unread(NamedTuple):
    """A piece that could not be understood: where it stands, and its text."""

    where: str
    text: str


class Named(NamedTuple):
    """A model or a LoRA as another tool names it. `hash` is hexadecimal, of whatever kind;
    `reading` is a weight of its own for the text encoders."""

    name: str
    hash: str = ""
    weight: float = 1.0
    reading: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """`fields` are those of a wish that need no model to be known; `own` is our own recipe.

    `beyond` says what this studio does for no model, `translated` what was written in our way.
    `sampler` and `schedule` are as the tool calls them.
    """

    tool: str
    version: str = ""
    fields: Values = field(default_factory=dict)
    model: Named | None = None
    loras: tuple[Named, ...] = ()
    sampler: str = ""
    schedule: str = ""
    unread: tuple[Unread, ...] = ()
    beyond: tuple[str, ...] = ()
    translated: tuple[str, ...] = ()
    own: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Notes:
    fields: dict[str, object] = field(default_factory=dict)
    model: Named | None = None
    loras: list[Named] = field(default_factory=list)
    sampler: str = ""
    schedule: str = ""
    unread: list[Unread] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    translated: list[str] = field(default_factory=list)

    def text(self, name: str, value: object) -> None:
        if isinstance(value, str):
            self.fields[name] = value
        elif value is not None:
            self.leave(name, value)

    def whole(self, name: str, value: object) -> None:
        self._number(name, value, whole_of(value))

    def number(self, name: str, value: object) -> None:
        self._number(name, value, number_of(value))

    def size(self, width: object, height: object) -> None:
        both = whole_of(width), whole_of(height)
        if None not in both:
            self.fields |= {"width": both[0], "height": both[1]}
        elif width is not None or height is not None:
            self.leave("size", f"{width} x {height}")

    def wear(self, lora: Named) -> None:
        if lora.name and len(self.loras) < MOST_LORAS:
            self.loras.append(lora)

    def leave(self, where: str, value: object) -> None:
        if len(self.unread) < MOST_SAID:
            self.unread.append(Unread(where[:LONGEST_NAME], shown(value)))

    def lack(self, sentence: str) -> None:
        """What this studio does not do."""
        if sentence not in self.beyond and len(self.beyond) < MOST_SAID:
            self.beyond.append(sentence)

    def sort(self, given: Iterable[tuple[str, object]], groups: Groups) -> None:
        """Those whose key begins as a group's do are lacked together; the others are left."""
        lacked: dict[str, list[tuple[str, object]]] = {}
        for key, value in given:
            group = next((name for name, begins in groups if key.startswith(begins)), "")
            if group:
                lacked.setdefault(group, []).append((key, value))
            else:
                self.leave(key, value)
        for group, held in lacked.items():
            self.lack(f"{group} is not done here ({told(held)}).")

    def reading(self, tool: str, version: object = "") -> Reading:
        return Reading(
            tool=tool,
            version=text_of(version)[:LONGEST_NAME],
            fields=self.fields,
            model=self.model,
            loras=tuple(self.loras),
            sampler=self.sampler[:LONGEST_NAME],
            schedule=self.schedule[:LONGEST_NAME],
            unread=tuple(self.unread),
            beyond=tuple(self.beyond),
            translated=tuple(self.translated),
        )

    def _number(self, name: str, value: object, found: float | None) -> None:
        if found is not None:
            self.fields[name] = found
        elif value not in (None, ""):
            self.leave(name, value)


def read_json(text: str) -> object:
    """None for what is no JSON. NaN and Infinity, which ComfyUI writes, are read as words; half of
    a surrogate pair, which JSON may hold and no answer can repeat, becomes a question mark."""
    try:
        found = strict.read(text)
        return _sayable(found) if "\\ud" in text.lower() else found
    except (ValueError, RecursionError):
        return None


def _sayable(value: object) -> object:
    if isinstance(value, str):
        return sayable(value)
    if isinstance(value, list):
        return [_sayable(one) for one in value]
    if isinstance(value, dict):
        return {sayable(key): _sayable(one) for key, one in value.items()}
    return value


def mapping_of(value: object) -> Values:
    """Also out of JSON within JSON, which Civitai and InvokeAI write."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = read_json(value)
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def text_of(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return value if isinstance(value, str) else repr(value)[:40]


def number_of(value: object) -> float | None:
    """Of a number, or of a text that is one."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 40 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**70:
        return None
    return float(value) if math.isfinite(value) else None


def whole_of(value: object) -> int | None:
    """To the last digit: seeds go beyond what a float holds."""
    if isinstance(value, str):
        plain = value.strip()
        digits = plain.removeprefix("-")
        if len(digits) <= 25 and digits.isascii() and digits.isdigit():
            return int(plain)
        value = number_of(plain)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**70:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def stem_of(value: object) -> str:
    """The name of a model without its folder and its ending, of whichever system."""
    name = text_of(value).replace("\\", "/").rpartition("/")[2].strip()
    for ending in (".safetensors", ".ckpt", ".pt", ".sft", ".gguf", ".bin"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name[:LONGEST_NAME]


def hash_of(value: object) -> str:
    """In small letters, without `0x` and without what it was made by, as in `sha256:`."""
    plain = text_of(value).strip().lower().rpartition(":")[2].removeprefix("0x")
    known = 8 <= len(plain) <= 64 and all(letter in "0123456789abcdef" for letter in plain)
    return plain if known else ""


def shown(value: object) -> str:
    """As it is written, cut where it is long."""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except (ValueError, TypeError, RecursionError):
            value = "something that cannot be shown"
    return value if len(value) <= LONGEST_SHOWN else f"{value[: LONGEST_SHOWN - 1]}…"


def told(pairs: Iterable[tuple[str, object]]) -> str:
    """`key: value, key: value`, for a sentence."""
    text = ", ".join(f"{key}: {shown(value)}" for key, value in pairs)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
