"""What a bulk file says, whatever its form: pictures with the line they stand on, and remarks.

Every level of a file (its head, its headings, a picture) is a list of settings; the nearest counts.
It knows no form, and no model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import ValidationError

from studio.errors import field_sentences
from studio.request import ImageRequest

SHAPE = ("aspect", "width", "height")  # who says one of them means another shape
LONGEST_GROUP = 64  # a group is a tag of its pictures
SHOWN = 60


class Remark(NamedTuple):
    """What there is to say of a place. One that `stops` keeps the whole file from being painted."""

    line: int
    column: int
    sentence: str
    hint: str = ""
    stops: bool = True


class Setting(NamedTuple):
    field: str  # of `ImageRequest`
    value: object
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture as it is asked for: loose fields, and where each was said."""

    line: int
    column: int
    groups: tuple[str, ...]
    fields: Mapping[str, object]
    places: Mapping[str, tuple[int, int]]

    def place(self, field: str) -> tuple[int, int]:
        """Of what was said of a field; of the picture where nothing was."""
        return self.places.get(field.partition(".")[0], (self.line, self.column))


@dataclass(slots=True)
class Sheet:
    """`form` is how the file was read, and `why` so."""

    form: str
    why: str
    entries: list[Entry] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    ticked: int = 0  # pictures that are left out

    def say(self, line: int, column: int, sentence: str, hint: str = "") -> None:
        self.remarks.append(Remark(line, column, sentence, hint))

    def note(self, line: int, column: int, sentence: str, hint: str = "") -> None:
        self.remarks.append(Remark(line, column, sentence, hint, stops=False))

    def add(
        self,
        line: int,
        column: int,
        groups: tuple[str, ...],
        levels: Iterable[Iterable[Setting]],
    ) -> None:
        """From the farthest level to the picture's own."""
        fields: dict[str, object] = {}
        places: dict[str, tuple[int, int]] = {}
        for level in levels:
            said = {one.field: one for one in level}
            if not said.keys().isdisjoint(SHAPE):
                for name in SHAPE:
                    fields.pop(name, None)
            for name, one in said.items():
                fields[name], places[name] = one.value, (one.line, one.column)
        if groups:
            own = fields.get("tags", ())
            more = own if isinstance(own, list | tuple) else ()
            fields["tags"] = tuple(dict.fromkeys((*groups, *more)))
        self.entries.append(Entry(line, column, groups, fields, places))


def wish_of(entry: Entry) -> tuple[ImageRequest | None, list[Remark]]:
    """The wish, and all that is wrong with it: then it is the wish without that, for more may be
    wrong which only its model knows."""
    fields = dict(entry.fields)
    if "prompt" not in fields:
        if not (fields.get("start_image") or fields.get("references")):
            sentence = "This picture has no prompt."
            return None, [Remark(entry.line, entry.column, sentence, "Say what it should show.")]
        fields["prompt"] = ""
    try:
        return ImageRequest.model_validate(fields), []
    except ValidationError as error:
        told = field_sentences(error)
    wrong = {path.partition(".")[0] for path, _ in told}
    sound = {name: value for name, value in fields.items() if name not in wrong}
    try:
        rest = ImageRequest.model_validate({"prompt": "x", **sound}) if wrong != {""} else None
    except ValidationError:
        rest = None
    return rest, [
        Remark(*_place(entry, path, sentence), begun(sentence)) for path, sentence in told
    ]


def _place(entry: Entry, path: str, sentence: str) -> tuple[int, int]:
    """Of what is wrong between several fields, where the first of them was said."""
    between = (name for name in SHAPE if name in sentence and name in entry.places)
    return entry.place(path or next(between, ""))


def begun(sentence: str) -> str:
    """With a capital, unless it begins with the name of a setting."""
    named = sentence.partition(" ")[0].endswith(":")
    return sentence if named else sentence[:1].upper() + sentence[1:]


def shown(text: str) -> str:
    """As a sentence quotes it."""
    text = " ".join(text.split())
    return repr(text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}...")
