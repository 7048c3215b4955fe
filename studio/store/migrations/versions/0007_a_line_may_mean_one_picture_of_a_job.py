"""A line of a bulk file may mean one picture of a job that painted several."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("bulk_picture", sa.Column("picture", sa.Text))
