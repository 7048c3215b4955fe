"""What a prompt with choices becomes: a text drawn by a seed, all of them, or one after the other.

What is wrong is found before anything is drawn: wildcards that are missing,
empty or call each other in a circle, and variables without a value. How many texts there are is
reckoned without building them.

How it is written is told in `template`, how its tree is built in `choices`. Pure.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Protocol

from studio.errors import Refused
from studio.formats.choices import Bind, Build, Pick, Recall, Run
from studio.formats.draws import Draws
from studio.formats.template import Parts, parse, plain
from studio.formats.wildcards import Wildcard
from studio.request import MAX_PROMPT

Wildcards = Mapping[str, Wildcard]


class Template:
    """`count` is how many texts it has, equal ones counted apart, or MOST_COUNTED for more;
    `wildcards` are the names of those it called."""

    def __init__(self, text: str, wildcards: Wildcards, field: str = "prompt") -> None:
        self.field = field
        parts: Parts = (text,) if plain(text) else parse(text, field)
        build = Build(text, wildcards, field)
        self._run = build.run(parts)
        self.dynamic = any(not isinstance(part, str) for part in parts)
        self.count = self._run.count
        self.wildcards = tuple(sorted(build.called))

    def drawn(self, seed: int) -> str:
        """The text of this seed, the same for ever as long as the wildcards are."""
        return self._written(_Drawn(seed, self.field), 0)

    def nth(self, number: int) -> str:
        """Of all in their order: the last choice changes first."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        return self._written(_All(), number)

    def turn(self, number: int) -> str:
        """Every choice goes through its options in their order, one further each turn; what is
        chosen inside one goes on when that one has had all its turns."""
        return self._written(_Turns(), number)

    def all(self) -> Iterator[str]:
        """Each text once, in their order."""
        said: set[str] = set()
        for number in range(self.count):
            text = self.nth(number)
            if text not in said:
                said.add(text)
                yield text

    def _written(self, way: "_Way", number: int) -> str:
        text = _Writing(way, self.field).text(self._run, number)
        return text.strip() if self.dynamic else text


class _Way(Protocol):
    """How the number of a text is handed on to what it is made of."""

    def share(self, run: Run, number: int) -> Iterator[int]: ...
    def choose(self, pick: Pick, number: int) -> list[tuple[int, int]]: ...


class _Drawn:
    def __init__(self, seed: int, field: str) -> None:
        self._draws = Draws(seed, f"words of {field}")

    def share(self, run: Run, number: int) -> Iterator[int]:
        return repeat(number)

    def choose(self, pick: Pick, number: int) -> list[tuple[int, int]]:
        """How many, each number as likely as the next; then by weight, none twice."""
        spread = pick.most - pick.least
        wanted = pick.least + (self._draws.below(spread + 1) if spread else 0)
        sums, taken = pick.sums, list[int]()
        chosen: list[tuple[int, int]] = []
        left = sums[-1] if sums else 0
        for _ in range(wanted):
            point = self._draws.below(left)
            for place in taken:  # in the order of the list: as if they had no room on it
                before = sums[place - 1] if place else 0
                if point >= before:
                    point += sums[place] - before
            place = bisect_right(sums, point)
            chosen.append((place, 0))
            taken = sorted([*taken, place])
            left -= sums[place] - (sums[place - 1] if place else 0)
        return chosen


class _All:
    def share(self, run: Run, number: int) -> Iterator[int]:
        shares = []
        for count in reversed(run.counts):
            number, own = divmod(number, count)
            shares.append(own)
        return reversed(shares)

    def choose(self, pick: Pick, number: int) -> list[tuple[int, int]]:
        places, rest = pick.arrangement(number)
        chosen = []
        for place in reversed(places):
            rest, own = divmod(rest, pick.counts[place])
            chosen.append((place, own))
        return chosen[::-1]


class _Turns:
    def share(self, run: Run, number: int) -> Iterator[int]:
        return repeat(number)

    def choose(self, pick: Pick, number: int) -> list[tuple[int, int]]:
        round_, turn = divmod(number, pick.plain.count)
        return [(place, round_) for place in pick.plain.arrangement(turn)[0]]


class _Writing:
    def __init__(self, way: _Way, field: str) -> None:
        self.way, self.field = way, field
        self.said: list[str] = []
        self.kept: dict[int, str] = {}  # variables that were drawn once
        self.left = MAX_PROMPT

    def text(self, run: Run, number: int) -> str:
        self._run(run, number)
        return "".join(self.said)

    def _say(self, text: str) -> None:
        self.left -= len(text)
        if self.left < 0:
            raise Refused(
                f"{self.field}: with its choices made it is too long; the most is {MAX_PROMPT} "
                "characters.",
                field=self.field,
            )
        self.said.append(text)

    def _run(self, run: Run, number: int) -> None:
        for part, own in zip(run.parts, self.way.share(run, number), strict=False):
            if isinstance(part, str):
                self._say(part)
            elif isinstance(part, Pick):
                self._pick(part, own)
            elif isinstance(part, Bind):
                self._keep(part, own)
            elif isinstance(part, Recall):
                self._say(self.kept[part.slot])
            else:
                self._run(part, own)

    def _pick(self, pick: Pick, number: int) -> None:
        for order, (place, own) in enumerate(self.way.choose(pick, number)):
            if order:
                self._say(pick.separator)
            option = pick.options[place]
            if isinstance(option, str):
                self._say(option)
            else:
                self._run(option, own)

    def _keep(self, bind: Bind, number: int) -> None:
        outside, self.said = self.said, []
        self._run(bind.run, number)
        self.kept[bind.slot] = "".join(self.said)
        self.said = outside
