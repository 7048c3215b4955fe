"""Pages of what was found, in an order, each going on behind the last picture of the one before.

A cursor names that picture by what it is ordered by, never by how many came before. So what is
added or deleted meanwhile makes nobody see a picture twice, or miss one that was there all along.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from studio.errors import Refused
from studio.formats.query import All, Node, Some, Words
from studio.formats.words import tokens
from studio.store.columns import Numbers, Sight
from studio.store.search import Found

Sort = Literal["newest", "oldest", "rating", "relevance"]
RANKED = 1000  # relevance looks at the newest so many of those that match
Prompts = Callable[[Sequence[int]], dict[int, str]]  # of entries by their numbers
Cursor = tuple[int, ...]


def sort_of(word: str) -> Sort:
    for known in get_args(Sort):
        if word == known:
            return known  # type: ignore[no-any-return]
    raise Refused(f"sort: {word[:40]!r} is none of {', '.join(get_args(Sort))}.", field="sort")


def page(
    found: Found, query: Node, sort: Sort, after: str | None, limit: int, prompts: Prompts
) -> tuple[list[int], str | None]:
    """The numbers of the entries, and where the next page begins."""
    cursor = _read(after, sort) if after else None
    if sort == "relevance":
        return _by_relevance(found, query, cursor, limit, prompts)
    rows = np.flatnonzero(found.mask)
    keys, bound = _keys(found.sight, rows, sort, cursor)
    if bound is not None:
        behind = keys < bound
        rows, keys = rows[behind], keys[behind]
    best = _best(rows, keys, limit + 1, _rising(found.sight, sort))
    more = len(best) > limit
    best = best[:limit]
    seqs = [int(seq) for seq in found.sight["seq"][best]]
    return seqs, _cursor(found.sight, int(best[-1]), sort) if more else None


def _keys(
    sight: Sight, rows: Numbers, sort: Sort, cursor: Cursor | None
) -> tuple[Numbers, int | None]:
    """What each is ordered by, the largest first, and the least that is too large."""
    age = _age(sight)
    sign = -1 if sort == "oldest" else 1
    keys = sign * age[rows]
    if sort == "rating":
        keys = keys + (sight["rating"][rows].astype(np.int64) << 40)
    if cursor is None:
        return keys, None
    rating, kept_at, seq = cursor
    bound = _place(sight, kept_at, seq, past=sort == "oldest")
    return keys, sign * bound + (rating << 40 if sort == "rating" else 0)


def _age(sight: Sight) -> Numbers:
    """The place of each among all in the order in which they were kept."""
    if sight.in_order:
        return np.arange(sight.count, dtype=np.int64)
    age = np.empty(sight.count, np.int64)
    age[np.argsort(sight["kept_at"], kind="stable")] = np.arange(sight.count)
    return age


def _place(sight: Sight, kept_at: int, seq: int, *, past: bool) -> int:
    """Before how many of all a picture of that moment stands, whether it is still here or not.
    With `past` it is the last place that is not behind it."""
    earlier = sight["kept_at"] < kept_at
    same = (sight["kept_at"] == kept_at) & (sight["seq"] < seq + past)
    return int(np.count_nonzero(earlier | same)) - past


def _rising(sight: Sight, sort: Sort) -> int:
    """Whether keys rise with the rows, fall, or neither."""
    return {"newest": 1, "oldest": -1}.get(sort, 0) if sight.in_order else 0


def _best(rows: Numbers, keys: Numbers, count: int, rising: int) -> Numbers:
    """Those of the largest keys, the largest first."""
    if rising:
        return rows[-count:][::-1] if rising > 0 else rows[:count]
    if len(keys) > count:
        some = np.argpartition(keys, len(keys) - count)[-count:]
        rows, keys = rows[some], keys[some]
    return rows[np.argsort(keys)[::-1]]


def _by_relevance(
    found: Found, query: Node, cursor: Cursor | None, limit: int, prompts: Prompts
) -> tuple[list[int], str | None]:
    """Of the newest that match at the first page; a later page looks at the same."""
    wanted = list(_wanted(query))
    if not wanted:
        raise Refused("sort: relevance needs words to search for.", field="sort")
    seqs = found.sight["seq"][found.mask]
    if cursor:
        seqs = seqs[(seqs >= cursor[2]) & (seqs <= cursor[3])]
    seqs = seqs[-RANKED:]
    said = prompts([int(seq) for seq in seqs])
    ranked = sorted(((-_score(text, wanted), -seq) for seq, text in said.items()))
    if cursor:
        ranked = [key for key in ranked if key > (-cursor[0], -cursor[1])]
    best = [(-score, -seq) for score, seq in ranked[:limit]]
    if len(ranked) <= limit:
        return [seq for _, seq in best], None
    edges = cursor[2:] if cursor else (int(seqs[0]), int(seqs[-1]))
    return [seq for _, seq in best], _write("relevance", (*best[-1], *edges))


def _wanted(node: Node) -> list[Words]:
    match node:
        case Words():
            return [node]
        case All(parts) | Some(parts):
            return [word for part in parts for word in _wanted(part)]
    return []


def _score(prompt: str, wanted: Sequence[Words]) -> int:
    """More for words that come early and often, in a prompt that says little else."""
    words = tokens(prompt)
    score = 0.0
    for one in wanted:
        size = len(one.tokens)
        hits = [at for at in range(len(words) - size + 1) if _here(words, at, one)]
        if hits:
            score += size * (len(hits) / (len(words) + 8) + 1 / (hits[0] + 4))
    return round(score * 1_000_000)


def _here(words: Sequence[str], at: int, wanted: Words) -> bool:
    *whole, last = wanted.tokens
    found = words[at + len(whole)]
    same = found.startswith(last) if wanted.prefix else found == last
    return same and list(words[at : at + len(whole)]) == whole


def _cursor(sight: Sight, row: int, sort: Sort) -> str:
    at = [int(sight[name][row]) for name in ("rating", "kept_at", "seq")]
    return _write(sort, at)


def _write(sort: Sort, at: Sequence[int]) -> str:
    told = json.dumps([sort[:3], *at], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _read(after: str, sort: Sort) -> Cursor:
    try:
        told = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        its, *at = told
        if its != sort[:3] or len(at) != (4 if sort == "relevance" else 3):
            raise ValueError
        if not all(type(number) is int and abs(number) < 2**62 for number in at):
            raise ValueError
        return tuple(at)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        sentence = "after: that is no `next` of an earlier page in this order. Begin again."
        raise Refused(sentence, field="after") from None
