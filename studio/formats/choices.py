"""The tree of choices behind a prompt, and how many texts each part of it has.

Wildcards are looked up, and variables bound to what they stand for where they stand, so that
nothing can call itself. Built whole before anything is drawn. Equal calls share one branch; how
often branches are passed is bounded, so that no prompt can take long.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import accumulate
from math import comb, factorial, prod
from typing import NamedTuple, NoReturn

from studio.errors import Refused
from studio.formats.template import (
    MOST_PICKED,
    Assign,
    Choice,
    Option,
    Parts,
    Use,
    Wild,
    refuse,
)
from studio.formats.wildcards import Wildcard, matching

MOST_COUNTED = 10**15  # of texts; more are as many
MOST_STEPS = 20_000  # to write one text
MOST_BUILT = 100_000  # branches
MOST_NESTED = 64  # choices, wildcards and variables inside each other
MOST_GLOBS = 20  # different ones in a prompt
MOST_NAME = 100  # letters of a wildcard's name
EVERYWHERE = -1  # the number of no scope
MOST_LOOKED_AT = 500  # names that may have been meant


class Run:
    """One part after the other."""

    __slots__ = ("cost", "count", "counts", "height", "parts")

    def __init__(self, parts: "Sequence[Part]") -> None:
        self.parts = tuple(parts)
        self.counts = tuple(_count(part) for part in parts)
        self.count = min(prod(self.counts), MOST_COUNTED)
        self.cost = 1 + sum(_cost(part) for part in parts)
        self.height = max((_height(part) for part in parts), default=0)


class Pick:
    """Some of the options, in any order, none twice; mostly one."""

    def __init__(
        self,
        options: "Sequence[str | Run]",
        weights: Sequence[int],
        least: int,
        most: int,
        separator: str,
    ) -> None:
        self.options, self.weights, self.separator = options, weights, separator
        self.least, self.most = least, most
        self.counts = [1 if isinstance(one, str) else one.count for one in options]
        self._sums = _sums(self.counts, most)
        self.count = min(self._arranged(self._sums), MOST_COUNTED)
        runs = [one for one in options if not isinstance(one, str)]
        self.cost = 1 + most * (1 + max((run.cost for run in runs), default=0))
        self.height = 1 + max((run.height for run in runs), default=0)

    @cached_property
    def sums(self) -> list[int]:
        return list(accumulate(self.weights))

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.counts))

    @cached_property
    def plain(self) -> "Pick":
        """As if there were nothing in its options."""
        return Pick([""] * len(self.options), self.weights, self.least, self.most, "")

    def arrangement(self, number: int) -> tuple[list[int], int]:
        """The options of this number, and which text of them: fewest first, then as they are
        listed; what is in them changes first."""
        wanted = self.least
        while number >= (block := _ordered(wanted, self._sums)):
            number -= block
            wanted += 1
        if wanted == 1:
            place = bisect_right(self._ends, number)
            return [place], number - (self._ends[place - 1] if place else 0)
        sums, chosen, inside = self._sums, list[int](), 1
        for left in reversed(range(wanted)):
            place, number = self._next(number, chosen, inside, left, sums)
            chosen.append(place)
            inside *= self.counts[place]
            sums = _without(self.counts[place], sums)
        return chosen, number

    def _next(
        self, number: int, chosen: Sequence[int], inside: int, left: int, sums: Sequence[int]
    ) -> tuple[int, int]:
        """The next option, and the number among the texts that begin with it."""
        blocks: dict[int, int] = {}
        for place, count in enumerate(self.counts):
            if place in chosen:
                continue
            if count not in blocks:
                blocks[count] = inside * count * _ordered(left, _without(count, sums))
            if number < blocks[count]:
                return place, number
            number -= blocks[count]
        raise IndexError(number)

    def _arranged(self, sums: Sequence[int]) -> int:
        return sum(_ordered(wanted, sums) for wanted in range(self.least, self.most + 1))


class Bind(NamedTuple):
    """A variable that is drawn once, here."""

    slot: int
    run: Run


class Recall(NamedTuple):
    slot: int


Part = str | Run | Pick | Bind | Recall


class _Scope(NamedTuple):
    """What variables stand for, here, and the number of the scope that each came with; each change
    has a number of its own."""

    known: "Mapping[str, tuple[Run | Recall, int]]"
    number: int


class Build:
    """Of one text. `called` are the wildcards that it calls, also by others."""

    def __init__(self, text: str, wildcards: Mapping[str, Wildcard], field: str) -> None:
        self._text, self._wildcards, self._field = text, wildcards, field
        self.called: set[str] = set()
        self._inside: list[str] = []  # the wildcards whose values are being built
        self._globs: dict[str, list[str]] = {}
        self._picks: dict[str, Pick] = {}
        self._built: dict[tuple[str, int], list[str | Run]] = {}
        self._heard: set[int] = set()  # the scopes whose variable was used
        self._scopes = self._uses = self._slots = self._steps = 0

    def run(self, parts: Parts) -> Run:
        run = self._run(parts, _Scope({}, 0), 0)
        if run.cost > MOST_STEPS:
            self._refuse(
                f"it takes more than {MOST_STEPS} steps to write; its choices, wildcards and "
                "variables call each other too often."
            )
        return run

    def _run(self, parts: Parts, scope: _Scope, depth: int) -> Run:
        self._steps += 1
        if self._steps > MOST_BUILT:
            self._refuse(f"its wildcards hold more than {MOST_BUILT} choices together.")
        built: list[Part] = []
        for part in parts:
            if isinstance(part, str):
                built.append(part)
            elif isinstance(part, Assign):
                scope, bind = self._assigned(part, scope, depth)
                built += [bind] if bind else []
            else:
                built.append(self._part(part, scope, depth + 1))
        run = Run(built)
        if depth + run.height > MOST_NESTED:
            self._refuse(
                f"its choices, wildcards and variables are nested more than {MOST_NESTED} deep."
            )
        return run

    def _part(self, part: Choice | Wild | Use, scope: _Scope, depth: int) -> Part:
        if depth > MOST_NESTED:
            self._refuse(
                f"its choices, wildcards and variables are nested more than {MOST_NESTED} deep."
            )
        if isinstance(part, Choice):
            return self._choice(part, scope, depth)
        if isinstance(part, Wild):
            return self._called(part, scope, depth)
        return self._used(part, scope, depth)

    def _called(self, wild: Wild, scope: _Scope, depth: int) -> Pick:
        """One for all calls, unless variables are used in it."""
        if wild.name in self._picks and not wild.given:
            return self._picks[wild.name]
        uses = self._uses
        options, weights = self._values(wild, scope, depth)
        pick = Pick(options, weights, 1, 1, "")
        if self._uses == uses:
            self._picks[wild.name] = pick
        return pick

    def _choice(self, choice: Choice, scope: _Scope, depth: int) -> Pick:
        only = choice.options[0].parts if len(choice.options) == 1 else ()
        options: Sequence[str | Run]
        if choice.picks and len(only) == 1 and isinstance(only[0], Wild):
            options, weights = self._values(only[0], scope, depth)
        else:
            options = [self._option(option.parts, scope, depth) for option in choice.options]
            weights = [option.weight for option in choice.options]
        most = len(options) if choice.most is None else min(choice.most, len(options))
        if choice.least > len(options):
            there = f"there {'is' if len(options) == 1 else 'are'} {len(options)}"
            self._refuse(f"{choice.least} are to be picked, and {there}.", choice.place)
        if most > MOST_PICKED:
            sentence = f"{most} may be picked; the most is {MOST_PICKED}."
            self._refuse(sentence, choice.place)
        return Pick(options, weights, choice.least, most, choice.separator)

    def _option(self, parts: Parts, scope: _Scope, depth: int) -> str | Run:
        if all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts))
        return self._run(parts, scope, depth)

    def _assigned(self, part: Assign, scope: _Scope, depth: int) -> tuple[_Scope, Bind | None]:
        run = self._run(part.body, scope, depth + 1)
        self._scopes += 1
        if not part.once:
            known = {**scope.known, part.name: (run, self._scopes)}
            return _Scope(known, self._scopes), None
        self._slots += 1
        known = {**scope.known, part.name: (Recall(self._slots), self._scopes)}
        return _Scope(known, self._scopes), Bind(self._slots, run)

    def _used(self, use: Use, scope: _Scope, depth: int) -> Part:
        self._uses += 1
        if use.name in scope.known:
            part, number = scope.known[use.name]
            self._heard.add(number)
            return part
        if use.default is None:
            self._refuse(
                f"the variable {use.name!r} has no value; write ${{{use.name}=...}} before it, "
                f"or ${{{use.name}:...}} with what it is otherwise.",
                use.place,
            )
        return self._run(use.default, scope, depth)

    def _values(self, wild: Wild, scope: _Scope, depth: int) -> tuple[list[str | Run], list[int]]:
        """Of all lists that the name calls; what stands in several comes once."""
        for given in wild.given:
            scope, _ = self._assigned(given, scope, depth)
        found: dict[Parts, tuple[str | Run, int]] = {}
        for name in self._names(wild):
            options = self._options(name)
            if not options:
                self._refuse(f"the wildcard {name!r} is empty{self._whose()}.", wild.place)
            for option, built in zip(options, self._list(name, scope, depth), strict=True):
                found.setdefault(option.parts, (built, option.weight))
        for given in wild.given:
            if scope.known[given.name][1] not in self._heard:
                sentence = f"the wildcard {wild.name!r} uses no variable {given.name!r}"
                self._refuse(f"{sentence}{self._whose()}.", given.place)
        return [built for built, _ in found.values()], [weight for _, weight in found.values()]

    def _list(self, name: str, scope: _Scope, depth: int) -> list[str | Run]:
        """Built once, or once for each scope where variables are used in it."""
        if (name, EVERYWHERE) in self._built:
            return self._built[name, EVERYWHERE]
        if (name, scope.number) in self._built:
            self._uses += 1  # whoever calls it depends on the scope, too
            return self._built[name, scope.number]
        if name in self._inside:
            circle = [*self._inside[self._inside.index(name) :], name]
            self._refuse(f"wildcards call each other in a circle: {' calls '.join(circle)}.")
        uses = self._uses
        self._inside.append(name)
        built = [self._option(option.parts, scope, depth) for option in self._options(name)]
        self._inside.pop()
        self._built[name, EVERYWHERE if self._uses == uses else scope.number] = built
        return built

    def _options(self, name: str) -> tuple[Option, ...]:
        self.called.add(name)
        try:
            return self._wildcards[name].options
        except Refused as refusal:
            self._refuse(str(refusal))

    def _names(self, wild: Wild) -> list[str]:
        name = wild.name
        if len(name) <= MOST_NAME and "*" not in name and name in self._wildcards:
            return [name]
        if len(name) <= MOST_NAME and "*" in name and (names := self._glob(wild)):
            return names
        shown = name if len(name) <= MOST_NAME else f"{name[:MOST_NAME]}..."
        self._refuse(
            f"there is no wildcard {shown!r}{self._whose()}. {self._meant(name)}", wild.place
        )

    def _glob(self, wild: Wild) -> list[str]:
        if wild.name not in self._globs:
            if len(self._globs) >= MOST_GLOBS:
                self._refuse(f"the most names with * are {MOST_GLOBS}.", wild.place)
            self._globs[wild.name] = matching(wild.name, self._wildcards)
        return self._globs[wild.name]

    def _meant(self, name: str) -> str:
        alike = sorted(self._wildcards, key=lambda one: one[:1] != name[:1])[:MOST_LOOKED_AT]
        near = get_close_matches(name[:MOST_NAME], alike, n=3)
        if near:
            return f"Did you mean {' or '.join(f'__{one}__' for one in near)}?"
        kept = f"\\__{name[:20]}"
        known = ", ".join(alike[:10])
        there = f"There are: {known}." if known else "There are none here."
        return f"{there} Write {kept}... to keep it as text."

    def _whose(self) -> str:
        return f", which {self._inside[-1]!r} calls" if self._inside else ""

    def _refuse(self, sentence: str, place: int | None = None) -> NoReturn:
        """With its column, where it is of the text itself."""
        if place is None or self._inside:
            raise Refused(f"{self._field}: {sentence}", field=self._field)
        refuse(sentence, self._text, place, self._field)


def _sums(counts: Sequence[int], most: int) -> list[int]:
    """Over all sets of so many options, up to the most, how many texts they have in one order: the
    elementary symmetric polynomials of the counts."""
    sums = [1] + [0] * most
    for count, many in Counter(counts).items():
        powers = [comb(many, taken) * count**taken for taken in range(min(many, most) + 1)]
        sums = [
            sum(power * sums[size - taken] for taken, power in enumerate(powers[: size + 1]))
            for size in range(most + 1)
        ]
    return sums


def _without(count: int, sums: Sequence[int]) -> list[int]:
    """The same when one option with this count is gone."""
    rest = [1]
    for one in sums[1:]:
        rest.append(one - count * rest[-1])
    return rest


def _ordered(wanted: int, sums: Sequence[int]) -> int:
    """In every order."""
    return sums[wanted] * factorial(wanted)


def _count(part: Part) -> int:
    if isinstance(part, str | Recall):
        return 1
    return part.run.count if isinstance(part, Bind) else part.count


def _cost(part: Part) -> int:
    if isinstance(part, str | Recall):
        return 1
    return part.run.cost if isinstance(part, Bind) else part.cost


def _height(part: Part) -> int:
    if isinstance(part, str | Recall):
        return 0
    return part.run.height if isinstance(part, Bind) else part.height
