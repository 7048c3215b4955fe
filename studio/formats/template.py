"""How a prompt with choices is written: `{a|b}`, `{2$$a|b|c}`, `__name__`, `${v=x}`. One pass, no
recursion, linear in the length of the text whatever the braces; it knows neither wildcards' values
nor draws.

Braces without `|` or `$$` in them are text, as in a JSON prompt, and so are underscores inside a
word (`a__b`). A choice that is never closed is refused with its column. A backslash keeps `{`, `}`,
`|`, `__`, `${` and `$$` as they are; every other backslash stays where it is, for the weights.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from studio.errors import Refused

MOST_CHOICES = 1000  # in one text: choices, wildcards and variables
MOST_OPTIONS = 5000  # in one text, of all its choices
MOST_DEEP = 32  # choices inside each other
MOST_OPEN = 1000  # braces at once
MOST_PICKED = 20  # of one choice
MOST_WEIGHT = 1_000_000
SEPARATOR = ", "
_UNIT = 1_000_000  # weights are whole millionths: no rounding anywhere


class Option(NamedTuple):
    parts: "Parts"
    weight: int  # in millionths


class Choice(NamedTuple):
    """`most` is None for as many as there are. `picks` says that a number was given."""

    options: tuple[Option, ...]
    least: int
    most: int | None
    separator: str
    picks: bool
    place: int


class Wild(NamedTuple):
    """`__name__`, or `__name(v=x)__` with what variables stand for in it. The name may hold `*` and
    `**`."""

    name: str
    place: int
    given: "tuple[Assign, ...]" = ()


class Assign(NamedTuple):
    """`${name=body}`, drawn at each use, or `${name=!body}`, drawn `once`."""

    name: str
    body: "Parts"
    once: bool
    place: int


class Use(NamedTuple):
    """`${name}` or `${name:default}`."""

    name: str
    default: "Parts | None"
    place: int


Node = Choice | Wild | Assign | Use
Parts = tuple[str | Node, ...]


def parse(text: str, field: str = "prompt") -> Parts:
    """Text and what is to be chosen in it, in their order."""
    return _Reader(text, field).read()


def weighed(value: str) -> tuple[int, str]:
    """A weight in front of a wildcard's value, in millionths, and the rest."""
    found = _WEIGHT.match(value)
    return (_weight(found["weight"]), value[found.end() :]) if found else (_UNIT, value)


def plain(value: str) -> bool:
    """Nothing in it is written specially."""
    return not _SPECIAL.search(value)


def is_name(name: str) -> bool:
    """Whether a wildcard can be called by it."""
    return bool(_CALLED.fullmatch(name)) and "*" not in name


def refuse(sentence: str, text: str, place: int, field: str) -> NoReturn:
    line = text.count("\n", 0, place)
    column = place - text.rfind("\n", 0, place)
    where = f"line {line + 1}, column {column}" if line else f"column {column}"
    raise Refused(f"{field}: {where}: {sentence}", field=field)


# Possessive everywhere: a pattern that fails must not try again with less.
_NUMBER = r"(?:[0-9]{1,9}+(?:\.[0-9]{0,9}+)?|\.[0-9]{1,9}+)"
_LETTER = r"(?:[^\W_]|[-./*])"
_NAME = rf"(?!_)(?:{_LETTER}|_(?!_))++"
_PLAIN = r"(?:[^\\{}|$_]|\$(?!\{))"
_CALLED = re.compile(rf"{_NAME}(?<!_)")
_TOKEN = re.compile(
    rf"""
      \\(?P<kept>[{{}}|] | __ | \$[{{$])
    | (?P<both>\\\\)
    | \$\{{(?P<variable>[^\W\d]\w*+)(?P<mark>\}} | =!? | :)
    | (?P<pick>\{{\s*+(?=[0-9]|-[0-9])(?P<least>[0-9]{{0,9}}+)(?P<to>-?)(?P<most>[0-9]{{0,9}}+)
        \$\$(?:(?P<separator>\s*+\|\s*+(?=\$\$) | (?:[^{{}}|$\\] | \\[{{}}|])*+)\$\$)?)
    | (?P<open>\{{)
    | (?P<bar>\|)
    | (?P<close>\}})
    | (?<![^\W_])__(?P<sampler>[~!@]?)(?P<wild>{_NAME})(?:\((?P<given>[^()]*+)\))?__(?![^\W_])
    | (?<![^\W_])(?P<torn>__[~!@]?{_NAME}\((?=\s*+[^\W\d]\w*+\s*+=))
    # Text, in pieces as long as they can be: underscores that no name follows, all but the two that
    # may begin one, those that turned out not to, and what means nothing.
    | (?: _{{2,}}+(?!{_LETTER}) | _+(?=__[^_]) | __{_PLAIN}*+ | _?{_PLAIN}++ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_SPECIAL = re.compile(r"[{}|]|__|\$\$|\$(?=\{)|\\(?=[{}|\\]|__|\$[{$])")
_WEIGHT = re.compile(rf"\s*+(?P<weight>{_NUMBER})\s*+::")
# SD.Next's, behind; with a point, because 16:9 is none, and no share of a blend.
_BEHIND = re.compile(r":(?P<weight>[0-9]{0,9}\.[0-9]{1,9})\s*$")
_BLENDED = re.compile(r"\sAND\s")
_KEPT = re.compile(r"\\([{}|])")
_GIVEN = re.compile(r"\s*+(?P<name>[^\W\d]\w*+)\s*+=\s*+(?P<value>.*+)", re.DOTALL)
_APART = re.compile(r"\\[{}\\]|[{},]")
_SAMPLED = re.compile(r"\{\s*+(?P<sampler>[~!@])")
_SAMPLED_PICK = re.compile(r"\{\s*+(?P<sampler>[~!@])[0-9]{0,9}+-?[0-9]{0,9}+\$\$")
SAMPLERS = {"~": "random", "!": "all", "@": "cycle"}
SHOWN = 40  # letters of what is no variable


class _Frame:
    """A brace that is open: where its content begins, and where its options do."""

    __slots__ = ("bars", "begin", "match", "place")

    def __init__(self, begin: int, match: re.Match[str]) -> None:
        self.begin, self.match, self.place = begin, match, match.start()
        self.bars: list[int] = []

    @property
    def chooses(self) -> bool:
        return bool(self.bars) or self.match.lastgroup != "open"


class _Reader:
    """All pieces stand in one list; a brace that closes takes its own from the end of it."""

    def __init__(self, text: str, field: str, begin: int = 0, end: int | None = None) -> None:
        self.text, self.field, self.begin = text, field, begin
        self.end = len(text) if end is None else end
        self.out: list[str | Node] = []
        self.heights: list[int] = []  # of what stands in `out`
        self.open: list[_Frame] = []
        self.choices = self.options = 0

    def read(self) -> Parts:
        for match in _TOKEN.finditer(self.text, self.begin, self.end):
            kind = match.lastgroup
            if kind is None:
                self._put(match.group())
            elif kind in ("kept", "both"):
                self._put(match["kept"] or match["both"])
            elif kind == "mark" and match["mark"] == "}":
                self._node(Use(match["variable"], None, match.start()))
            elif kind == "torn":
                sentence = "what is given to a wildcard ends with )__ and holds no other ( or )."
                self._refuse(sentence, match.start())
            elif kind in ("wild", "given"):
                self._node(self._wild(match))
            elif kind == "bar":
                self._bar(match)
            elif kind == "close":
                self._close()
            else:
                self._begin(match)
                if kind == "open":
                    self._put("{")
        for frame in self.open:
            if frame.chooses:
                self._refuse("this brace is never closed. Close it, or write \\{.", frame.place)
        return _joined(self.out)

    def _wild(self, match: re.Match[str]) -> Wild:
        if mark := match["sampler"]:
            self._refuse(f"{_sampler(mark)}.", match.start())
        given, place = dict[str, Assign](), match.start("given")
        for pair in _apart(match["given"]) if match["given"] is not None else ():
            named = _GIVEN.fullmatch(self.text, place, place + len(pair.rstrip()))
            if not named:
                sentence = f"{pair.strip()[:SHOWN]!r} is no variable; write __name(v=x)__."
                self._refuse(sentence, place)
            name, begin = named["name"], named.start("name")
            if name in given:
                self._refuse(f"{name!r} is given twice.", begin)
            self._count(begin)
            inside = _Reader(self.text, self.field, *named.span("value"))
            inside.choices, inside.options = self.choices, self.options
            given[name] = Assign(name, inside.read(), False, begin)
            self.choices, self.options = inside.choices, inside.options
            place += len(pair) + 1
        return Wild(match["wild"], match.start(), tuple(given.values()))

    def _begin(self, match: re.Match[str]) -> None:
        if len(self.open) >= MOST_OPEN:
            self._refuse(f"more than {MOST_OPEN} braces are open.", match.start())
        self.open.append(_Frame(len(self.out), match))

    def _put(self, text: str) -> None:
        self.out.append(text)
        self.heights.append(0)

    def _count(self, place: int) -> None:
        self.choices += 1
        if self.choices > MOST_CHOICES:
            self._refuse(f"the most choices in one text are {MOST_CHOICES}.", place)

    def _node(self, node: Node, height: int = 1) -> None:
        self._count(node.place)
        if height > MOST_DEEP:
            self._refuse(f"choices are at most {MOST_DEEP} deep.", node.place)
        self.out.append(node)
        self.heights.append(height)

    def _bar(self, match: re.Match[str]) -> None:
        if not self.open:
            self._put("|")
            return
        if self.open[-1].match["variable"]:
            name = self.open[-1].match["variable"]
            self._refuse(f"| stands in no choice; write ${{{name}={{a|b}}}}.", match.start())
        self.open[-1].bars.append(len(self.out))
        self.options += 1
        if self.options > MOST_OPTIONS:
            sentence = f"the most options in one text are {MOST_OPTIONS}; a wildcard holds more."
            self._refuse(sentence, match.start())

    def _close(self) -> None:
        if not self.open or not self.open[-1].chooses:
            if self.open:
                self._look_for_sampler(self.open.pop(), _SAMPLED_PICK)
            self._put("}")
            return
        frame = self.open.pop()
        self._look_for_sampler(frame, _SAMPLED)
        height = 1 + max(self.heights[frame.begin :], default=0)
        node = self._variable(frame) if frame.match["variable"] else self._choice(frame)
        del self.out[frame.begin :], self.heights[frame.begin :]
        self._node(node, height)

    def _look_for_sampler(self, frame: _Frame, sampled: re.Pattern[str]) -> None:
        """Of one choice alone; dynamicprompts has that, and here it would be a letter."""
        if found := sampled.match(self.text, frame.place):
            mark = found["sampler"]
            self._refuse(f"{_sampler(mark)}, or write {{1::{mark} for the letter.", frame.place)

    def _variable(self, frame: _Frame) -> Node:
        body = _joined(self.out[frame.begin :])
        name, mark = frame.match["variable"], frame.match["mark"]
        if mark == ":":
            return Use(name, body, frame.place)
        return Assign(name, body, mark == "=!", frame.place)

    def _choice(self, frame: _Frame) -> Choice:
        picks = frame.match.lastgroup == "pick"
        begin = frame.begin if picks else frame.begin + 1  # after the brace, which was text so far
        edges = [begin, *frame.bars, len(self.out)]
        options = [
            self._option(_joined(self.out[left:right]), frame.place)
            for left, right in zip(edges, edges[1:], strict=False)
        ]
        heard = tuple(option for option in options if option.weight)
        if not heard:
            self._refuse("every option of this choice weighs 0.", frame.place)
        least, most, separator = self._bounds(frame)
        return Choice(heard, least, most, separator, picks, frame.place)

    def _bounds(self, frame: _Frame) -> tuple[int, int | None, str]:
        match = frame.match
        if match.lastgroup != "pick":
            return 1, 1, SEPARATOR
        least = int(match["least"] or 0)
        most = least if not match["to"] else int(match["most"]) if match["most"] else None
        if most is not None and most < least:
            least, most = most, least
        if max(least, most or 0) > MOST_PICKED:
            sentence = f"{max(least, most or 0)} are too many; the most is {MOST_PICKED}."
            self._refuse(sentence, frame.place)
        separator = match["separator"]
        kept = SEPARATOR if separator is None else _KEPT.sub(r"\1", separator)
        return least, most, kept

    def _option(self, parts: Parts, place: int) -> Option:
        if not parts:
            return Option(parts, _UNIT)
        if isinstance(parts[0], str) and (found := _WEIGHT.match(parts[0])):
            rest = (parts[0][found.end() :], *parts[1:])
            return Option(_joined(rest), self._sound(found["weight"], place))
        last = parts[-1]
        behind = _BEHIND.search(last) if isinstance(last, str) else None
        blends = any(isinstance(part, str) and _BLENDED.search(part) for part in parts)
        if behind and not blends:
            rest = (*parts[:-1], behind.string[: behind.start()])
            return Option(_joined(rest), self._sound(behind["weight"], place))
        return Option(parts, _UNIT)

    def _sound(self, weight: str, place: int) -> int:
        if not float(weight) <= MOST_WEIGHT:
            self._refuse(f"the weight {weight} is above {MOST_WEIGHT:,}.", place)
        if not _weight(weight) and float(weight):
            self._refuse(f"the weight {weight} is too small; the least is 0.000001.", place)
        return _weight(weight)

    def _refuse(self, sentence: str, place: int) -> NoReturn:
        refuse(sentence, self.text, place, self.field)


def _apart(given: str) -> Iterator[str]:
    """At the commas that stand in no brace."""
    begin = depth = 0
    for mark in _APART.finditer(given):
        if mark.group() == "," and not depth:
            yield given[begin : mark.start()]
            begin = mark.end()
        depth = max(0, depth + {"{": 1, "}": -1}.get(mark.group(), 0))
    yield given[begin:]


def _sampler(mark: str) -> str:
    return (
        f"{mark} in front is a sampler of dynamicprompts; here all choices of a prompt are made in "
        f"one way. Take it out and say expand {SAMPLERS[mark]}"
    )


def _weight(number: str) -> int:
    whole, _, behind = number.partition(".")
    return int(whole or 0) * _UNIT + int(behind[:6].ljust(6, "0"))


def _joined(pieces: "list[str | Node] | Parts") -> Parts:
    """Neighbouring texts as one; what is empty is left out."""
    if len(pieces) < 2:
        return tuple(piece for piece in pieces if piece)
    found: list[str | Node] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if text := "".join(texts):
            found.append(text)
        texts = []
        found.append(piece)
    if text := "".join(texts):
        found.append(text)
    return tuple(found)
