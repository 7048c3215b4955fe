"""Prompt syntax as A1111 reads it: `(word:1.2)`, `((word))`, `[word]`, escapes and `BREAK`.

Two passes without recursion, linear in the length of the text whatever the brackets. Pure: it knows
neither tokens nor models.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

UP, DOWN = 1.1, 1 / 1.1
MOST = 10.0  # a weight beyond this, either way, is a slip of the keyboard


@dataclass(frozen=True, slots=True)
class Fragment:
    text: str
    weight: float


Chunk = tuple[Fragment, ...]
_Piece = tuple[str, float]


def parse(text: str) -> tuple[Chunk, ...]:
    """Chunks (the text is cut at each BREAK) of fragments. There is always at least one chunk.

    A weight that is not finite, or beyond ±10, counts as 1; `inert_syntax` says so.
    """
    chunks = [_joined(chunk) for chunk in _weighted(text)]
    return tuple(chunk for chunk in chunks if chunk) or ((),)


def inert_syntax(text: str, *, weighting: bool) -> list[str]:
    """One sentence for each kind of syntax in the text that will have no effect."""
    plain = _ESCAPED.sub(" ", text)
    sentences = [sentence for pattern, sentence in _INERT if pattern.search(plain)]
    squares = _SQUARE.findall(plain)
    if any(_NUMBER.fullmatch(inside.rpartition(":")[2]) for inside in squares if ":" in inside):
        sentences.append(
            "Schedules such as [from:to:when] are not done in this version; "
            "they are painted as plain text."
        )
    if any("|" in inside for inside in squares):
        sentences.append(
            "Alternation such as [a|b] is not done in this version; it is painted as plain text."
        )
    pieces = [piece for chunk in _weighted(text) for piece in chunk]
    if weighting:
        sentences += _slips(pieces)
    elif any(weight != 1 for _, weight in pieces):
        sentences.append(
            "Weights such as (word:1.2), ((word)) or [word] have no effect: this model has none."
        )
    return sentences


_ESCAPED = re.compile(r"\\[()\[\]\\]")
_SQUARE = re.compile(r"\[([^\[\]]*+)\]")
# Possessive everywhere: a pattern that fails must not try again with less.
_DIGITS = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_CLOSING = rf"\s*+[+-]?{_DIGITS}\s*+\)"
_NUMBER = re.compile(rf"\s*+{_DIGITS}\s*+")
_TOKEN = re.compile(
    rf"""
      \\(?P<escaped>[()\[\]\\])
    | :(?P<number>{_CLOSING})
    | (?P<bracket>[()\[\]])
    | (?P<break>\bBREAK\b)
    | (?:[^\\()\[\]:B] | \\(?![()\[\]\\]) | :(?!{_CLOSING}) | B(?!REAK\b))++
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENS = {")": "(", "]": "["}
_INERT = (
    (
        re.compile(r"<(?:lora|lyco|hypernet):[^<>]*+>", re.IGNORECASE),
        "Tags such as <lora:name:1> load nothing in this version; they are painted as plain text.",
    ),
    (
        re.compile(r"\{[^{}|]*+\|[^{}]*+\}"),
        "Choices such as {a|b} are not made in this version; they are painted as plain text.",
    ),
    (
        re.compile(r"__[^\s_]++(?:_[^\s_]++)*+__"),
        "Wildcards such as __name__ are not filled in yet; they are painted as plain text.",
    ),
    (
        re.compile(r"(?<=\s)AND(?=\s)"),
        "Blends with AND are not done in this version; AND is painted as a word.",
    ),
)


def _weighted(text: str) -> Iterator[list[_Piece]]:
    """The second pass: each piece of text with the product of the brackets around it."""
    pieces, times = _pieces(text)
    products = {"(": [1.0], "[": [1.0]}
    chunk: list[_Piece] = []
    for place, (kind, word) in enumerate(pieces):
        if kind == "text":
            chunk.append((word, products["("][-1] * products["["][-1]))
        elif kind == "break":
            yield chunk
            chunk = []
        elif kind in products:
            products[kind].append(products[kind][-1] * times[place])
        else:
            products[_OPENS[kind]].pop()
    yield chunk


def _pieces(text: str) -> tuple[list[tuple[str, str]], dict[int, float]]:
    """The first pass: text, brackets and breaks, and what each opening bracket multiplies by.

    Round and square brackets pair up apart from each other; one without a partner that closes is
    text, one that opens runs to the end.
    """
    pieces: list[tuple[str, str]] = []
    times: dict[int, float] = {}
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup, match.group()
        if kind == "number" and opened["("]:
            times[opened["("].pop()] = float(match["number"][:-1])
            pieces.append((")", ""))
        elif kind == "bracket" and word in opened:
            opened[word].append(len(pieces))
            times[len(pieces)] = UP if word == "(" else DOWN
            pieces.append((word, ""))
        elif kind == "bracket" and opened[_OPENS[word]]:
            opened[_OPENS[word]].pop()
            pieces.append((word, ""))
        elif kind == "break":
            pieces.append(("break", ""))
        else:
            pieces.append(("text", match["escaped"] or word))
    return pieces, times


def _joined(pieces: Iterable[_Piece]) -> Chunk:
    fragments = (
        Fragment("".join(text for text, _ in alike), weight)
        for weight, alike in groupby(pieces, lambda piece: piece[1] if _sound(piece[1]) else 1.0)
    )
    return tuple(fragment for fragment in fragments if fragment.text.strip())


def _sound(weight: float) -> bool:
    return math.isfinite(weight) and abs(weight) <= MOST


def _slips(pieces: Iterable[_Piece]) -> list[str]:
    for text, weight in pieces:
        if not _sound(weight):
            return [
                f"The weight {weight:.3g} of {text.strip()[:40]!r} is outside -10 to 10; "
                "it is painted with weight 1."
            ]
    return []
