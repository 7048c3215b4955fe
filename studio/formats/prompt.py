"""Prompt syntax, A1111's and compel's: weights, escapes, `BREAK`, blends with `AND`, LoRA tags.

A1111: `(word:1.2)`, `((word))`, `[word]`, `a AND b:0.5`, `<lora:name:0.8>`. compel: `(word)1.2`,
`(word)++`, `word--`, `("a", "b").blend(1, 0.5)`, `("a", "b").and()`; a number without a point, a
single mark, and marks behind a bare letter are text, as they mostly are meant: `C++`.
Two passes without recursion, linear in the length of the text whatever the brackets. Pure: it knows
neither tokens nor models.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

UP, DOWN = 1.1, 1 / 1.1  # as A1111 has it
MINUS = 0.9  # as compel has it
MOST_MARKS = 200  # by which a weight is out of bounds; thousands would leave what a float holds
MOST = 10.0  # a weight beyond this, either way, is a slip of the keyboard
NAMED, SHOWN = 3, 40  # marks that a sentence names, and letters of each


class Fragment(NamedTuple):
    text: str
    weight: float


Chunk = tuple[Fragment, ...]
_Piece = tuple[str, str, int]  # text, a bracket or a break; its words; where it begins
_Weighed = tuple[str, float]
_Times = dict[int, float]  # what the opening bracket at this place multiplies by


class Blend(NamedTuple):
    """One of the prompts that are mixed, and how much it counts among them."""

    share: float
    chunks: tuple[Chunk, ...]


@lru_cache(maxsize=64)  # a wish that is settled asks three times
def blends(text: str) -> tuple[Blend, ...]:
    """The prompts between AND: mostly one. One with no share, or less, is left out."""
    if not _SYNTAX.search(text) and text.strip():
        return (Blend(1.0, ((Fragment(text, 1.0),),)),)
    found = [
        Blend(share, tuple(chunk for chunk in map(_joined, _weighted(part)) if chunk) or ((),))
        for share, part in _shares(text)
    ]
    found = [one for one in found if one.chunks != ((),)] or [Blend(1.0, ((),))]
    heard = [one for one in found if one.share > 0]
    return tuple(heard or found[:1])


def parse(text: str) -> tuple[Chunk, ...]:
    """Chunks (the text is cut at each BREAK and AND) of fragments; there is at least one.

    A weight that is not finite, or beyond ±10, counts as 1; `inert_syntax` says so.
    """
    return tuple(chunk for blend in blends(text) for chunk in blend.chunks)


def unescaped(text: str) -> str:
    """For a model that knows no syntax: without the backslashes that A1111 and compel want."""
    return _ESCAPED.sub(lambda match: match.group()[1:], text)


def take_loras(text: str) -> tuple[str, list[tuple[str, tuple[float, ...]]]]:
    """The text without tags such as <lora:name:0.8>, and what they name. Of two weights the first
    is for text encoders, as A1111 has it. A tag whose weight is no number stays where it is."""
    found: list[tuple[str, tuple[float, ...]]] = []

    def take(match: re.Match[str]) -> str:
        weights = [weight.strip() for weight in match["weights"].split(":")[1:]]
        if any(weight and not _SIGNED.fullmatch(weight) for weight in weights):
            return match.group()
        found.append((match["name"].strip(), tuple(float(w or 1) for w in weights) or (1.0,)))
        return ""

    return _LORA.sub(take, text), found


def _shares(text: str) -> list[tuple[float, str]]:
    """The prompts that are mixed, each with what stands behind it as its share."""
    whole = _CONJUNCTION.fullmatch(text)
    if whole:
        parts = _QUOTED.findall(whole["parts"])
        numbers = [float(number) for number in _SIGNED.findall(whole["numbers"])]
        numbers = numbers[: len(parts)] + [1.0] * (len(parts) - len(numbers))
        if whole["how"] == "blend":
            return [(_sound_or_one(n), part) for n, part in zip(numbers, parts, strict=True)]
        weighted = (
            part if number == 1 else f"({part}:{number:f})"
            for number, part in zip(numbers, parts, strict=True)
        )
        return [(1.0, " BREAK ".join(weighted))]
    parts = _AND.split(text)
    if len(parts) == 1:
        return [(1.0, text)]
    ends = [(part, _SHARE.search(part)) for part in parts]
    return [
        (_sound_or_one(float(end["share"])), part[: end.start()]) if end else (1.0, part)
        for part, end in ends
    ]


def weighing(text: str) -> list[str]:
    """What weighs words in it, as it is written: outermost brackets, and words with marks."""
    if _CONJUNCTION.fullmatch(text):
        return [text.strip()]
    return _marks(text, _pieces(text)[0])


def _marks(text: str, pieces: Sequence[_Piece]) -> list[str]:
    found: list[str] = []
    depth = begins = 0
    ends = [*(begin for _, _, begin in pieces[1:]), len(text)]
    for (kind, word, begin), end in zip(pieces, ends, strict=False):
        if kind in _CLOSES:
            begins = begins if depth else begin
            depth += 1
        elif kind in _OPENS:
            depth -= 1
            found += [] if depth else [text[begins:end]]
        elif not depth and ("++" in word or "--" in word):
            found += [marked.group() for marked in _MARKED.finditer(word)]
    return [*found, text[begins:]] if depth else found


def inert_syntax(text: str, *, weighting: bool) -> list[str]:
    """One sentence for each kind of syntax in the text that will have no effect."""
    if not _SYNTAX.search(text):
        return []
    plain = _ESCAPED.sub(" ", text)
    sentences = [sentence for pattern, sentence in _INERT if pattern.search(plain)]
    squares = _SQUARE.findall(plain)
    painted = "painted as text, a little weaker" if weighting else "painted as plain text"
    if any(_NUMBER.fullmatch(inside.rpartition(":")[2]) for inside in squares if ":" in inside):
        sentences.append(
            "Schedules such as [from:to:when] are not done in this version; "
            f"what is in them is {painted}."
        )
    if any("|" in inside for inside in squares):
        sentences.append(
            f"Alternation such as [a|b] is not done in this version; what is in it is {painted}."
        )
    parts = _shares(text)
    if _CALLED.search(text) and not _CONJUNCTION.fullmatch(text):
        sentences.append(
            'compel\'s .and() and .blend() are read as ("a", "b").blend(0.7, 0.3) and nothing '
            "beside it; this is painted as plain text."
        )
    if weighting:
        if any(share <= 0 for share, _ in parts):
            sentences.append("A prompt that is mixed in with no share, or less, is left out.")
        return sentences + _slips(
            piece for _, part in parts for chunk in _weighted(part) for piece in chunk
        )
    if _CONJUNCTION.fullmatch(text):
        return [*sentences, f"This model reads no weights: {_as_they_stand([text.strip()])}."]
    if len(parts) > 1:
        sentences.append("Blends with AND have no effect: this model reads it as a word.")
    pieces, _ = _pieces(text)
    if any(kind == "break" for kind, _, _ in pieces):
        sentences.append("BREAK has no effect: this model reads it as a word.")
    if marks := _marks(text, pieces):
        sentences.append(f"This model reads no weights: {_as_they_stand(marks)}.")
    return sentences


_SYNTAX = re.compile(r"[()\[\]{}<\\]|__|\+\+|--|AND|BREAK")  # without any of it text is text
_ESCAPED = re.compile(r"\\[()\[\]\\+-]")
_SQUARE = re.compile(r"\[([^\[\]]*+)\]")
# Possessive everywhere: a pattern that fails must not try again with less.
_DIGITS = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_CLOSING = rf"\s*+[+-]?{_DIGITS}\s*+\)"
_END = r"(?=[\s,.;:!?)\]]|$)"  # of a word
_NUMBER = re.compile(rf"\s*+{_DIGITS}\s*+")
_TOKEN = re.compile(
    rf"""
      \\(?P<escaped>[()\[\]\\+-])
    | :(?P<number>{_CLOSING})
    | \)(?P<after>\+\++{_END} | --+{_END} | [0-9]*+\.[0-9]++(?![\w.]))
    | (?P<bracket>[()\[\]])
    | (?P<break>\bBREAK\b)
    | (?:[^\\()\[\]:B]++ | \\(?![()\[\]\\+-]) | :(?!{_CLOSING}) | B(?!REAK\b))++
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENS = {")": "(", "]": "["}
_CLOSES = {"(": ")", "[": "]"}
_MARKED = re.compile(rf"(?<![\w+-])(?P<word>\w\w++)(?P<marks>\+\++|--+){_END}")
_AND = re.compile(r"(?<=\s)AND(?=\s|$)")
_SHARE = re.compile(rf":\s*+(?P<share>[+-]?{_DIGITS})\s*+$")
_SIGNED = re.compile(rf"[+-]?{_DIGITS}")
_LORA = re.compile(r"<lora:(?P<name>[^<>:]++)(?P<weights>(?::[^<>:]*+){0,2}+)>", re.IGNORECASE)
_QUOTED = re.compile(r'"([^"]*+)"')
_CONJUNCTION = re.compile(
    r'\s*+\((?P<parts>\s*+"[^"]*+"\s*+(?:,\s*+"[^"]*+"\s*+)*+)\)\s*+'
    r"\.(?P<how>and|blend)\((?P<numbers>[\d\s.,+-]*+)\)\s*+"
)
_CALLED = re.compile(r"\)\.(?:and|blend)\(")
_INERT = (
    (
        re.compile(r"<(?:lora|lyco|hypernet):[^<>]*+>", re.IGNORECASE),
        "This tag loads nothing and is painted as plain text; <lora:name:0.8> in the prompt does.",
    ),
)


def _weighted(text: str) -> Iterator[list[_Weighed]]:
    """The second pass: each piece of text with the product of the brackets around it."""
    pieces, times = _pieces(text)
    products = {"(": [1.0], "[": [1.0]}
    chunk: list[_Weighed] = []
    weight = 1.0
    for place, (kind, word, _) in enumerate(pieces):
        if kind == "text":
            if "++" in word or "--" in word:
                chunk += [(text, weight * more) for text, more in _marked(word)]
            else:
                chunk.append((word, weight))
        elif kind == "break":
            yield chunk
            chunk = []
        else:
            if kind in products:
                products[kind].append(products[kind][-1] * times[place])
            else:
                products[_OPENS[kind]].pop()
            weight = products["("][-1] * products["["][-1]
    yield chunk


def _marked(text: str) -> Iterator[_Weighed]:
    """Words with at least two + or - behind them, apart from the text around them."""
    place = 0
    for match in _MARKED.finditer(text):
        yield text[place : match.start()], 1.0
        yield match["word"], _times(match["marks"])
        place = match.end()
    yield text[place:], 1.0


def _times(written: str) -> float:
    if written[0] in "+-":
        return float((UP if written[0] == "+" else MINUS) ** min(len(written), MOST_MARKS))
    return float(written)


def _pieces(text: str) -> tuple[list[_Piece], _Times]:
    """The first pass: text, brackets and breaks, and what each opening bracket multiplies by.

    Round and square brackets pair up apart from each other; one without a partner that closes is
    text, one that opens runs to the end.
    """
    pieces: list[_Piece] = []
    times: _Times = {}
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _TOKEN.finditer(text):
        kind, word, begin = match.lastgroup, match[0], match.start()
        if kind is None:
            pieces.append(("text", word, begin))
        elif kind == "bracket" and word in opened:
            opened[word].append(len(pieces))
            times[len(pieces)] = UP if word == "(" else DOWN
            pieces.append((word, "", begin))
        elif kind == "bracket" and opened[_OPENS[word]]:
            opened[_OPENS[word]].pop()
            pieces.append((word, "", begin))
        elif kind == "number" and opened["("]:
            times[opened["("].pop()] = float(match["number"][:-1])
            pieces.append((")", "", begin))
        elif kind == "after" and opened["("]:
            times[opened["("].pop()] = _times(match["after"])
            pieces.append((")", "", begin))
        elif kind == "break":
            pieces.append(("break", "", begin))
        else:
            pieces.append(("text", match["escaped"] or word, begin))
    return pieces, times


def _joined(pieces: Iterable[_Weighed]) -> Chunk:
    """Neighbours of one weight as one; what is nothing but space is left out."""
    found: list[Fragment] = []
    alike: list[str] = []
    last = 1.0
    for text, written in pieces:
        weight = written if -MOST <= written <= MOST else 1.0
        if weight != last:
            found.append(Fragment("".join(alike), last))
            alike, last = [], weight
        alike.append(text)
    found.append(Fragment("".join(alike), last))
    return tuple(fragment for fragment in found if fragment.text.strip())


def _sound_or_one(share: float) -> float:
    return share if _sound(share) else 1.0


def _sound(weight: float) -> bool:
    return -MOST <= weight <= MOST


def _slips(pieces: Iterable[_Weighed]) -> list[str]:
    for text, weight in pieces:
        if not _sound(weight):
            return [
                f"The weight {weight:.3g} of {text.strip()[:SHOWN]!r} is outside -10 to 10; "
                "it is painted with weight 1."
            ]
    return []


def _as_they_stand(marks: Sequence[str]) -> str:
    named = [mark if len(mark) <= SHOWN else f"{mark[:SHOWN]}..." for mark in marks[:NAMED]]
    more = len(marks) - len(named)
    *first, last = [*named, f"{more} more"] if more else named
    if not first:
        return f"{last} is sent as it stands"
    return f"{', '.join(first)} and {last} are sent as they stand"
