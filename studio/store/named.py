"""Things with a name of their own: collections, saved searches, reference sets. Names are an
owner's, each once. Inside a given transaction; what a thing holds is no business of this file.
"""

from typing import Any

from sqlalchemy import Connection, Row, Select, Table, delete, insert, select, update

from studio.errors import Conflict, NotFound, Refused
from studio.store.ids import new_id

MAX_NAME = 100
WORDS = {
    "collection": "collection",
    "saved_search": "saved search",
    "reference_set": "reference set",
}


def make(tx: Connection, table: Table, owner: str, name: str, now: float, **more: object) -> str:
    _free(tx, table, owner, name, "")
    row = {"id": new_id(), "owner": owner, "name": name, "created_at": now, **more}
    tx.execute(insert(table).values(row))
    return str(row["id"])


def change(tx: Connection, table: Table, key: str, owner: str | None, **what: object) -> None:
    its = find(tx, table, key, owner)
    if isinstance(name := what.get("name"), str):
        _free(tx, table, its.owner, name, key)
    tx.execute(update(table).where(table.c.id == key).values(what))


def remove(tx: Connection, table: Table, key: str, owner: str | None) -> None:
    find(tx, table, key, owner)
    tx.execute(delete(table).where(table.c.id == key))


def find(tx: Connection, table: Table, key: str, owner: str | None) -> Row[Any]:
    row = tx.execute(_own(table, owner).where(table.c.id == key)).first()
    if row is None:
        raise NotFound(f"There is no {WORDS[table.name]} {key[:64]!r}.")
    return row


def all_of(tx: Connection, table: Table, owner: str | None) -> list[Row[Any]]:
    return list(tx.execute(_own(table, owner).order_by(table.c.name, table.c.id)))


def _own(table: Table, owner: str | None) -> Select[Any]:
    query = select(table)
    return query if owner is None else query.where(table.c.owner == owner)


def _free(tx: Connection, table: Table, owner: str, name: str, key: str) -> None:
    what = WORDS[table.name]
    if not 1 <= len(name.strip()) <= MAX_NAME or "\x00" in name:
        sentence = f"name: {name[:40]!r} is no name of a {what}; it has 1 to {MAX_NAME} signs."
        raise Refused(sentence, field="name")
    same = select(table.c.id).where(table.c.owner == owner, table.c.name == name)
    if tx.scalar(same.where(table.c.id != key)) is not None:
        raise Conflict(f"name: there is a {what} {name!r} already.", field="name")
