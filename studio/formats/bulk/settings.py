"""The one grammar of settings: `seed: 7, not: people, text, loras: [ink:0.8, blur], name: "a, b"`.

A comma begins the next setting where a name with a colon follows, else it belongs to the value; so
most text needs no quotes. It stands in braces at the end of a line, on lines of its own below a
picture, and at the head of a file.
"""

import json
import re
from collections.abc import Iterator

from studio.formats.bulk.fields import Item, Slip, Value, field_of, settings_of
from studio.formats.bulk.sheet import Setting, Sheet, shown

NAME = r"[A-Za-z][\w -]{0,40}?"
_BEGIN = re.compile(rf"\s*+(?P<name>{NAME})\s*+:(?!:)[ \t]*+")
_NEXT = re.compile(rf"\s*+(?P<name>{NAME})\s*+:(?!:)(?P<space>\s|$)?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BARE = re.compile(r"[^,]*+")
_LISTED = re.compile(r"[^,\]]*+")
_OPENS = re.compile(rf"\{{(?=\s*+{NAME}\s*+:(?!:))")
_CLOSES = re.compile(r'(?:[^"{}|]|"(?:[^"\\]|\\.)*+")*+\}')
_SPOKEN = re.compile(r"(?<![\w{])(?P<name>[A-Za-z_]{2,20}):[ ]?(?=\S)")
_FORGOTTEN = re.compile(r"\{\s*+(?P<name>[A-Za-z_]++)\s++[^{}|$:]*+\}\s*+$")
# (word:1.2) is a weight.
_ROUND = re.compile(rf"\(\s*+(?P<name>{NAME})\s*+:\s++[^()]*+\)\s*+$")
_INSIDE = re.compile(rf"\s*+(?P<name>{NAME})\s*+:[^{{|}}]*+(?P<choice>\|)?")
_BETWEEN = re.compile(r"[\s,]*+")
SAY_SO = "Write name: value."
_SPACE = re.compile(r"\s*+")


def read_settings(text: str, line: int, column: int, sheet: Sheet) -> list[Setting]:
    """All of them; what cannot be read is said. `column` is where the text begins."""
    found: list[Setting] = []
    place = 0
    while (place := _end(_BETWEEN, text, place)) < len(text):
        begin = _BEGIN.match(text, place)
        if not begin:
            sheet.say(line, column + place, f"{shown(text[place:])} is no setting.", SAY_SO)
            return found
        at = column + begin.start("name")
        try:
            value, place = _value(text, begin.end())
            found += settings_of(begin["name"], value, line, at)
        except Slip as slip:
            sheet.say(line, at, str(slip), slip.hint)
            place = _following(text, begin.end())
    return once(found, sheet)


def split(text: str, line: int, column: int, sheet: Sheet) -> tuple[str, list[Setting]]:
    """A text and the settings in braces at its end. Braces with | or :: are templates, and text."""
    whole = text.rstrip()
    for opens in _OPENS.finditer(whole):
        closes = _CLOSES.match(whole, opens.end())
        if closes and closes.end() == len(whole):
            inside = whole[opens.end() : -1]
            settings = read_settings(inside, line, column + opens.end(), sheet)
            return whole[: opens.start()].rstrip(), settings
    _look_alikes(whole, line, column, sheet)
    return whole, []


def once(found: list[Setting], sheet: Sheet) -> list[Setting]:
    """What is said of one picture, or of a head; twice is told."""
    kept: dict[str, Setting] = {}
    for one in found:
        if one.field in kept:
            sheet.say(
                one.line,
                one.column,
                f"{one.field} is said already, in line {kept[one.field].line}.",
                "Say it once.",
            )
        else:
            kept[one.field] = one
    return list(kept.values())


def _value(text: str, place: int) -> tuple[Value, int]:
    """What stands behind a colon, and where the next setting begins."""
    begins = place
    if text[place : place + 1] == "[":
        items, place = _list(text, place + 1)
        end = _end(_BARE, text, place)
        if rest := text[place:end].strip():
            raise Slip(f"There is {shown(rest)} behind the bracket.", "Put a comma before it.")
        return Value(text[begins:end], tuple(items)), end + 1
    items = []
    while True:
        item, place = _item(text, place, _BARE)
        items.append(item)
        if place >= len(text) or _is_next(text, place + 1):
            return Value(text[begins:place], tuple(items)), place + 1
        place += 1


def _list(text: str, place: int) -> tuple[list[Item], int]:
    items = []
    while True:
        item, place = _item(text, place, _LISTED)
        if item.quoted or item.text:
            items.append(item)
        if place >= len(text):
            raise Slip("The bracket that opens a list is not closed.", "Put ] behind it.")
        if text[place] == "]":
            return items, place + 1
        place += 1


def _item(text: str, place: int, bare: re.Pattern[str]) -> tuple[Item, int]:
    quoted = _QUOTED.match(text, _end(_SPACE, text, place))
    if not quoted:
        end = _end(bare, text, place)
        return Item(text[place:end].strip(), "", False), end
    end = _end(bare, text, quoted.end())
    try:
        said = json.loads(quoted[0], strict=False)
    except ValueError:
        raise Slip(
            f"{shown(quoted[0])} is not text as JSON writes it.", "Write \\ as \\\\."
        ) from None
    return Item(said, text[quoted.end() : end].strip(), True), end


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def _is_next(text: str, place: int) -> bool:
    """A name with a colon; without a space behind it only one that is known."""
    match = _NEXT.match(text, place)
    return match is not None and (match["space"] is not None or bool(field_of(match["name"])))


def _following(text: str, place: int) -> int:
    """Where the next setting begins behind one that cannot be read."""
    while (comma := text.find(",", place)) >= 0:
        if _is_next(text, comma + 1):
            return comma + 1
        place = comma + 1
    return len(text)


def _look_alikes(text: str, line: int, column: int, sheet: Sheet) -> None:
    """What was surely meant as settings is refused, what may have been is said."""
    for name, at in _meant(text):
        sheet.say(
            line,
            column + at,
            f"{name} is a setting, but these are not read as settings.",
            "They stand in braces at the end of the line: {seed: 7, size: portrait}.",
        )
        return
    for spoken in _SPOKEN.finditer(text):
        if field_of(spoken["name"]) and spoken["name"] not in ("text", "file", "images", "not"):
            sheet.note(
                line,
                column + spoken.start(),
                f"{spoken['name']}: stands in the prompt and is painted as words.",
                "Put it in braces to make it a setting: {seed: 7}.",
            )
            return


def _meant(text: str) -> Iterator[tuple[str, int]]:
    for opens in _OPENS.finditer(text):
        inside = _INSIDE.match(text, opens.end())
        if inside and field_of(inside["name"]) and not inside["choice"]:
            yield inside["name"], opens.start()
    for pattern in (_FORGOTTEN, _ROUND):
        found = pattern.search(text)
        if found and field_of(found["name"]):
            yield found["name"], found.start()
