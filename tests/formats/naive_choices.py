"""The choices of a prompt in the plainest way there is: all texts built at once, by recursion over
letters. It shares nothing with what it is compared to, and is slow and greedy.

It knows escapes, weights in front, picks with ranges and separators, nesting, wildcards (exact
names, with variables given to them), and variables. `outcomes` tells each text with its
probability, in the order of all texts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations

Lists = Mapping[str, Sequence[str]]
Outcome = tuple[str, Fraction]
Rest = Callable[[dict[str, object]], list[Outcome]]


def outcomes(text: str, lists: Lists) -> list[Outcome]:
    return [(said.strip(), chance) for said, chance in _texts(text, lists, {})]


def _texts(text: str, lists: Lists, known: dict[str, object]) -> list[Outcome]:
    """What the text may become, and how likely."""
    if not text:
        return [("", Fraction(1))]
    if text[0] == "\\" and text[1:2] in ("{", "}", "|"):
        return _before(text[1], _texts(text[2:], lists, known))
    if text.startswith("${"):
        return _variable(text, lists, known)
    if text.startswith("__"):
        call = re.match(r"__([^_()]+)(?:\(([^()]*)\))?__", text)
        assert call
        name, given, rest, inside = call[1], call[2] or "", text[call.end() :], dict(known)
        for pair in filter(None, given.split(",")):
            variable, _, value = pair.partition("=")
            inside[variable.strip()] = (value.strip(), dict(inside))
        own = _of_options([(Fraction(1), value) for value in lists[name]], lists, inside)
        return _product(own, _texts(rest, lists, known))
    if text[0] == "{":
        end = _closing(text, 0)
        own = _choice(text[1:end], lists, known)
        return _product(own, _texts(text[end + 1 :], lists, known))
    return _before(text[0], _texts(text[1:], lists, known))


def _variable(text: str, lists: Lists, known: dict[str, object]) -> list[Outcome]:
    end = _closing(text, 1)
    inside, rest = text[2:end], text[end + 1 :]
    if "=" not in inside:
        name, _, usual = inside.partition(":")
        held = known.get(name, (usual, known))
        if isinstance(held, str):
            return _before(held, _texts(rest, lists, known))
        body, scope = held  # type: ignore[misc]
        return _product(_texts(body, lists, scope), _texts(rest, lists, known))
    name, _, body = inside.partition("=")
    if not body.startswith("!"):
        return _texts(rest, lists, {**known, name: (body, known)})
    return [
        (said, first * second)
        for held, first in _texts(body[1:], lists, known)
        for said, second in _texts(rest, lists, {**known, name: held})
    ]


def _choice(inside: str, lists: Lists, known: dict[str, object]) -> list[Outcome]:
    least = most = 1
    separator, parts = ", ", _split(inside, "|")
    if set(parts[0].partition("$$")[0]) <= set("0123456789-") and "$$" in parts[0]:
        bound, _, rest = parts[0].partition("$$")
        if "$$" in rest:
            separator, _, rest = rest.partition("$$")
        parts[0] = rest
        low, dash, high = bound.partition("-")
        least = int(low or 0)
        most = least if not dash else int(high or len(parts))
        if len(parts) == 1 and rest.startswith("__"):
            parts = list(lists[rest[2:-2]])
            most = most if high or not dash else len(parts)
    options = [_weighed(part) for part in parts]
    most = min(most, len(options))
    found: list[Outcome] = []
    for many in range(least, most + 1):
        for order in permutations(range(len(options)), many):
            chance = Fraction(1, most - least + 1)
            left = sum(weight for weight, _ in options)
            for place in order:
                chance *= options[place][0] / left
                left -= options[place][0]
            said = [("", Fraction(1))]
            for index, place in enumerate(order):
                own = _texts(options[place][1], lists, known)
                said = _product(said, _before(separator if index else "", own))
            found += [(text, chance * own_chance) for text, own_chance in said]
    return found


def _of_options(
    options: Sequence[tuple[Fraction, str]], lists: Lists, known: dict[str, object]
) -> list[Outcome]:
    weighed = [_weighed(text) for _, text in options]
    total = sum(weight for weight, _ in weighed)
    return [
        (said, chance * weight / total)
        for weight, text in weighed
        for said, chance in _texts(text, lists, known)
    ]


def _weighed(part: str) -> tuple[Fraction, str]:
    number, colons, rest = part.partition("::")
    if colons and number.replace(".", "", 1).isdigit():
        return Fraction(number), rest
    return Fraction(1), part


def _closing(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        if text[place - 1 : place] == "\\":
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return place
    raise ValueError(text)


def _split(text: str, mark: str) -> list[str]:
    parts, depth = [""], 0
    for place, letter in enumerate(text):
        kept = text[place - 1 : place] == "\\"
        depth += 0 if kept else {"{": 1, "}": -1}.get(letter, 0)
        if letter == mark and not depth and not kept:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _before(text: str, rest: list[Outcome]) -> list[Outcome]:
    return [(text + said, chance) for said, chance in rest]


def _product(first: list[Outcome], second: list[Outcome]) -> list[Outcome]:
    return [(a + b, p * q) for a, p in first for b, q in second]
