"""Filters that are clicked instead of typed: which of a search are on, the search without one and
with another. Pure: a filter is a piece of the search's own language, so both say the same.
"""

import re
from collections.abc import Sequence

from studio.formats.query import Node, Not, Piece, leaves, parse
from studio.formats.query_fields import Flag

PLAIN = re.compile(r'[^\s(),"]+')
SEVERAL = ("tag", "lora", "kind", "in")  # a picture may have more than one of them


def clause(facet: str, value: str) -> str:
    """As one would type it; nothing where the language has no way to say it."""
    if facet in ("day", "month"):
        return f"date:{value}"
    if facet in ("star", "rating", "size", "kind", "format"):
        return f"{facet}:{value}"
    if '"' in value:
        return ""
    return f"{facet}:={value}" if PLAIN.fullmatch(value) else f'{facet}:="{value}"'


def is_on(pieces: Sequence[Piece], filter_: str, now: float) -> bool:
    node = parse(filter_, now)
    return any(piece.node == node for piece in pieces)


def switched(pieces: Sequence[Piece], filter_: str, now: float) -> str:
    """The search without this filter if it has it, else with it: in place of the one of its kind
    where a picture has only one."""
    node = parse(filter_, now)
    rest = [piece for piece in pieces if piece.node != node]
    if len(rest) < len(pieces):
        return _text(rest)
    return _text([*others(rest, node), Piece(filter_, node)])


def others(pieces: Sequence[Piece], node: Node) -> list[Piece]:
    """Those that say nothing of what this one speaks of."""
    about = _about(node)
    if about & set(SEVERAL):
        return list(pieces)
    return [piece for piece in pieces if isinstance(piece.node, Not) or _about(piece.node) != about]


def apart(pieces: Sequence[Piece], filter_: str, now: float) -> str:
    """The search without all that stands in the place of this filter."""
    return _text(others(pieces, parse(filter_, now)))


def _about(node: Node) -> set[str]:
    return {_of(leaf) for leaf in leaves(node)}


def _of(leaf: object) -> str:
    return leaf.name if isinstance(leaf, Flag) else str(getattr(leaf, "field", "words"))


def _text(pieces: Sequence[Piece]) -> str:
    return " ".join(piece.text for piece in pieces)
