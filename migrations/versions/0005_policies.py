"""Policies of contexts, and labels of messages by which windows pin them.

Run before the code that uses it; it may be run while the code before it works. Adds columns that are null or have a
constant default, which rewrites nothing, a table, and an index on messages with labels, of which there are none yet:
the table `messages` is locked against writers for as long as it takes to read it once. Going back drops all of it with
its content; the labels stay in the messages.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contexts", sa.Column("policy_revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("contexts", sa.Column("policy", sa.LargeBinary()))
    op.add_column("messages", sa.Column("labels", pg.ARRAY(sa.Text())))
    op.create_index(
        "messages_labels_ix",
        "messages",
        ["context_id", "version"],
        postgresql_where=sa.text("labels is not null"),
    )
    op.create_table(
        "policies",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("policy", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "revision", name="policies_pk"),
        comment="Every policy that a context had, under the revision that set it.",
    )


def downgrade() -> None:
    op.drop_table("policies")
    op.drop_index("messages_labels_ix", "messages")
    op.drop_column("messages", "labels")
    op.drop_column("contexts", "policy")
    op.drop_column("contexts", "policy_revision")
