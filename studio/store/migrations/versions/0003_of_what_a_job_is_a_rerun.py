"""Of what a job is a rerun: the id of a picture, or the hash of an input."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("job", sa.Column("rerun_of", sa.Text))
