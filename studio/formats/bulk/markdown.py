"""Bulk Markdown: list items, rows of tables and fenced blocks are pictures, headings are groups.

Text is taken as it stands: no mark inside a prompt is Markdown's. What is neither picture nor
setting is said to be left unread; comments and rules are meant to be.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from studio.formats.bulk.ahead import Ahead, Line
from studio.formats.bulk.fields import Slip, group_of
from studio.formats.bulk.rows import Column, head_of, line_settings, row_settings
from studio.formats.bulk.settings import once, read_settings, split
from studio.formats.bulk.sheet import SHOWN, Setting, Sheet, shown

FENCE = re.compile(r"(?P<indent>\s*)(?P<marks>`{3,}|~{3,})(?P<info>.*)")
HEADING = re.compile(r" {0,3}(?P<marks>#{1,6})(?:[ \t]+(?P<words>.*))?$")
RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
ITEM = re.compile(r"(?P<indent>\s*)(?P<mark>[-*+]|\d{1,9}[.)])(?:[ \t]+(?P<words>.*))?$")
DASHES = re.compile(r"(?=[^-]*-)\s*+\|?(?:\s*+:?-++:?\s*+\|)*+(?:\s*+:?-++:?)?\s*$")
CELL = re.compile(r"(?:[^|\\]|\\.)*+")
TICK = re.compile(r"\[(?P<done>[ xX])\](?:[ \t]+|$)")
BLOCKS = ("", "prompt", "text", "txt", "picture")


@dataclass(slots=True)
class Open:
    """A list item that may still be continued."""

    line: int
    column: int
    indent: int
    pieces: list[tuple[int, int, str]]  # line, column, text
    below: list[Setting] = field(default_factory=list)


@dataclass(slots=True)
class Reader:
    """Where one stands in the file."""

    sheet: Sheet
    head: list[Setting] = field(default_factory=list)
    headings: list[tuple[int, str, list[Setting]]] = field(default_factory=list)
    item: Open | None = None
    prose: tuple[int, int, str] | None = None  # a paragraph that was not read

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(words for _, words, _ in self.headings if words))

    def add(self, line: int, column: int, own: Sequence[Setting]) -> None:
        levels = [self.head, *(settings for _, _, settings in self.headings), own]
        self.sheet.add(line, column, self.groups, levels)

    def close(self) -> None:
        """Ends what was open: an item becomes a picture, prose a remark."""
        if self.prose:
            line, column, text = self.prose
            hint = "Begin the line with - to make it a picture."
            self.sheet.note(line, column, f"Not read, so not painted: {shown(text)}.", hint)
            self.prose = None
        if self.item:
            item, self.item = self.item, None
            self._picture(item)

    def _picture(self, item: Open) -> None:
        *before, (line, column, last) = item.pieces
        if not before and last.startswith("--"):
            own = line_settings(last, line, column, self.sheet)
        else:
            end, own = split(last, line, column, self.sheet)
            for number, at, text in before:
                split(text, number, at, self.sheet)
            words = " ".join(text for text in (*(one for _, _, one in before), end) if text)
            if words:
                own = [Setting("prompt", words, item.line, item.column), *own]
        self.add(item.line, item.column, once([*own, *item.below], self.sheet))

    def heading(self, line: int, column: int, level: int, words: str) -> None:
        self.close()
        name, settings = split(words, line, column, self.sheet)
        try:
            name = group_of(name)
        except Slip as slip:
            self.sheet.say(line, column, str(slip), slip.hint)
            name = ""
        self.headings = [one for one in self.headings if one[0] < level]
        self.headings.append((level, name, settings))


def read_markdown(lines: Sequence[str], sheet: Sheet) -> None:
    here = Reader(sheet)
    numbered = iter(list(enumerate(lines, 1)))
    left = _head(numbered, lines, here)
    coming = Ahead(left)
    for number, text in coming:
        _one_line(here, number, text, coming)
    here.close()
    if coming.comment:
        sheet.say(*coming.comment, "The comment that begins here has no end.", "Close it: -->")


def _head(numbered: Iterator[Line], lines: Sequence[str], here: Reader) -> Iterator[Line]:
    """Front matter: between two lines of --- at the very beginning."""
    if not lines or lines[0].rstrip() != "---":
        return numbered
    ends = next((n for n, text in enumerate(lines[1:], 1) if text.rstrip() in ("---", "...")), None)
    if ends is None:
        here.sheet.say(1, 1, "The head of the file, which begins here, has no end.", "Close: ---")
        ends = len(lines) - 1
    found: list[Setting] = []
    rest = list(enumerate(lines[1:ends], 2))
    while rest:
        number, text = rest.pop(0)
        bare = _uncommented(text)
        if not bare.strip():
            continue
        listed = []
        while bare.rstrip().endswith(":") and rest and (one := ITEM.match(rest[0][1])):
            listed.append(_uncommented(one["words"] or "").strip())
            rest.pop(0)
        indent = len(bare) - len(bare.lstrip())
        words = f"{bare.strip()} [{', '.join(listed)}]" if listed else bare.strip()
        found += read_settings(words, number, indent + 1, here.sheet)
    here.head = once(found, here.sheet)
    for _ in range(ends + 1):
        next(numbered, None)
    return numbered


def _uncommented(text: str) -> str:
    """Without # and what follows, outside quotes."""
    if text.lstrip().startswith("#"):
        return ""
    if " #" not in text:
        return text
    found = re.match(r'(?:"(?:[^"\\]|\\.)*+"|(?!\s#).)*+', text)
    return found[0] if found else text


def _one_line(here: Reader, number: int, text: str, coming: Ahead) -> None:
    indent = len(text.expandtabs(4)) - len(text.expandtabs(4).lstrip())
    stripped = text.strip()
    if not stripped:
        if here.prose:
            here.close()
        return
    column = text.index(stripped) + 1
    if fence := FENCE.fullmatch(text):
        here.close()
        _block(here, number, column, fence, coming)
    elif heading := HEADING.match(text):
        words = _unmarked(heading["words"] or "")
        here.heading(number, text.find(words) + 1, len(heading["marks"]), words)
    elif here.prose and UNDERLINE.match(text):
        line, at, words = here.prose
        here.prose = None
        here.heading(line, at, 1 if "=" in text else 2, words)
    elif RULE.match(text):
        here.close()
    elif item := ITEM.match(text):
        words = (item["words"] or "").strip()
        at = (text.rindex(words) if words else len(text)) + 1
        _item(here, number, at, indent, words)
    elif stripped.startswith("|"):
        here.close()
        _table(here, number, text, coming)
    elif here.item and indent >= here.item.indent + 2:
        here.item.pieces.append((number, column, stripped))
    else:
        _prose(here, number, column, stripped)


def _unmarked(words: str) -> str:
    """A heading without the marks that may close it."""
    words = words.rstrip(" \t")
    before = words.rstrip("#")
    return before.rstrip(" \t") if before[-1:] in (" ", "\t") else words


def _item(here: Reader, number: int, column: int, indent: int, words: str) -> None:
    if here.item and indent >= here.item.indent + 2:
        if words.startswith("{") and words.endswith("}"):
            words, column = words[1:-1], column + 1
        if not re.match(r"[A-Za-z][\w -]{0,40}:(?!:)", words):
            here.sheet.say(
                number,
                column,
                f"A list inside a list holds settings; {shown(words)} is none.",
                "Write name: value, or move it to the left to make it a picture.",
            )
            return
        here.item.below += read_settings(words, number, column, here.sheet)
        return
    here.close()
    if tick := TICK.match(words):
        if tick["done"] != " ":
            here.sheet.ticked += 1
            here.sheet.note(number, column, "Ticked off, so it is not painted.")
            return
        words, column = words[tick.end() :], column + tick.end()
    here.item = Open(number, column, indent, [(number, column, words)])


def _prose(here: Reader, number: int, column: int, text: str) -> None:
    if here.item:
        here.close()
        hint = "Indent it by two to make it part of the picture above."
        here.sheet.note(number, column, f"Not read, so not painted: {shown(text)}.", hint)
    elif here.prose:
        line, at, before = here.prose
        here.prose = (line, at, before if len(before) > SHOWN else f"{before} {text}")
    else:
        here.close()
        here.prose = (number, column, text)


def _block(here: Reader, number: int, column: int, fence: re.Match[str], coming: Ahead) -> None:
    """A fenced block is one prompt to the letter; settings stand behind its first marks."""
    marks, indent = fence["marks"], fence["indent"]
    said, own = split(fence["info"].strip(), number, column + len(marks), here.sheet)
    inside = []
    for _, text in coming.raw():
        bare = text.strip()
        if len(bare) >= len(marks) and not bare.strip(marks[0]):
            break
        inside.append(text.removeprefix(indent))
    else:
        sentence = "The block that begins here has no end."
        here.sheet.say(number, column, sentence, f"Close it: {marks}")
        return
    if said.lower() not in BLOCKS:
        sentence = f"Not read, so not painted: a block of {shown(said)}."
        here.sheet.note(number, column, sentence, "Write ```prompt to make it one.")
        return
    prompt = Setting("prompt", "\n".join(inside), number + 1, len(indent) + 1)
    here.add(number, column, once([prompt, *own], here.sheet))


def _table(here: Reader, number: int, text: str, coming: Ahead) -> None:
    """The line of names, the line of dashes, and then a picture a row."""
    if not DASHES.match(coming.peek()) or DASHES.match(text):
        here.sheet.say(
            number, 1, "This row stands in no table.", "A table begins with names, then | --- |."
        )
        return
    columns = head_of(_cells(text), number, here.sheet)
    rows = iter(coming)
    next(rows)
    while coming.peek().lstrip().startswith("|"):
        line, row = next(rows)
        cells = _cells(row)
        if row.strip():
            _row(here, line, columns, cells)


def _row(here: Reader, line: int, columns: list[Column], cells: list[tuple[str, int]]) -> None:
    own = row_settings(cells, columns, line, here.sheet)
    if own is not None:
        here.add(line, cells[0][1] if cells else 1, own)


def _cells(text: str) -> list[tuple[str, int]]:
    """What stands between the bars, and where. A bar in a cell is written as \\|."""
    found = []
    begin = text.index("|") + 1
    while begin <= len(text):
        cell = CELL.match(text, begin)
        end = cell.end() if cell else len(text)
        words = text[begin:end]
        if end >= len(text) and not words.strip():
            break
        found.append((words.strip().replace("\\|", "|"), text.find(words.strip(), begin) + 1))
        begin = end + 1
    return found
