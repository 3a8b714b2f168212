"""Revisions that were copied from another context's log say whose they are.

Run before the code that uses it; it may be run while the code before it works. Adds a column that is null, which
rewrites nothing: the table `revisions` is locked for a moment. Going back drops it: in the history of a flattened
context the revisions of its ancestors then look like its own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revisions", sa.Column("origin_id", pg.UUID()))


def downgrade() -> None:
    op.drop_column("revisions", "origin_id")
