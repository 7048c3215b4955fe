"""The marks by which other tools weigh words, written in ours where they mean something else.

ComfyUI replaces the outer weight by an inner one, compel has `word+` and `(words)1.3`, NovelAI
`{word}` and `1.3::words::`; what is no mark there may be one here. A text that both read alike
stays as it is. Linear in the length of the text; it never recurses.
"""

import re
from collections.abc import Callable, Iterable

from studio.formats.prompt import MINUS, MOST, UP, blends
from studio.request import MAX_PROMPT

Fragments = list[tuple[str, float]]
Grammar = Callable[[str], Fragments]
BRACE = 1.05  # of NovelAI
_NUMBER = re.compile(r"\s*[+-]?(?:\d{1,8}(?:\.\d{0,8})?|\.\d{1,8})\s*")
_BEHIND = re.compile(r"\++|-+|\d{0,8}\.?\d{1,8}(?![\w.])")
_WORD = re.compile(
    r"(?P<word>[^\s()+\-\\,]+(?:[+-]+[^\s()+\-\\,]+)*)(?P<marks>\++|-+)(?=[\s,.)]|$)"
)
_NOVELAI = re.compile(r"(?P<weight>-?\d{1,4}(?:\.\d{1,4})?)::|(?P<end>::)|(?P<brace>[{}\[\]])")
_OURS = re.compile(r"[()\[\]]|\\(?=[()\[\]\\+-])|(?<=\w\w)(?:\+\+|--)")
_WORDS = re.compile(r"(?<=\s)AND(?=\s|$)|\bBREAK\b")


def translated(text: str, grammar: Grammar) -> str:
    """The same in our marks. What is too long for a prompt stays as it is."""
    if len(text) > MAX_PROMPT:
        return text
    theirs = [(piece, weight) for piece, weight in _merged(grammar(text)) if piece.strip()]
    parts = blends(text)
    if len(parts) == 1 and len(parts[0].chunks) == 1:
        ours = [(one.text, round(one.weight, 4)) for one in parts[0].chunks[0]]
        if ours == theirs:
            return text
    return _written(_merged(grammar(text)))


def comfy(text: str) -> Fragments:
    """`(a:1.3)` is 1.3 wherever it stands; `(a)` is 1.1 times what is around it."""
    closing = _pairs(text)
    weights, found, place = [1.0], Fragments(), 0
    ends: list[tuple[int, int]] = []  # where the text in a bracket ends, and the bracket
    while place < len(text):
        if ends and place == ends[-1][0]:
            place = ends.pop()[1] + 1
            weights.pop()
        elif place in closing:
            close = closing[place]
            colon = text.rfind(":", max(place + 2, close - 24), close)
            explicit = colon > 0 and _NUMBER.fullmatch(text, colon + 1, close)
            weight = float(text[colon + 1 : close]) if explicit else weights[-1] * UP
            weights.append(weight)
            ends.append((colon if explicit else close, close))
            place += 1
        else:
            step = 2 if text[place : place + 2] in ("\\(", "\\)") else 1
            found.append((text[place + step - 1], weights[-1]))
            place += step
    return found


def compel(text: str) -> Fragments:
    """`word+`, `word--`, `(words)+`, `(words)1.3`; brackets alone weigh nothing."""
    closing = _pairs(text)
    opening = {close: begin for begin, close in closing.items()}
    weights, found, place = [1.0], Fragments(), 0
    while place < len(text):
        if place in closing:
            behind = _BEHIND.match(text, closing[place] + 1)
            weights.append(weights[-1] * (_marks(behind[0]) if behind else 1.0))
            place += 1
        elif place in opening:
            weights.pop()
            behind = _BEHIND.match(text, place + 1)
            place = behind.end() if behind else place + 1
        elif text[place : place + 2] in ("\\(", "\\)"):
            found.append((text[place + 1], weights[-1]))
            place += 2
        elif (place == 0 or text[place - 1] in " \n\t,(") and (word := _WORD.match(text, place)):
            found.append((word["word"], weights[-1] * _marks(word["marks"])))
            place = word.end()
        else:
            found.append((text[place], weights[-1]))
            place += 1
    return found


def novelai(text: str) -> Fragments:
    """`{word}`, `[word]`, and `1.3::words::`. Round brackets are text."""
    found, place, depth, number = Fragments(), 0, 0, 1.0
    for mark in _NOVELAI.finditer(text):
        found.append((text[place : mark.start()], number * BRACE**depth))
        place = mark.end()
        if mark["brace"]:
            depth += 1 if mark["brace"] in "{]" else -1
            depth = max(-40, min(40, depth))
        else:
            number = float(mark["weight"]) if mark["weight"] else 1.0
    return [*found, (text[place:], number * BRACE**depth)]


def plain(text: str) -> Fragments:
    """No marks at all."""
    return [(text, 1.0)]


def _pairs(text: str) -> dict[int, int]:
    """Where each round bracket that has a partner is closed."""
    waiting, found = list[int](), dict[int, int]()
    for mark in re.finditer(r"\\.|[()]", text, re.DOTALL):
        if mark[0] == "(":
            waiting.append(mark.start())
        elif mark[0] == ")" and waiting:
            found[waiting.pop()] = mark.start()
    return found


def _marks(marks: str) -> float:
    if marks[0] in "+-":
        return float((UP if marks[0] == "+" else MINUS) ** min(len(marks), 40))
    return float(marks)


def _merged(pieces: Iterable[tuple[str, float]]) -> Fragments:
    """Neighbours of one weight as one. What is no weight here counts as 1, as it does in ours."""
    alike: list[tuple[list[str], float]] = []
    for text, written in pieces:
        weight = round(written, 4) if -MOST <= written <= MOST else 1.0
        if alike and alike[-1][1] == weight:
            alike[-1][0].append(text)
        else:
            alike.append(([text], weight))
    return [("".join(texts), weight) for texts, weight in alike]


def _written(fragments: Fragments) -> str:
    parts = [
        f"({_escaped(text)}:{weight:g})" if weight != 1 and text.strip() else _escaped(text)
        for text, weight in fragments
    ]
    # A backslash at the end of one would take away the bracket that begins the next.
    ends = (part + " " if part.endswith("\\") else part for part in parts[:-1])
    return "".join([*ends, *parts[-1:]])


def _escaped(text: str) -> str:
    """What would be a mark of ours keeps its letters: a backslash in front of it, or small ones."""
    quiet = _WORDS.sub(lambda word: word[0].lower(), text)
    return _OURS.sub(lambda mark: "".join(f"\\{letter}" for letter in mark[0]), quiet)
