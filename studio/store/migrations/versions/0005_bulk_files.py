"""Bulk files: which line of which file became which job, and by what it is known again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "bulk",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "bulk_picture",
        sa.Column("bulk", sa.Text, sa.ForeignKey("bulk.id"), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("mark", sa.Text, nullable=False, index=True),
        sa.Column("job", sa.Text, sa.ForeignKey("job.id"), nullable=False, index=True),
        sa.Column("skipped", sa.Boolean, nullable=False),
    )
