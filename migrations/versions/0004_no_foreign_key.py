"""No foreign key on revisions.

Run while the code before or after it works: it locks `contexts` and `revisions` for a moment. Every statement that
inserts a revision has just locked the row of its context, which the key made it lock again, by a statement of its own
for each append. Going back puts the key in again, which reads all revisions.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("revisions_context_fk", "revisions", type_="foreignkey")


def downgrade() -> None:
    op.create_foreign_key("revisions_context_fk", "revisions", "contexts", ["context_id"], ["id"])
