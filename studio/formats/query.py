"""The language of searches: `cat "red car" -blurry (boat OR ship) model:flux size:>1024 star:yes`.

`parse` makes a tree of it, or says in a sentence what it does not understand, where, and what may
have been meant. Pure: it knows which fields there are, and no database.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from studio.errors import Refused
from studio.formats.query_fields import FIELDS, Field, Leaf, Misspelt, read_value
from studio.formats.words import tokens

MAX_TEXT = 4000
MAX_TERMS = 64
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Words:
    """In the prompt, side by side and in this order; with `prefix` the last may go on."""

    tokens: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    part: "Node"


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple["Node", ...]


Node = Words | Leaf | Not | All | Some


class BadQuery(Refused):
    """`place` is the character it begins at, from 1; `instead` is the search that was meant."""

    code = "bad_query"

    def __init__(self, sentence: str, place: int, instead: str = "") -> None:
        super().__init__(f"q, character {place}: {sentence}", field="q")
        self.place, self.instead = place, instead


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a search as it was typed, and what it means."""

    text: str
    node: Node


def parse(text: str, now: float) -> Node:
    """`now` is what `date:today` means. An empty search is everything."""
    if len(text) > MAX_TEXT:
        raise BadQuery(f"the search has {len(text)} characters; the most is {MAX_TEXT}.", MAX_TEXT)
    return _Reader(text, now).whole()


def pieces(text: str, now: float) -> list[Piece]:
    """Those that must all hold, in their order. Together they say what the whole search says."""
    whole, reader, found = parse(text, now), _Reader(text, now), list[Piece]()
    while True:
        reader.space()
        if reader.at == len(text):
            return found
        if reader.sees("OR"):
            return [Piece(f"({text.strip()})", whole)]
        if not reader.word("AND"):
            start, node = reader.at, reader.one()
            found.append(Piece(text[start : reader.at], node))


def leaves(node: Node) -> Iterator[Words | Leaf]:
    match node:
        case Not(part):
            yield from leaves(part)
        case All(parts) | Some(parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield node


_NAME = re.compile(r"([^\W\d][\w-]*):")
_BARE = re.compile(r"[^\s()\"]+")
_QUOTED = re.compile(r'"([^"]*)"')


class _Reader:
    def __init__(self, text: str, now: float) -> None:
        self.text, self.now = text, now
        self.at = self.terms = self.depth = 0

    def whole(self) -> Node:
        found = self.some()
        if self.at < len(self.text):
            raise self.wrong("this ) closes nothing. Leave it out, or quote it.")
        return found

    def some(self) -> Node:
        ways = [self.all()]
        while self.word("OR"):
            place = self.at - 1  # of the OR itself
            ways.append(self.all())
            if ways[-1] == All(()):
                raise BadQuery('OR needs something behind it. For the word, write "OR".', place)
        if len(ways) > 1 and ways[0] == All(()):
            raise BadQuery('OR needs something before it. For the word, write "OR".', 1)
        return ways[0] if len(ways) == 1 else Some(tuple(ways))

    def all(self) -> Node:
        parts: list[Node] = []
        while True:
            self.space()
            if self.at == len(self.text) or self.text[self.at] == ")" or self.sees("OR"):
                break
            if self.word("AND"):  # it says what is so anyway
                continue
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def one(self) -> Node:
        if self.text[self.at] == "-" or self.sees("NOT"):
            return self.negated()
        if self.text[self.at] == "(":
            return self.group()
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise self.wrong(f"the search has too many parts; the most is {MAX_TERMS}.")
        if name := _NAME.match(self.text, self.at):
            return self.field(name)
        return self.words()

    def negated(self) -> Node:
        start = self.at
        self.deeper(1)
        if self.text[start] == "-":
            self.at += 1
        else:
            self.word("NOT")
            self.space()
        if self.at == len(self.text) or self.text[self.at] in " )-":
            raise BadQuery("what shall not be there? Write it right behind.", start + 1)
        found = Not(self.one())
        self.deeper(-1)
        return found

    def group(self) -> Node:
        start = self.at
        self.deeper(1)
        self.at += 1
        found = self.some()
        if self.at == len(self.text):
            raise BadQuery("this ( is never closed. Close it, or quote it.", start + 1)
        self.at += 1
        self.deeper(-1)
        if found == All(()):
            raise BadQuery("there is nothing in these parentheses.", start + 1)
        return found

    def deeper(self, by: int) -> None:
        self.depth += by
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"the search is nested too deeply; the most is {MAX_DEPTH}.")

    def words(self) -> Node:
        start, quoted = self.at, self.text[self.at] == '"'
        raw = self.quoted() if quoted else self.bare()
        prefix = raw.endswith("*") and not quoted
        if quoted and self.text[self.at : self.at + 1] == "*":
            prefix, self.at = True, self.at + 1
        found = tuple(tokens(raw))
        if not found:
            sentence = f"{raw[:40]!r} holds no letter and no digit to search for. Leave it out."
            raise BadQuery(sentence, start + 1)
        return Words(found, prefix)

    def field(self, name: re.Match[str]) -> Node:
        field = FIELDS.get(name[1].lower())
        if field is None:
            near = get_close_matches(name[1].lower(), FIELDS, 1, 0.6)
            sentence = _no_field(name[1], near)
            raise BadQuery(sentence, self.at + 1, self.instead(self.at, name[1], near))
        self.at = name.end()
        start = self.at
        operator = re.compile(r">=|<=|>|<|=|").match(self.text, self.at)
        sign = operator[0] if operator else ""
        self.at += len(sign)
        if self.text[self.at : self.at + 1] == '"':
            values = [self.quoted()]
        else:
            bare = _BARE.match(self.text, self.at)
            self.at = bare.end() if bare else self.at
            values = (bare[0] if bare else "").split(",")
        found = tuple(self.value(field, sign, value.strip(), start) for value in values)
        return found[0] if len(found) == 1 else Some(found)

    def value(self, field: Field, sign: str, value: str, start: int) -> Node:
        if not value:
            raise BadQuery(
                f"{field.name}: needs a value right behind the colon, such as {field.example}. "
                f'To search for the word, write "{field.name}".',
                start + 1,
            )
        try:
            found = read_value(field, sign, value, self.now)
        except Misspelt as error:
            instead = self.instead(self.text.index(value, start), value, [error.meant])
            raise BadQuery(f"{field.name}: {error}", start + 1, instead) from None
        except ValueError as error:
            raise BadQuery(f"{field.name}: {error}", start + 1) from None
        return found[0] if len(found) == 1 else All(found)

    def quoted(self) -> str:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise self.wrong('this " is never closed.')
        self.at = found.end()
        return found[1]

    def bare(self) -> str:
        found = _BARE.match(self.text, self.at)
        assert found  # neither space, parenthesis nor quote stands here
        self.at = found.end()
        return found[0]

    def sees(self, word: str) -> bool:
        return bool(re.compile(rf'{word}(?=[\s()"]|$)').match(self.text, self.at))

    def word(self, word: str) -> bool:
        self.space()
        seen = self.sees(word)
        self.at += len(word) * seen
        return seen

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def instead(self, at: int, wrong: str, near: Sequence[str]) -> str:
        """The whole search with that piece as it was meant, if anybody knows."""
        return self.text[:at] + near[0] + self.text[at + len(wrong) :] if near else ""

    def wrong(self, sentence: str) -> BadQuery:
        return BadQuery(sentence, self.at + 1)


def _no_field(name: str, near: Sequence[str]) -> str:
    meant = f"Did you mean {near[0]}:?" if near else f"There are {', '.join(FIELDS)}."
    return f'there is no field {name[:40]!r}. {meant} For words, put them in quotes: "{name[:40]}…"'
