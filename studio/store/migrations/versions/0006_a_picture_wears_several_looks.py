"""A picture may wear several looks: each is a term of its entry, as its LoRAs and tags are."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

LISTS = "SELECT id, text FROM term WHERE kind = 'look' AND text LIKE '%,%'"
KNOWN = "SELECT id FROM term WHERE kind = 'look' AND text = :name"
NEW = "INSERT INTO term (kind, text) VALUES ('look', :name) RETURNING id"
OF_A_LIST = """INSERT INTO entry_term (seq, term)
    SELECT seq, :term FROM entry WHERE look = :look AND state < 2"""
OF_ONE = """INSERT INTO entry_term (seq, term)
    SELECT entry.seq, term.id FROM entry JOIN term ON term.id = entry.look
    WHERE entry.state < 2 AND term.text NOT LIKE '%,%'"""


def upgrade() -> None:
    tx = op.get_bind()
    tx.execute(sa.text(OF_ONE))
    for look, said in tx.execute(sa.text(LISTS)).all():
        for name in {name for part in said.split(",") if (name := part.strip())}:
            term = tx.scalar(sa.text(KNOWN), {"name": name})
            if term is None:
                term = tx.scalar(sa.text(NEW), {"name": name})
            tx.execute(sa.text(OF_A_LIST), {"term": term, "look": look})
        tx.execute(sa.text("DELETE FROM term WHERE id = :look"), {"look": look})
    op.drop_column("entry", "look")
