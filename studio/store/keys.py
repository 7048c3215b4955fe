"""Idempotency keys: a submission that is sent twice enters the line once.

A key belongs to the owner of the jobs and is remembered for a day. It stands for jobs, or for one
bulk file.
"""

from sqlalchemy import Connection, delete, insert, select

from studio.errors import Refused
from studio.store.tables import idempotency

KEY_SECONDS = 24 * 3600


def recall(tx: Connection, owner: str, key: str, body_hash: str, now: float) -> list[str]:
    """The ids it stands for; none if it is new. Another body under it is refused."""
    forget(tx, now)
    mine = (idempotency.c.owner == owner, idempotency.c.key == key)
    row = tx.execute(select(idempotency).where(*mine)).first()
    if row is None:
        return []
    if row.body_hash != body_hash:
        raise Refused(
            f"Idempotency-Key: {key[:60]!r} came with another wish less than 24 hours ago. "
            "Take a new key for a new wish.",
            field="Idempotency-Key",
        )
    return list(row.jobs)


def forget(tx: Connection, now: float) -> int:
    """Those that were remembered for long enough. How many."""
    old = idempotency.c.created_at < now - KEY_SECONDS
    return tx.execute(delete(idempotency).where(old)).rowcount


def remember(
    tx: Connection, owner: str, key: str, body_hash: str, ids: list[str], now: float
) -> None:
    values = {"owner": owner, "key": key, "body_hash": body_hash, "created_at": now}
    tx.execute(insert(idempotency).values(jobs=ids, **values))
