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
from studio.store.arranged import Placed, among, behind
from studio.store.columns import Mask, Numbers, Sight
from studio.store.marks import MAX_RATING
from studio.store.search import Found

Sort = Literal["newest", "oldest", "rating", "relevance", "collection"]
RANKED = 1000  # relevance looks at the newest so many of those that match
Prompts = Callable[[Sequence[int]], dict[int, str]]  # of entries by their numbers
Cursor = tuple[int, ...]
LENGTHS = {"relevance": 4, "collection": 2}  # of cursors; others have three numbers


def sort_of(word: str) -> Sort:
    for known in get_args(Sort):
        if word == known:
            return known  # type: ignore[no-any-return]
    raise Refused(f"sort: {word[:40]!r} is none of {', '.join(get_args(Sort))}.", field="sort")


def page(
    found: Found,
    query: Node,
    sort: Sort,
    after: str | None,
    limit: int,
    prompts: Prompts,
    placed: Placed | None = None,
) -> tuple[list[int], str | None]:
    """The numbers of the entries, and where the next page begins. `placed` is the order of the
    collection, for who asks for it."""
    cursor = _read(after, sort) if after else None
    if sort == "relevance":
        return _by_relevance(found, query, cursor, limit, prompts)
    if placed is not None:
        return _by_place(among(found, placed), cursor, limit)
    rows = np.flatnonzero(found.mask)
    if sort == "rating":
        best = _by_rating(found.sight, rows, cursor, limit + 1)
    else:
        best = by_age(found.sight, rows, cursor, limit + 1, oldest=sort == "oldest")
    more = len(best) > limit
    seqs = [int(seq) for seq in found.sight["seq"][best[:limit]]]
    return seqs, _cursor(found.sight, int(best[limit - 1]), sort) if more else None


def _by_place(its: Placed, cursor: Cursor | None, limit: int) -> tuple[list[int], str | None]:
    seqs = behind(its, cursor) if cursor else its[1]
    shown = [int(seq) for seq in seqs[:limit]]
    if len(seqs) <= limit:
        return shown, None
    place = int(its[0][its[1] == shown[-1]][0])
    return shown, _write("collection", (place, shown[-1]))


def newest_first(sight: Sight, mask: Mask) -> list[int]:
    """The numbers of all of them."""
    rows = np.flatnonzero(mask)
    return [int(seq) for seq in sight["seq"][by_age(sight, rows, None, len(rows), oldest=False)]]


def _by_rating(sight: Sight, rows: Numbers, cursor: Cursor | None, count: int) -> Numbers:
    """The best rated first, and of those the newest."""
    ratings = sight["rating"][rows]
    found: Numbers = np.empty(0, np.int64)
    for rating in range(min(cursor[0], MAX_RATING) if cursor else MAX_RATING, -1, -1):
        its = cursor if cursor and rating == cursor[0] else None
        more = by_age(sight, rows[ratings == rating], its, count - len(found), oldest=False)
        found = np.concatenate((found, more))
        if len(found) == count:
            break
    return found


def by_age(
    sight: Sight, rows: Numbers, cursor: Cursor | None, count: int, *, oldest: bool
) -> Numbers:
    """By when they were kept, and among those of one moment by their number."""
    if cursor:
        rows = rows[_behind(sight, rows, cursor, oldest)]
    if sight.in_order:
        return rows[:count] if oldest else rows[::-1][:count]
    kept_at = sight["kept_at"][rows]
    if len(rows) > count:  # no need to sort those that come later
        edge = count - 1 if oldest else len(rows) - count
        last = np.partition(kept_at, edge)[edge]
        rows = rows[kept_at <= last if oldest else kept_at >= last]
    order = np.lexsort((sight["seq"][rows], sight["kept_at"][rows]))
    return rows[order[:count] if oldest else order[::-1][:count]]


def _behind(sight: Sight, rows: Numbers, cursor: Cursor, oldest: bool) -> Mask:
    _, moment, number = cursor
    kept_at, seq = sight["kept_at"][rows], sight["seq"][rows]
    if oldest:
        return np.asarray((kept_at > moment) | ((kept_at == moment) & (seq > number)))
    return np.asarray((kept_at < moment) | ((kept_at == moment) & (seq < number)))


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
        hits = _hits(words, one)
        if hits:
            length = len(one.tokens)
            score += length * (len(hits) / (len(words) + 8) + 1 / (hits[0] + 4))
    return round(score * 1_000_000)


def _hits(words: list[str], wanted: Words) -> list[int]:
    """Where they begin."""
    *whole, last = wanted.tokens
    size = len(whole)
    if wanted.prefix:
        ends = [at for at, word in enumerate(words) if at >= size and word.startswith(last)]
    elif last not in words:  # which is quick, and true of most
        return []
    else:
        ends = [at for at, word in enumerate(words) if at >= size and word == last]
    return [at - size for at in ends if words[at - size : at] == whole]


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
        if its != sort[:3] or len(at) != LENGTHS.get(sort, 3):
            raise ValueError
        if not all(type(number) is int and abs(number) < 2**62 for number in at):
            raise ValueError
        return tuple(at)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        sentence = "after: that is no `next` of an earlier page in this order. Begin again."
        raise Refused(sentence, field="after") from None
