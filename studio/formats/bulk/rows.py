"""Bulk files of rows: CSV, JSON lines, tables, and the lines of A1111's "prompts from file".

In each a row is a picture; the names of its columns are those of settings.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence

from studio.formats.bulk.fields import (
    Item,
    Slip,
    Value,
    field_of,
    settings_of,
    settings_of_json,
    unknown,
)
from studio.formats.bulk.settings import once, read_settings, split
from studio.formats.bulk.sheet import Setting, Sheet, shown
from studio.formats.spoken import counted

Column = str | None  # its name; None for one that is not known
Cell = tuple[str, int]  # its text, and the column of the line where it begins
A1111_COUNTS = ("batch_size", "n_iter")
_OPTION = re.compile(r"(?<!\S)--(?P<name>[\w-]+)")
_WORD = re.compile(r"""\s*+((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*+"|'[^']*+')++)""", re.S)
_FIELD = re.compile(r'"((?:[^"]|"")*+)"')


def head_of(cells: Sequence[Cell], line: int, sheet: Sheet) -> list[Column]:
    """The names of the columns; none if no row can be read."""
    columns: list[Column] = []
    for name, at in cells:
        if field_of(name) is None:
            slip = unknown(name)
            sheet.say(line, at, str(slip), slip.hint)
            columns.append(None)
        elif name in columns:
            sheet.say(line, at, f"There are two columns {shown(name)}.", "Leave one out.")
            columns.append(None)
        else:
            columns.append(name)
    if not any(field_of(name) == "prompt" for name in columns if name):
        sheet.say(line, 1, "No column is called prompt.", "Name the one that says what to paint.")
        return []
    return columns


def row_settings(
    cells: Sequence[Cell], columns: Sequence[Column], line: int, sheet: Sheet
) -> list[Setting] | None:
    """What a row says; an empty cell says nothing."""
    if not columns:
        return None
    if len(cells) != len(columns):
        has = f"This row has {counted(len(cells), 'cell')}"
        sheet.say(line, 1, f"{has}; the head has {len(columns)}.", "Leave none out.")
        return None
    found: list[Setting] = []
    for name, (text, at) in zip(columns, cells, strict=True):
        if not name or not text:
            continue
        if field_of(name) == "prompt":
            words, more = split(text, line, at, sheet)
            found += [Setting("prompt", words, line, at), *more]
        else:
            found += _cell(name, text, line, at, sheet)
    return once(found, sheet)


def read_csv(lines: Sequence[str], separator: str, sheet: Sheet) -> None:
    rows = _csv_rows(lines, separator, sheet)
    first = next(rows, None)
    if first is None:
        return
    columns = head_of(first[1], first[0], sheet)
    for line, cells in rows:
        own = row_settings(cells, columns, line, sheet)
        if own is not None:
            sheet.add(line, cells[0][1], (), [own])


def read_json_lines(lines: Sequence[str], sheet: Sheet) -> None:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            said = json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            sheet.say(line, 1, "This line is nested too deeply.")
            continue
        except ValueError as error:
            at = error.colno if isinstance(error, json.JSONDecodeError) else 1
            sheet.say(line, at, f"This line is not JSON: {_words(error)}.", "One object a line.")
            continue
        if not isinstance(said, dict):
            sheet.say(line, 1, "This line is no object.", 'Write {"prompt": "..."}.')
            continue
        found: list[Setting] = []
        for name, value in said.items():
            at = max(text.find(json.dumps(name, ensure_ascii=False)), 0) + 1
            try:
                found += settings_of_json(name, value, line, at)
            except Slip as slip:
                sheet.say(line, at, str(slip), slip.hint)
        sheet.add(line, 1, (), [once(found, sheet)])


def read_lines(lines: Sequence[str], sheet: Sheet) -> None:
    """A prompt a line, or its options as A1111 has them."""
    for line, text in enumerate(lines, 1):
        stripped = text.strip()
        if not stripped:
            continue
        column = text.index(stripped) + 1
        if stripped.startswith("#"):
            sheet.note(line, column, f"Not read, so not painted: the comment {shown(stripped)}.")
        elif stripped.startswith("--"):
            sheet.add(line, column, (), [line_settings(stripped, line, column, sheet)])
        else:
            words, own = split(stripped, line, column, sheet)
            prompt = [Setting("prompt", words, line, column)] if words else []
            sheet.add(line, column, (), [once([*prompt, *own], sheet)])


def line_settings(text: str, line: int, column: int, sheet: Sheet) -> list[Setting]:
    """`--prompt "a red car" --steps 20 --cfg_scale 7`, quoted as in a shell."""
    found: list[Setting] = []
    counts = [Setting("count", 1, line, column)]
    place = 0
    while place < len(text):
        option = _OPTION.match(text, place)
        if not option:
            sentence = f"{shown(text[place:])} is no option."
            sheet.say(
                line, column + place, sentence, 'Write --name value; quote what has spaces: "a b".'
            )
            return once(found, sheet)
        at = column + option.start()
        word = _WORD.match(text, option.end())
        try:
            if not word and text[option.end() :].strip():  # nothing but quotes keeps it from one
                raise ValueError("No closing quotation")
            value = "".join(shlex.split(word[1])) if word else ""
            if not word or word[1].startswith("--"):
                raise Slip(f"--{option['name']} has no value.", "Write it behind the name.")
            place = word.end()
            said = _option(option["name"], value, line, at)
            (counts if said[0].field == "count" else found).extend(said)
        except (Slip, ValueError) as error:
            hint = error.hint if isinstance(error, Slip) else "Close the quotes."
            sheet.say(line, at, f"{_words(error)}.", hint)
            if not isinstance(error, Slip):
                break
            place = max(place, option.end())
        following = _OPTION.search(text, place)
        rest = text[place : following.start() if following else len(text)]
        place = place + len(rest) if not rest.strip() else place + len(rest) - len(rest.lstrip())
    if len(counts) > 1:
        times = 1
        for one in counts:
            times *= one.value if isinstance(one.value, int) else 1
        found.append(Setting("count", times, line, counts[-1].column))
    return once(found, sheet)


def _option(name: str, value: str, line: int, at: int) -> list[Setting]:
    if name in A1111_COUNTS:
        name = "count"
    return settings_of(name.replace("-", "_"), _value(value, name), line, at)


def _cell(name: str, text: str, line: int, at: int, sheet: Sheet) -> list[Setting]:
    """Read as behind the name and a colon, so that lists may stand in it."""
    shift = len(name) + 2
    if field_of(name) in ("loras", "references", "tags", "upload_urls"):
        return read_settings(f"{name}: {text}", line, at - shift, sheet)
    try:
        return settings_of(name, _value(text, name), line, at)
    except Slip as slip:
        sheet.say(line, at, str(slip), slip.hint)
        return []


def _value(text: str, name: str) -> Value:
    return Value(text, (Item(text, "", quoted=False),))


def _csv_rows(
    lines: Sequence[str], separator: str, sheet: Sheet
) -> Iterator[tuple[int, list[Cell]]]:
    """The line each row begins on, and its cells. Quotes may hold separators and new lines."""
    number = 0
    while number < len(lines):
        line, text = number + 1, lines[number]
        while text.count('"') % 2 and number + 1 < len(lines):
            number += 1
            text += "\n" + lines[number]
        number += 1
        if not text.strip():
            continue
        if text.count('"') % 2:
            at = text.rindex('"', 0, text.find("\n") if "\n" in text else None) + 1
            sheet.say(line, at, "The quotes that open here are not closed.", 'Write "" for one.')
            return
        cells = []
        begin = 0
        while begin <= len(text):
            quoted = _FIELD.match(text, begin)
            end = text.find(separator, quoted.end() if quoted else begin)
            end = len(text) if end < 0 else end
            if quoted and not text[quoted.end() : end].strip():
                cells.append((quoted[1].replace('""', '"'), begin + 2))
            else:
                words = text[begin:end].strip()
                cells.append((words, text.find(words, begin) + 1))
            begin = end + 1
        yield line, cells


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _words(error: Exception) -> str:
    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return said.rstrip(".") if isinstance(error, Slip) else said[:1].upper() + said[1:].rstrip(".")
