"""Which form a bulk file has, and its pictures with all there is to remark.

By the ending of its name; what is pasted is recognised, and it is said as what.
"""

import json
import re
from pathlib import PurePath
from typing import Literal, get_args

from studio.errors import Refused
from studio.formats.bulk.fields import field_of
from studio.formats.bulk.markdown import FENCE, HEADING, ITEM, read_markdown
from studio.formats.bulk.rows import read_csv, read_json_lines, read_lines
from studio.formats.bulk.sheet import Sheet

Form = Literal["markdown", "csv", "jsonl", "lines"]
ENDINGS: dict[str, Form] = {
    **dict.fromkeys((".md", ".markdown", ".mdown"), "markdown"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    ".txt": "lines",
}
MOST_BYTES = 16 * 2**20
MOST_LINES = 200_000
NUL = re.compile("[\x00\ud800-\udfff]")
WHY = {
    "markdown": "it has list items, tables, blocks or headings",
    "csv": "its first line names columns",
    "jsonl": "its first line is an object",
    "lines": "it has no mark of another form: a prompt a line",
}


def decode(data: bytes) -> str:
    """As text, or a refusal that says where it is none."""
    if len(data) > MOST_BYTES:
        raise Refused(
            f"file: it has {len(data) / 2**20:.1f} MB; the most is {MOST_BYTES / 2**20:.0f}. "
            "Cut it into several.",
            field="file",
        )
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as Windows saves "Unicode"
    coding = "utf-16" if wide else "utf-8-sig"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(
            f"file: line {line} is no text in {coding.removesuffix('-sig').upper()}. Save the "
            "file as UTF-8.",
            field="file",
        ) from None


def read(text: str, name: str = "", form: str | None = None) -> Sheet:
    if form is not None and form not in get_args(Form):
        offered = ", ".join(get_args(Form))
        raise Refused(f"form: {form[:40]!r} is not one of {offered}.", field="form")
    if len(text) > MOST_BYTES:
        raise Refused(
            f"text: {len(text)} letters are too many; the most is {MOST_BYTES}.", field="text"
        )
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if len(lines) > MOST_LINES:
        raise Refused(
            f"text: {len(lines)} lines are too many; the most is {MOST_LINES}.", field="text"
        )
    ending = ENDINGS.get(PurePath(name).suffix.lower())
    if form or ending:
        sheet = Sheet(form or ending or "", "as was asked" if form else f"by its name, {name}")
    else:
        found = recognise(lines)
        sheet = Sheet(found, WHY[found])
    for number, line in enumerate(lines, 1):
        if odd := NUL.search(line):
            sheet.say(
                number, odd.start() + 1, "This is a character that no text has.", "Remove it."
            )
    _read(sheet, lines)
    if not (sheet.entries or sheet.ticked or any(one.stops for one in sheet.remarks)):
        sheet.say(1, 1, "There is no picture in this file.", "Write one a line: - a red car")
    sheet.remarks.sort(key=lambda one: (one.line, one.column, not one.stops))
    return sheet


def _read(sheet: Sheet, lines: list[str]) -> None:
    match sheet.form:
        case "markdown":
            read_markdown(lines, sheet)
        case "csv":
            read_csv(lines, separator(next((one for one in lines if one.strip()), "")), sheet)
        case "jsonl":
            read_json_lines(lines, sheet)
        case _:
            read_lines(lines, sheet)


def recognise(lines: list[str]) -> Form:
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{") and _is_object(first):
        return "jsonl"
    if first.lstrip().startswith("--") and first.strip() != "---":
        return "lines"
    sign = separator(first)
    names = [name.strip().strip('"') for name in first.split(sign)]
    if len(names) > 1 and not first.lstrip().startswith("|") and all(map(field_of, names)):
        return "csv"
    if first.rstrip() == "---":
        return "markdown"
    marks = (ITEM, HEADING, FENCE)
    if any(pattern.match(line) for line in lines for pattern in marks):
        return "markdown"
    return "markdown" if any(line.lstrip().startswith("|") for line in lines) else "lines"


def separator(first: str) -> str:
    """Of a CSV, by its first line."""
    return max(",", ";", "\t", key=first.count)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
