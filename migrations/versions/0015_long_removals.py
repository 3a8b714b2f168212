"""Long runs of removed messages have an index of their own, so that short ones are looked for near a range alone.

Run before the code that uses it; it may be run while the code before it works. Reads `removals` once and holds its
writers for as long. Going back drops the index.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "removals_long_ix",
        "removals",
        ["context_id", "first_version"],
        postgresql_where=sa.text("last_version - first_version >= 64"),
    )


def downgrade() -> None:
    op.drop_index("removals_long_ix")
