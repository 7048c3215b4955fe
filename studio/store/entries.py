"""What is searched of each picture, written in the transaction that keeps the picture.

An entry is a row of whole numbers; names stand once as terms, the words of the prompt in `find`:
FTS5 on SQLite, a tsvector on PostgreSQL, of the same words. `changed` rises with every write, so
that who keeps entries in memory asks for what is newer.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, TextClause, delete, func, insert, select, text, update

from studio.formats.words import tokens
from studio.models.enlarge import alone
from studio.store.rows import Picture
from studio.store.tables import came_from, collected, entry, entry_term, job, picture, term
from studio.wishes.looks import names_of

SHOWN, TRASHED, GONE = range(3)
AT_ONCE = 500
# What is not of the picture itself: two that differ in these alone are variants of one wish.
APART = {"seed", "count", "owner", "priority", "filename", "tags", "upload_urls", "output_format"}
Terms = dict[tuple[str, str], int]


def add(
    tx: Connection, pictures: Sequence[Picture], near: Mapping[int, int | None] | None = None
) -> None:
    """`near` is how they look, by their index in the job; of older pictures nobody knows."""
    if not pictures:
        return
    asked = _jobs(tx, {one.job for one in pictures})
    names = {one.id: _names(one, *asked[one.job]) for one in pictures}
    known = ensure(tx, {pair for pairs in names.values() for pair in pairs})
    version = next_version(tx)
    rows = [
        _row(one, asked[one.job][0], names[one.id], known)
        | {"changed": version, "near": (near or {}).get(one.index)}
        for one in pictures
    ]
    statement = insert(entry).returning(entry.c.seq, sort_by_parameter_order=True)
    seqs = list(tx.execute(statement, rows).scalars())
    more = [
        {"seq": seq, "term": known[pair]}
        for seq, one in zip(seqs, pictures, strict=True)
        for pair in names[one.id]
        if pair[0] in MANY
    ]
    if more:
        tx.execute(insert(entry_term), more)
    _index(tx, zip(seqs, (one.prompt for one in pictures), strict=True))
    sources = [row for one in pictures for row in _sources(one.id, *asked[one.job])]
    if sources:
        tx.execute(insert(came_from), sources)


def forget(tx: Connection, seqs: Sequence[int]) -> None:
    """The picture's own row goes with it, by whoever calls; the entry stays and says so."""
    query = select(entry.c.seq, entry.c.picture, picture.c.prompt).join(
        picture, picture.c.id == entry.c.picture
    )
    found = list(tx.execute(query.where(entry.c.seq.in_(seqs))))
    if tx.dialect.name == "sqlite":
        gone = [(seq, " ".join(tokens(prompt))) for seq, _, prompt in found]
        for row in gone:  # what keeps no text of its own must be told what it is to forget
            tx.exec_driver_sql("INSERT INTO find(find, rowid, words) VALUES ('delete', ?, ?)", row)
    else:
        tx.execute(text("DELETE FROM find WHERE seq = ANY(:seqs)"), {"seqs": list(seqs)})
    names = [name for _, name, _ in found]
    tx.execute(delete(entry_term).where(entry_term.c.seq.in_(seqs)))
    tx.execute(delete(came_from).where(came_from.c.picture.in_(names)))
    tx.execute(delete(collected).where(collected.c.picture.in_(names)))
    change = {"state": GONE, "trashed_at": None, "changed": next_version(tx)}
    tx.execute(update(entry).where(entry.c.seq.in_(seqs)).values(change))


def missing(tx: Connection) -> bool:
    """Whether a picture has no entry: the database is of an older version, or was mended."""
    there = select(func.count()).select_from(entry).where(entry.c.state < GONE)
    return tx.scalar(there) != tx.scalar(select(func.count()).select_from(picture))


def catch_up(tx: Connection, after: str) -> str:
    """The next pictures without an entry get one, the oldest first. The last one's id, or ""."""
    lone = select(picture).join(entry, entry.c.picture == picture.c.id, isouter=True)
    lone = lone.where(entry.c.seq.is_(None), picture.c.id > after).order_by(picture.c.id)
    found = [Picture(*row) for row in tx.execute(lone.limit(AT_ONCE))]
    add(tx, found)
    return found[-1].id if found else ""


def wordless(tx: Connection) -> TextClause:
    """Of entries whose words are not in the index; only a database that was mended has such."""
    number = "rowid" if tx.dialect.name == "sqlite" else "seq"
    there = f"EXISTS (SELECT 1 FROM find WHERE find.{number} = entry.seq)"
    return text(f"entry.state < {GONE} AND NOT {there}")


def index_again(tx: Connection) -> None:
    query = select(entry.c.seq, picture.c.prompt).join(picture, picture.c.id == entry.c.picture)
    found = [(seq, prompt) for seq, prompt in tx.execute(query.where(wordless(tx)))]
    if found:
        _index(tx, found)


def next_version(tx: Connection) -> int:
    return int(tx.scalar(select(func.coalesce(func.max(entry.c.changed), 0))) or 0) + 1


def ensure(tx: Connection, pairs: Iterable[tuple[str, str]]) -> Terms:
    """The number of each name of a kind; new ones get theirs now. No name has none."""
    found: Terms = {}
    wanted = sorted({(kind, name) for kind, name in pairs if name})
    for kind in dict.fromkeys(kind for kind, _ in wanted):
        names = [name for its, name in wanted if its == kind]
        query = select(term.c.text, term.c.id).where(term.c.kind == kind, term.c.text.in_(names))
        found |= {(kind, name): number for name, number in tx.execute(query)}
    new = [{"kind": kind, "text": name} for kind, name in wanted if (kind, name) not in found]
    if new:
        added = tx.execute(insert(term).returning(term.c.kind, term.c.text, term.c.id), new)
        found |= {(kind, name): number for kind, name, number in added}
    return found


ONE = ("owner", "model", "sampler", "size", "format")
MANY = ("look", "lora", "tag", "kind")


def _jobs(tx: Connection, ids: set[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    query = select(job.c.id, job.c.request, job.c.wish, job.c.rerun_of).where(job.c.id.in_(ids))
    return {key: (asked, wish, of or "") for key, asked, wish, of in tx.execute(query)}


def _names(
    one: Picture, request: Mapping[str, Any], wish: Mapping[str, Any], rerun_of: str
) -> set[tuple[str, str]]:
    names = {
        ("owner", one.owner),
        ("model", one.model),
        ("sampler", str(request.get("sampler") or "")),
        ("size", f"{one.width}x{one.height}"),
        ("format", one.format),
        *(("kind", kind) for kind in _kinds(request, rerun_of, "imported" in one.recipe)),
        *(("look", name) for name in names_of(str(wish.get("look") or ""))),
        *(("lora", str(use["name"])) for use in request.get("loras") or ()),
        *(("tag", str(tag)) for tag in request.get("tags") or ()),
    }
    return {(kind, name.replace("\x00", "?")) for kind, name in names if name}


def _kinds(request: Mapping[str, Any], rerun_of: str, imported: bool) -> Iterator[str]:
    if imported:
        yield "imported"
    enlarged = alone(request) if "model" in request else False
    if request.get("start_image") and not enlarged:
        yield "inpainted" if request.get("mask") else "redrawn"
    if request.get("references"):
        yield "referenced"
    if enlarged or (request.get("upscale") or 1) > 1:
        yield "upscaled"
    if rerun_of:
        yield "rerun"
    if not (imported or enlarged or request.get("start_image") or request.get("references")):
        yield "painted"


def _row(
    one: Picture, request: Mapping[str, Any], names: set[tuple[str, str]], known: Terms
) -> dict[str, Any]:
    its = {kind: known[kind, name] for kind, name in names if kind in ONE}
    return {
        "picture": one.id,
        **{kind: its.get(kind, 0) for kind in ONE},
        "width": one.width,
        "height": one.height,
        "steps": int(request.get("steps") or 0),
        "guidance": round(1000 * float(request.get("guidance") or 0)),
        "seed": one.seed,
        "kept_at": round(1_000_000 * one.created_at),
        "family": _family(request, one.owner),
    }


def _family(request: Mapping[str, Any], owner: str) -> int:
    """The same for pictures of one owner that differ in nothing but the seed."""
    same = {name: value for name, value in request.items() if name not in APART}
    told = json.dumps([owner, same], sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big", signed=True)


def _sources(
    picture_id: str, request: Mapping[str, Any], wish: Mapping[str, Any], rerun_of: str
) -> Iterator[dict[str, Any]]:
    found = [
        ("rerun_of", rerun_of),
        ("enlarged_from", request.get("enlarged_from")),
        ("start_image", None if request.get("enlarged_from") else request.get("start_image")),
        ("mask", request.get("mask")),
        *(("reference", one["id"]) for one in request.get("references") or ()),
    ]
    for n, (role, source) in enumerate(found):
        if source:
            yield {"picture": picture_id, "n": n, "role": role, "source": source}


def _index(tx: Connection, prompts: Iterable[tuple[int, str]]) -> None:
    if tx.dialect.name == "sqlite":
        rows = [(seq, " ".join(tokens(prompt))) for seq, prompt in prompts]
        tx.exec_driver_sql("INSERT INTO find(rowid, words) VALUES (?, ?)", rows)
        return
    told = [
        {
            "seq": seq,
            "words": " ".join(f"'{word}':{n + 1}" for n, word in enumerate(tokens(prompt))),
        }
        for seq, prompt in prompts
    ]
    tx.execute(text("INSERT INTO find(seq, words) VALUES (:seq, (:words)::tsvector)"), told)
