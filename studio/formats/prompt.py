"""Prompt syntax, A1111's and compel's: weights, escapes, `BREAK`, blends with `AND`, LoRA tags.

A1111: `(word:1.2)`, `((word))`, `[word]`, `a AND b:0.5`, `<lora:name:0.8>`. compel: `(word)1.2`,
`(word)++`, `word--`, `("a", "b").blend(1, 0.5)`, `("a", "b").and()`.
Two passes without recursion, linear in the length of the text whatever the brackets. Pure: it knows
neither tokens nor models.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

UP, DOWN = 1.1, 1 / 1.1  # as A1111 has it
MINUS = 0.9  # as compel has it
MOST = 10.0  # a weight beyond this, either way, is a slip of the keyboard


@dataclass(frozen=True, slots=True)
class Fragment:
    text: str
    weight: float


Chunk = tuple[Fragment, ...]
_Piece = tuple[str, float]


class Blend(NamedTuple):
    """One of the prompts that are mixed, and how much it counts among them."""

    share: float
    chunks: tuple[Chunk, ...]


def blends(text: str) -> tuple[Blend, ...]:
    """The prompts between AND: mostly one. Shares are as they are written; 0 is no share."""
    parts = _AND.split(_from_compel(text))
    found = [_blend(part, shared=len(parts) > 1) for part in parts]
    return tuple(one for one in found if one.chunks != ((),)) or (Blend(1.0, ((),)),)


def parse(text: str) -> tuple[Chunk, ...]:
    """Chunks (the text is cut at each BREAK and AND) of fragments; there is at least one.

    A weight that is not finite, or beyond ±10, counts as 1; `inert_syntax` says so.
    """
    return tuple(chunk for blend in blends(text) for chunk in blend.chunks)


def take_loras(text: str) -> tuple[str, list[tuple[str, float]]]:
    """The text without tags such as <lora:name:0.8>, and what they name. A tag whose weight is no
    number stays where it is."""
    found: list[tuple[str, float]] = []

    def take(match: re.Match[str]) -> str:
        weight = match["weight"]
        if weight and not _SIGNED.fullmatch(weight):
            return match.group()
        found.append((match["name"].strip(), float(weight or 1)))
        return ""

    return _LORA.sub(take, text), found


def _blend(part: str, shared: bool) -> Blend:
    share, ending = 1.0, _SHARE.search(part) if shared else None
    if ending:
        part, share = part[: ending.start()], float(ending["share"])
    chunks = [_joined(chunk) for chunk in _weighted(part)]
    return Blend(share, tuple(chunk for chunk in chunks if chunk) or ((),))


def _from_compel(text: str) -> str:
    """`("a", "b").and()` and `.blend(…)` in the words of A1111."""
    whole = _CONJUNCTION.fullmatch(text)
    if not whole:
        return text
    parts = _QUOTED.findall(whole["parts"])
    numbers = [float(number) for number in _SIGNED.findall(whole["numbers"])]
    numbers += [1.0] * (len(parts) - len(numbers))
    if whole["how"] == "blend":
        return " AND ".join(
            f"{part} :{number}" for part, number in zip(parts, numbers, strict=False)
        )
    return " BREAK ".join(
        part if number == 1 else f"({part}:{number})"
        for part, number in zip(parts, numbers, strict=False)
    )


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
    parts = _AND.split(_from_compel(text))
    pieces = [piece for part in parts for chunk in _weighted(part) for piece in chunk]
    if weighting:
        sentences += _slips(pieces)
        return sentences
    if len(parts) > 1:
        sentences.append("Blends with AND have no effect: this model reads it as a word.")
    if any(weight != 1 for _, weight in pieces):
        sentences.append(
            "Weights such as (word:1.2), ((word)) or [word] have no effect: this model has none."
        )
    return sentences


_ESCAPED = re.compile(r"\\[()\[\]\\]")
_SQUARE = re.compile(r"\[([^\[\]]*+)\]")
# Possessive everywhere: a pattern that fails must not try again with less.
_DIGITS = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_CLOSING = rf"\s*+[+-]?{_DIGITS}\s*+\)"
_END = r"(?=[\s,.;:!?)\]]|$)"  # of a word
_NUMBER = re.compile(rf"\s*+{_DIGITS}\s*+")
_TOKEN = re.compile(
    rf"""
      \\(?P<escaped>[()\[\]\\])
    | :(?P<number>{_CLOSING})
    | \)(?P<after>\++{_END} | -+{_END} | {_DIGITS}(?![\w.]))
    | (?P<bracket>[()\[\]])
    | (?P<break>\bBREAK\b)
    | (?:[^\\()\[\]:B] | \\(?![()\[\]\\]) | :(?!{_CLOSING}) | B(?!REAK\b))++
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENS = {")": "(", "]": "["}
_MARKED = re.compile(rf"(?<![\w+-])(?P<word>\w++)(?P<marks>\+\++|--+){_END}")
_AND = re.compile(r"(?<=\s)AND(?=\s|$)")
_SHARE = re.compile(rf":\s*+(?P<share>[+-]?{_DIGITS})\s*+$")
_SIGNED = re.compile(rf"\s*+[+-]?{_DIGITS}\s*+")
_LORA = re.compile(r"<lora:(?P<name>[^<>:]++)(?::(?P<weight>[^<>:]*+))?+>", re.IGNORECASE)
_QUOTED = re.compile(r'"([^"]*+)"')
_CONJUNCTION = re.compile(
    r'\s*+\((?P<parts>\s*+"[^"]*+"\s*+(?:,\s*+"[^"]*+"\s*+)*+)\)\s*+'
    r"\.(?P<how>and|blend)\((?P<numbers>[\d\s.,+-]*+)\)\s*+"
)
_INERT = (
    (
        re.compile(r"<(?:lora|lyco|hypernet):[^<>]*+>", re.IGNORECASE),
        "This tag loads nothing and is painted as plain text; <lora:name:0.8> in the prompt does.",
    ),
    (
        re.compile(r"\{[^{}|]*+\|[^{}]*+\}"),
        "Choices such as {a|b} are not made in this version; they are painted as plain text.",
    ),
    (
        re.compile(r"__[^\s_]++(?:_[^\s_]++)*+__"),
        "Wildcards such as __name__ are not filled in yet; they are painted as plain text.",
    ),
)


def _weighted(text: str) -> Iterator[list[_Piece]]:
    """The second pass: each piece of text with the product of the brackets around it."""
    pieces, times = _pieces(text)
    products = {"(": [1.0], "[": [1.0]}
    chunk: list[_Piece] = []
    for place, (kind, word) in enumerate(pieces):
        if kind == "text":
            weight = products["("][-1] * products["["][-1]
            if "++" in word or "--" in word:
                chunk += [(text, weight * times) for text, times in _marked(word)]
            else:
                chunk.append((word, weight))
        elif kind == "break":
            yield chunk
            chunk = []
        elif kind in products:
            products[kind].append(products[kind][-1] * times[place])
        else:
            products[_OPENS[kind]].pop()
    yield chunk


def _marked(text: str) -> Iterator[_Piece]:
    """Words with at least two + or - behind them, apart from the text around them."""
    place = 0
    for match in _MARKED.finditer(text):
        yield text[place : match.start()], 1.0
        yield match["word"], _times(match["marks"])
        place = match.end()
    yield text[place:], 1.0


def _times(written: str) -> float:
    if written[0] in "+-":
        return float((UP if written[0] == "+" else MINUS) ** len(written))
    return float(written)


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
        elif kind == "after" and opened["("]:
            times[opened["("].pop()] = _times(match["after"])
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
