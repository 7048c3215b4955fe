"""History is searched, marked and sorted: entries beside the pictures, their words, collections.

Entries are made from the pictures when the store is opened, which knows how.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# The words are in small letters and apart already: this tokenizer leaves them as they are.
SQLITE = "CREATE VIRTUAL TABLE find USING fts5(words, content='', tokenize='ascii', prefix='2 3')"
POSTGRES = "CREATE TABLE find (seq bigint PRIMARY KEY, words tsvector NOT NULL)"


def upgrade() -> None:
    op.create_table(
        "term",
        sa.Column("id", SEQ, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.UniqueConstraint("kind", "text"),
    )
    _entries()
    _named()
    op.create_index("picture_content", "picture", ["sha256"])
    op.create_table("leaving", sa.Column("name", sa.Text, primary_key=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(SQLITE)
    else:
        op.execute(POSTGRES)
        op.execute("CREATE INDEX find_words ON find USING gin (words)")


def _entries() -> None:
    numbers = ["owner", "model", "look", "sampler", "size", "format"]
    numbers += ["width", "height", "steps", "guidance"]
    op.create_table(
        "entry",
        sa.Column("seq", SEQ, sa.Identity(always=True), primary_key=True),
        sa.Column("picture", sa.Text, nullable=False, unique=True),
        sa.Column("changed", sa.BigInteger, nullable=False, index=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in numbers),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("rating", sa.SmallInteger, nullable=False),
        sa.Column("star", sa.SmallInteger, nullable=False),
        sa.Column("kept_at", sa.BigInteger, nullable=False),
        sa.Column("trashed_at", sa.Double),
        sa.Column("family", sa.BigInteger, nullable=False),
        sa.Column("near", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("entry_family", "entry", ["family"])
    op.create_index("entry_trash", "entry", ["state", "trashed_at"])
    op.create_table(
        "entry_term",
        sa.Column("seq", SEQ, sa.ForeignKey("entry.seq"), primary_key=True, autoincrement=False),
        sa.Column("term", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.create_index("entry_term_term", "entry_term", ["term", "seq"])
    op.create_table(
        "came_from",
        sa.Column("picture", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False, index=True),
    )
    op.create_table(
        "input_of",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("picture", sa.Text, primary_key=True, index=True),
    )


def _named() -> None:
    own: dict[str, list[tuple[str, Any]]] = {
        "collection": [],
        "saved_search": [("q", sa.Text), ("sort", sa.Text)],
        "reference_set": [("members", sa.JSON)],
    }
    for table, more in own.items():
        op.create_table(
            table,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("owner", sa.Text, nullable=False),
            sa.Column("name", sa.Text, nullable=False),
            *(sa.Column(name, kind, nullable=False) for name, kind in more),
            sa.Column("created_at", sa.Double, nullable=False),
            sa.UniqueConstraint("owner", "name"),
        )
    op.create_table(
        "collected",
        sa.Column("collection", sa.Text, sa.ForeignKey("collection.id"), primary_key=True),
        sa.Column("picture", sa.Text, primary_key=True, index=True),
        sa.Column("place", sa.Integer, nullable=False),
    )
    op.create_table(
        "choice",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("winner", sa.Text, nullable=False),
        sa.Column("loser", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
