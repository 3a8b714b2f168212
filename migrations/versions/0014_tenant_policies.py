"""Policies of tenants.

Run before the code that uses it; it may be run while the code before it works. Creates a table and locks nothing that
exists. Going back drops it: what tenants said of compaction is lost, and what is built in holds again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0014"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenant_policies",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("policy", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("due_tokens", sa.BigInteger()),
        sa.Column("due_version", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant_id", "revision", name="tenant_policies_pk"),
        comment="Every policy that a tenant had, and when a new context is due by it.",
    )
    op.create_index(
        "tenant_policies_request_uq",
        "tenant_policies",
        ["tenant_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id is not null"),
    )


def downgrade() -> None:
    op.drop_table("tenant_policies")
