"""A1111's text taken apart: prompt, negative prompt, and `Key: value` pairs of its last row.

Values may be JSON with commas in it, bare or quoted; rows may be followed by templates; a file that
went through other hands may have lost its line breaks. Nothing is interpreted here.
"""

import re
from dataclasses import dataclass

from studio.formats.foreign.notes import read_json

MOST_PAIRS = 400
LONGEST_ROW = 2**18
OPENS = ("{", "[", '"')
LEAST_PAIRS = 3  # fewer, and the row belongs to the prompt
NEGATIVE = "Negative prompt:"
BEHIND = ("Template:", "Negative Template:")  # what sd-dynamic-prompts writes below the row
_KEY = re.compile(r"[ \t]*(?P<key>\w[\w \-/+.()&]{0,60}?):[ \t]*")
_MARKS = re.compile(r'"(?:[^"\\]++|\\.?)*+(?P<closed>")?|[{}\[\]]')
_ROW = re.compile(r"(?:^|\s)(?=Steps: ?\d{1,4}, ?[\w \-/]{1,40}: )")
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Infotext:
    prompt: str
    negative: str
    pairs: Pairs
    behind: Pairs  # templates


def read_infotext(text: str) -> Infotext | None:
    """None where there is no row of settings."""
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    templates: dict[str, str] = {}  # of each kind the first
    while len(lines) > 1 and (begins := _begins(lines[-1])):
        templates[begins[:-1]] = lines.pop()[len(begins) :].strip()
    row = lines.pop()
    if len(lines) == 0:
        lines, row = _on_one_line(row)
    if row.startswith(NEGATIVE) and row[len(NEGATIVE) :].lstrip().startswith("Steps:"):
        lines, row = [*lines, NEGATIVE], row[len(NEGATIVE) :].lstrip()
    found = pairs(row)
    if len(found) < LEAST_PAIRS:
        return None
    at = next((n for n, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    below = "\n".join(lines[at:])[len(NEGATIVE) :]
    behind = [(kind, templates[kind]) for kind in reversed(templates)]
    return Infotext("\n".join(lines[:at]), below.removeprefix(" "), found, behind)


def pairs(row: str) -> Pairs:
    row, whole = row[:LONGEST_ROW], True
    found: Pairs = []
    place = 0
    while place < len(row) and len(found) < MOST_PAIRS:
        key = _KEY.match(row, place)
        if key is None:  # a bare word, as `Tiling` when it is on
            comma = _comma(row, place)
            word = row[place:comma].strip()
            found += [(word, word)] if 0 < len(word) <= 60 else []
            place = comma + 1
            continue
        begins = key.end()
        if whole and row[begins : begins + 1] in OPENS:
            closed = _closed(row, begins)
            whole = closed > begins  # where one is never closed, others need not be looked for
            ends = _comma(row, closed)
        else:
            ends = _comma(row, begins)
        found.append((key["key"].strip(), _unquoted(row[begins:ends].strip())))
        place = ends + 1
    return found


def _begins(line: str) -> str:
    return next((word for word in BEHIND if line.startswith(word)), "")


def _on_one_line(text: str) -> tuple[list[str], str]:
    row = _ROW.search(text)
    if row is None:
        return [], text
    above, below = text[: row.start()], text[row.end() :]
    prompt, mark, negative = above.partition(NEGATIVE)
    return [prompt.strip(), *([mark + negative] if mark else [])], below


def _closed(row: str, place: int) -> int:
    """Behind what closes the quote or the bracket here; here again if nothing does."""
    depth = 0
    for mark in _MARKS.finditer(row, place):
        if mark[0][0] == '"' and not mark["closed"]:
            break
        depth += mark[0] in "{["
        depth -= mark[0] in "}]"
        if depth <= 0:
            return mark.end()
    return place


def _comma(row: str, place: int) -> int:
    found = row.find(",", place)
    return len(row) if found < 0 else found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        text = read_json(value)
        return text if isinstance(text, str) else value[1:-1]
    return value
