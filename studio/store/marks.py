"""What a person says of pictures: stars, ratings, tags, and whether they lie in the trash.

Inside a given transaction, for many at once. What is in the trash is whole until it is emptied;
then the rows go first, with a note of the files that must follow.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import Field, ValidationError
from sqlalchemy import Connection, delete, insert, select, update

from studio.errors import NotFound, Refused, field_sentence
from studio.request import Part, Word
from studio.store import entries
from studio.store.entries import SHOWN, TRASHED
from studio.store.tables import entry, entry_term, leaving, picture, term

AT_ONCE = 500
MAX_TAGS = 32
MAX_RATING = 5
One = TypeVar("One")


class Marks(Part):
    """What shall be so; None leaves it as it is."""

    star: bool | None = Field(None, description="Starred or not.")
    rating: int | None = Field(None, ge=0, le=MAX_RATING, description="0 takes it away.")
    add_tags: tuple[Word, ...] = Field((), max_length=MAX_TAGS, strict=False)
    remove_tags: tuple[Word, ...] = Field((), max_length=MAX_TAGS, strict=False)
    trash: bool | None = Field(None, description="Into the trash, or out of it.")


def read_marks(fields: Mapping[str, object]) -> Marks:
    try:
        marks = Marks.model_validate(fields)
    except ValidationError as error:
        path, sentence = field_sentence(error)
        raise Refused(sentence, field=path or None) from None
    if not marks.model_fields_set:
        raise Refused(
            "There is nothing to mark; give star, rating, add_tags, remove_tags or trash."
        )
    return marks


def numbers(tx: Connection, ids: Sequence[str], owner: str | None) -> list[int]:
    """Of their entries, in their order; all must be there."""
    found: dict[str, int] = {}
    for some in parts(ids):
        query = select(entry.c.picture, entry.c.seq).where(
            entry.c.picture.in_(some), entry.c.state <= TRASHED
        )
        if owner is not None:
            query = query.join(term, term.c.id == entry.c.owner).where(term.c.text == owner)
        found |= {key: seq for key, seq in tx.execute(query)}
    for key in ids:
        if key not in found:
            raise NotFound(f"There is no picture {key[:64]!r}.")
    return [found[key] for key in dict.fromkeys(ids)]


def mark(tx: Connection, seqs: Sequence[int], marks: Marks, now: float) -> int:
    """How many are otherwise than before."""
    changed: set[int] = set()
    for asked in parts(seqs):
        here = select(entry.c.seq).where(entry.c.seq.in_(asked), entry.c.state <= TRASHED)
        # A search may have found what has left since.
        some: Sequence[int] = list(tx.execute(here).scalars())
        changed |= _flags(tx, some, marks, now)
        changed |= _untag(tx, some, marks.remove_tags)
        changed |= _tag(tx, some, marks.add_tags)
    version = entries.next_version(tx)
    for some in parts(sorted(changed)):
        tx.execute(update(entry).where(entry.c.seq.in_(some)).values(changed=version))
    return len(changed)


def _flags(tx: Connection, seqs: Sequence[int], marks: Marks, now: float) -> set[int]:
    changed: set[int] = set()
    wanted = {
        entry.c.star: None if marks.star is None else int(marks.star),
        entry.c.rating: marks.rating,
        entry.c.state: None if marks.trash is None else (TRASHED if marks.trash else SHOWN),
    }
    for column, value in wanted.items():
        if value is None:
            continue
        change: dict[object, object] = {column: value}
        if column is entry.c.state:
            change[entry.c.trashed_at] = now if marks.trash else None
        others = update(entry).where(entry.c.seq.in_(seqs), column != value)
        changed |= set(tx.execute(others.values(change).returning(entry.c.seq)).scalars())
    return changed


def _untag(tx: Connection, seqs: Sequence[int], tags: Sequence[str]) -> set[int]:
    if not tags:
        return set()
    its = select(term.c.id).where(term.c.kind == "tag", term.c.text.in_(tags))
    gone = delete(entry_term).where(entry_term.c.seq.in_(seqs), entry_term.c.term.in_(its))
    return set(tx.execute(gone.returning(entry_term.c.seq)).scalars())


def _tag(tx: Connection, seqs: Sequence[int], tags: Sequence[str]) -> set[int]:
    changed: set[int] = set()
    for number in entries.ensure(tx, [("tag", tag) for tag in tags]).values():
        its = (entry_term.c.term == number, entry_term.c.seq.in_(seqs))
        having = set(tx.execute(select(entry_term.c.seq).where(*its)).scalars())
        fresh = [seq for seq in seqs if seq not in having]
        if fresh:
            tx.execute(insert(entry_term), [{"seq": seq, "term": number} for seq in fresh])
        changed |= set(fresh)
    return changed


def discard(tx: Connection, before: float, seqs: Sequence[int] | None, owner: str | None) -> int:
    """The next of the trash, put there before then, end for good. How many did."""
    query = select(entry.c.seq, picture.c.id, picture.c.path, picture.c.thumb)
    query = query.join(picture, picture.c.id == entry.c.picture)
    query = query.where(entry.c.state == TRASHED, entry.c.trashed_at <= before)
    if seqs is not None:
        query = query.where(entry.c.seq.in_(seqs))
    if owner is not None:
        query = query.where(picture.c.owner == owner)
    found = list(tx.execute(query.limit(AT_ONCE)))
    if not found:
        return 0
    names = [{"name": name} for row in found for name in (row.path, row.thumb)]
    tx.execute(insert(leaving), names)
    entries.forget(tx, [row.seq for row in found])
    tx.execute(delete(picture).where(picture.c.id.in_([row.id for row in found])))
    return len(found)


def parts(many: Sequence[One]) -> list[Sequence[One]]:
    return [many[at : at + AT_ONCE] for at in range(0, len(many), AT_ONCE)]
