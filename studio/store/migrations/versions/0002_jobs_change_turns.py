"""A job may be moved in the line: it then has another turn than the one it came with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    stored = None if op.get_bind().dialect.name == "sqlite" else True  # SQLite adds no stored one
    op.add_column("job", sa.Column("moved_to", SEQ))
    op.add_column("job", sa.Column("turn", SEQ, sa.Computed("coalesce(moved_to, seq)", stored)))
    op.drop_index("job_line", "job")
    op.create_index("job_line", "job", ["state", sa.text("priority DESC"), "turn"])
