"""Lists of words that a prompt calls by `__name__`, and which of them a name with `*` calls.

`*` stands for anything inside one part of a name, `**` for any number of parts. Pure; where lists
lie is told in `studio.wishes.wildcards`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from studio.errors import Refused
from studio.formats.template import Option, parse, plain, weighed

SHOWN = 40  # letters of a value in a sentence


@dataclass(frozen=True)
class Wildcard:
    """Each value may hold choices and wildcards itself, and a weight in front: `2::red`."""

    name: str
    values: tuple[str, ...]
    refused: str = ""  # why it cannot be used

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Those that count at all, read once."""
        if self.refused:
            raise Refused(f"the wildcard {self.name!r} cannot be used: {self.refused}.")
        return tuple(option for option in map(self._option, self.values) if option.weight)

    def _option(self, value: str) -> Option:
        weight, rest = weighed(value)
        if plain(rest):
            return Option((rest,) if rest else (), weight)
        try:
            return Option(parse(rest), weight)
        except Refused as refusal:
            shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
            why = str(refusal).partition(": ")[2]
            raise Refused(f"the wildcard {self.name!r} holds {shown!r}: {why}") from None


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern stands for, sorted."""
    wanted = pattern.split("/")
    return sorted(name for name in names if _fits(wanted, name.split("/")))


def _fits(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    """Part by part: `reached` are the places up to which the wanted ones can have come."""
    reached = {0}
    for number, want in enumerate(wanted):
        if want == "**":
            least = 1 if number == len(wanted) - 1 else 0
            first = min(reached) + least
            reached = set(range(first, len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and _alike(want, parts[at])}
        if not reached:
            return False
    return len(parts) in reached


def _alike(want: str, part: str) -> bool:
    """The pieces between the stars, each at its first place: no other place would do better."""
    first, *rest = want.split("*")
    if not rest:
        return want == part
    *middle, last = rest
    if not part.startswith(first) or not part.endswith(last):
        return False
    at, end = len(first), len(part) - len(last)
    for piece in middle:
        found = part.find(piece, at, max(at, end))
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end
