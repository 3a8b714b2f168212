"""Copies of compactions can be found by who made them, so that erasure reaches them.

Run before the code that uses it; it may be run while the code before it works. Adds an index over the copies that
flattening made: the table `compactions` is locked against writers for as long as it takes to read it once. Going back
drops it; nothing is lost.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "compactions_origin_ix",
        "compactions",
        ["origin_id", "compaction_id"],
        postgresql_where=sa.text("origin_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("compactions_origin_ix", "compactions")
