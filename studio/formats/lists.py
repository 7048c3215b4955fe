"""Lists of words out of a file: a line for each, JSON, or the part of YAML that such lists are
written in: names with lists below them, items behind dashes, comments, quotes.

A list that has no name of its own is under the empty name. Whatever is not read is refused with its
line. Pure and without recursion; no alias multiplies anything.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

MOST_VALUES = 100_000  # of one file
MOST_DEEP = 8  # names below names
Lists = Mapping[str, tuple[str, ...]]


def lines(text: str) -> Lists:
    """Each line is a value; empty ones and those that begin with # are none."""
    stripped = (line.strip() for line in text.splitlines())
    return _bounded({"": [line for line in stripped if line and line[0] != "#"]})


def from_json(text: str) -> Lists:
    try:
        read = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    found: dict[str, list[str]] = {}
    waiting: list[tuple[str, object, int]] = [("", read, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, dict) and depth < MOST_DEEP:
            below = [(_below(name, key), one, depth + 1) for key, one in value.items()]
            waiting += reversed(below)
        elif isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
            found.setdefault(name, []).extend(str(one) for one in value)
        elif isinstance(value, str | int | float):
            found.setdefault(name, []).append(str(value))
        else:
            where = f"in {name!r} " if name else ""
            raise ValueError(f"{where}there must be lists of text, and names for them")
    return _bounded(found)


def from_yaml(text: str) -> Lists:
    found: dict[str, list[str]] = {}
    names: list[tuple[int, str]] = []  # that are open, with their indents
    items_at = -1  # the indent of the list that is being read
    for number, line in enumerate(text.splitlines(), start=1):
        indent = len(line) - len(line.lstrip(" "))
        said = line[indent:].rstrip()
        if not said or said[0] == "#" or (said == "---" and not found):
            continue
        if said[0] == "\t":
            raise ValueError(f"line {number}: a tab; indent with spaces")
        if said == "-" or said.startswith("- "):
            while names and names[-1][0] > indent:
                names.pop()
            if indent != items_at and items_at >= 0:
                raise ValueError(f"line {number}: it is indented unlike the items before it")
            items_at = indent
            found.setdefault(_path(names), []).append(_item(said[1:].strip(), number))
            continue
        named = _NAMED.fullmatch(said)
        if not named:
            raise ValueError(f"line {number}: neither an item (- value) nor a name (name:)")
        items_at = -1
        while names and names[-1][0] >= indent:
            names.pop()
        names.append((indent, _unquoted(named["name"], number)))
        if len(names) > MOST_DEEP:
            raise ValueError(f"line {number}: names are at most {MOST_DEEP} deep")
        rest = _uncommented(named["rest"] or "", number)
        if rest.startswith("["):
            found.setdefault(_path(names), []).extend(_flow(rest, number))
        elif rest:
            found.setdefault(_path(names), []).append(_scalar(rest, number))
    return _bounded(found)


READERS: Mapping[str, Callable[[str], Lists]] = {
    ".txt": lines,
    ".json": from_json,
    ".yaml": from_yaml,
    ".yml": from_yaml,
}

_QUOTED = r"\"(?:[^\"\\]|\\.)*+\"|'(?:[^']|'')*+'"
_NAMED = re.compile(rf"(?P<name>{_QUOTED}|[^\s\"'#\-\[{{&*!|>%@`][^:#]*+):(?:\s++(?P<rest>.*+))?")
_TEXT = re.compile(rf"(?P<text>{_QUOTED})(?:\s++#.*+)?|(?P<plain>.*+)")
_IN_FLOW = re.compile(rf"\s*+(?P<one>{_QUOTED}|[^,\[\]\"']*+)\s*+(?P<next>[,\]])")
_COMMENT = re.compile(r"\s#.*+")
_NOT_READ = "&*!|>%@`"


def _path(names: list[tuple[int, str]]) -> str:
    return "/".join(name for _, name in names)


def _below(name: str, key: str) -> str:
    return f"{name}/{key}" if name else key


def _item(said: str, number: int) -> str:
    rest = _uncommented(said, number)
    if not rest:
        raise ValueError(f"line {number}: there is nothing behind the dash")
    if rest == "-" or rest.startswith("- "):
        raise ValueError(f"line {number}: a list in a list has no name")
    return _scalar(rest, number)


def _uncommented(said: str, number: int) -> str:
    if said[:1] in ("'", '"'):
        whole = _TEXT.fullmatch(said)
        if whole is None or whole["text"] is None:
            raise ValueError(f"line {number}: the quotes are not closed, or not at the end")
        return whole["text"]
    return "" if said[:1] == "#" else _COMMENT.sub("", said).rstrip()


def _scalar(said: str, number: int) -> str:
    if said[0] in _NOT_READ:
        raise ValueError(f"line {number}: {said[0]} is not read here; put the value in quotes")
    if said[0] not in "'\"" and (": " in said or said[-1] == ":"):
        raise ValueError(f"line {number}: an item with a name; put the value in quotes")
    return _unquoted(said, number)


def _unquoted(said: str, number: int) -> str:
    if said[:1] == "'":
        return said[1:-1].replace("''", "'")
    if said[:1] == '"':
        try:
            return str(json.loads(said))
        except ValueError:
            raise ValueError(f"line {number}: {said[:40]} is not text in quotes") from None
    return said.strip()


def _flow(said: str, number: int) -> Iterator[str]:
    place, following = 1, ","
    while following == ",":
        one = _IN_FLOW.match(said, place)
        if one is None:
            raise ValueError(f"line {number}: [ is not closed here; put the value in quotes")
        if one["one"].strip():
            yield _unquoted(one["one"].strip(), number)
        place, following = one.end(), one["next"]
    if said[place:].strip():
        raise ValueError(f"line {number}: something stands behind ]; put the value in quotes")


def _bounded(found: Mapping[str, list[str]]) -> Lists:
    many = sum(map(len, found.values()))
    if many > MOST_VALUES:
        raise ValueError(f"it holds {many} values; the most is {MOST_VALUES}")
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}
